"""Citations: what is parsed, what is shown, and what the cited events decide."""

from __future__ import annotations

import pytest
from test_free_text import BOOKS, HISTORY, LIBRARY, MOVIES, READ

from trackrec.checks.grounding import GroundedSentence, ground
from trackrec.checks.sentences import cited_numbers, split_free_text, without_citations
from trackrec.checks.vocabulary import Vocabulary
from trackrec.prompts.domains import find_domain
from trackrec.teachers.template import ProfileTeacher, TeacherSettings
from trackrec.testing.synthetic import make_synthetic
from trackrec.users.histories import Histories

S, C, N = "supported", "contradicted", "not_checkable"


def only(text: str) -> GroundedSentence:
    (found,) = ground(text, HISTORY, MOVIES)
    return found


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("They love dry comedies [3, 11, 20].", (3, 11, 20)),
        ("They love dry comedies [3,11;20].", (3, 11, 20)),
        ("They love dry comedies [3–5].", (3, 4, 5)),
        ("They love dry comedies [3]; little patience for romance [8, 27].", (3, 8, 27)),
        ("They love dry comedies [3, 3].", (3,)),
        ("Sie mögen trockene Komödien [3, 11 und 20].", (3, 11, 20)),
        ("彼らは乾いたコメディが好きです［3、11］。", (3, 11)),
        ("They love dry comedies (3, 11, 20).", (3, 11, 20)),
        ("They loved Fargo (5).", ()),
        ("They loved 8½ [1963 cut].", ()),
        ("Nothing is cited.", ()),
    ],
)
def test_numbers_are_parsed_in_any_language(text: str, numbers: tuple[int, ...]) -> None:
    assert cited_numbers(text) == numbers


def test_people_see_no_numbers() -> None:
    assert without_citations("Fargo (5/5) and Heat (2) [7, 2].") == "Fargo (5/5) and Heat (2)."


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("They love crime with a dark sense of humour [1, 6, 7].", S),
        ("They hate crime with a dark sense of humour [1, 6, 7].", C),
        ("They love crime with a dark sense of humour [2, 3].", C),
        ("They love crime with a dark sense of humour [1, 99].", C),  # there is no event 99
        ("They love crime with a dark sense of humour [0].", C),
        ("Musicals leave them cold, as in Evita, Grease and Hunchback [11, 12, 13].", S),
        ("Musicals delight them, as in Evita, Grease and Hunchback [11, 12, 13].", C),
        ("Star Trek is a safe bet for them, with The Wrath of Khan at five and First Contact at four [8, 9].", S),
        ("Star Trek is no bet for them, with The Wrath of Khan at two and First Contact at one [8, 9].", C),
        ("Crime is split: Fargo and Wild Things won them over, Heat and Sleepers did not [1, 2, 3, 7].", S),
        ("They love space opera [8].", S),
        ("They love musicals [8].", N),  # the cited film is none, but cards are short
        ("They loved Fargo and Wild Things [2, 3].", C),  # other events than the ones it names
        ("Something about them is hard to put into words [1].", N),
        ("Ils aiment les comédies noires [1, 7].", N),
    ],
)
def test_cited_events_decide(text: str, right: str) -> None:
    found = only(text)
    assert str(found.verdict) == right
    assert found.way == ("citation" if right != N else "")


def test_the_events_behind_a_sentence() -> None:
    assert only("They love crime with a dark sense of humour [7, 1].").events == (7, 1)
    assert only("They enjoyed Fargo.").events == (7,)


def test_sentences_on_the_user_should_cite() -> None:
    text = "# Taste\nThey love crime [1, 7]. They love musicals. So try Ronin. They would likely enjoy Ronin."
    assert [s.about_user for s in ground(text, HISTORY, MOVIES)] == [False, True, True, False, False]


def test_sentences_end_behind_citations_and_in_lists() -> None:
    text = "They like A [1].  They hate B [2]! 1. First thing 2. Second thing\n- item one\n\nMr. Wrong bored them."
    assert [one.text for one in split_free_text(text)] == [
        "They like A [1].",
        "They hate B [2]!",
        "1. First thing",
        "2. Second thing",
        "- item one",
        "Mr. Wrong bored them.",
    ]


def test_books_are_cited_too() -> None:
    (found,) = ground("They love fantasy series with magic [1, 2, 7].", READ, LIBRARY)
    assert str(found.verdict) == S
    assert len(BOOKS) == len(READ)


def test_what_the_template_teacher_cites_is_never_called_false() -> None:
    """Its counts, "(1 of 3 liked)", speak of the whole history, of which it cites a part."""
    world = make_synthetic(users=60)
    facts = ("generosity", "habit", "genres", "counts", "titles")
    settings = TeacherSettings(max_tokens=160, citations=True, tells=facts)
    teacher = ProfileTeacher(world.items, find_domain("movies"), lambda text: len(text.split()), settings)
    vocabulary = Vocabulary(world.items, find_domain("movies"))
    texts = dict(teacher.write(world.histories, seed=3).select("user_id", "text").iter_rows())
    histories = Histories(world.histories)
    found = [one for user, text in texts.items() for one in ground(text, histories[user], vocabulary)]
    assert [one.text for one in found if one.verdict == C] == []
    cited = [one for one in found if one.cited]
    assert sum(one.verdict == S for one in cited) > 0.8 * len(cited) > 60


def test_a_sentence_of_ours_that_cites_no_event_of_the_history_is_false() -> None:
    world = make_synthetic(users=1)
    vocabulary = Vocabulary(world.items, find_domain("movies"))
    (found,) = ground("They care less for Horror (0 of 2 liked) [1, 99].", Histories(world.histories)[0], vocabulary)
    assert (found.verdict, found.way) == (C, "citation")
