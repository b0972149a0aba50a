"""What somebody goes for, next to everybody: by hand, in the words of a RecCoT, and read back from them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from histories import history_frame, written

from trackrec.checks.grounding import Verdict, ground
from trackrec.checks.truth_measures import found_among
from trackrec.checks.vocabulary import Vocabulary
from trackrec.pipeline.dataset import with_touched
from trackrec.prompts.digest import digest_line
from trackrec.prompts.domains import MOVIES, MUSIC
from trackrec.teachers.template import ProfileTeacher, TeacherSettings
from trackrec.users.catalogue import Catalogue
from trackrec.users.counts import FAME, FAME_CUTS, Consumption, ProfileSettings, event_table, fame_level, name_counts
from trackrec.users.profile import profile_history

ITEMS = pl.DataFrame(
    {
        "item_id": list("abcdef"),
        "title": ["Aa", "Bb", "Cc", "Dd", "Ee", "Ff"],
        "genres": [["pop"], ["pop", "rock"], ["metal"], ["metal", "death metal"], ["alternative"], ["rock"]],
        "touched": [6, 2, 1, 1, 0, 0],
    }
)
EVIDENCE = ProfileSettings()
UNTOLD = ITEMS.drop("touched")


def history(items: str) -> list[dict[str, Any]]:
    return [{"item_id": item, "rating": 3.0, "label": 1} for item in items]


def test_fame_and_genre_shares_by_hand() -> None:
    """Ten events: 0 on e and f, 2 on c and d, 2 on b, 6 on a. Half of its equals counts: c 1/10, b 3/10, a 7/10."""
    catalogue = Catalogue(ITEMS)
    assert catalogue.fame == {"a": 0.7, "b": 0.3, "c": 0.1, "d": 0.1, "e": 0.0, "f": 0.0}
    shares = {"pop": 0.8, "rock": 0.2, "metal": 0.2, "death metal": 0.1, "alternative": 0.0}
    assert catalogue.genre_shares == pytest.approx(shares)
    assert Catalogue(UNTOLD).fame == {}
    assert Catalogue(UNTOLD).genre_shares == {}


def test_consumption_by_hand() -> None:
    """Of c, d, b, f: metal 2 of 4 less .8 expected, over 4 + 2: .2; rock the same. One death metal is too few."""
    catalogue = Catalogue(ITEMS)
    counted = name_counts(
        event_table(history_frame("u", history("cdbf")), catalogue), "genres", EVIDENCE.counting, catalogue.genre_shares
    )
    found = {name: value for name, rated, value in counted.select("name", "rated", "surplus").iter_rows() if rated > 1}
    assert found == pytest.approx({"metal": 0.2, "rock": 0.2})
    assert profile_history(history("cdbf"), catalogue, EVIDENCE).consumption == Consumption(("metal", "rock"), fame=0)
    assert profile_history(history("aaab"), catalogue, EVIDENCE).consumption == Consumption(
        ("pop",), fame=3
    )  # (3 x .7 + .3) / 4 = .6
    assert profile_history(history("aaabcdef"), catalogue, EVIDENCE).consumption == Consumption(
        (), fame=1
    )  # 2.6 / 8 = .325
    assert profile_history([], catalogue, EVIDENCE).consumption is None
    assert profile_history(history("aa"), Catalogue(UNTOLD), EVIDENCE).consumption is None


def test_as_many_genres_are_told_as_the_settings_say() -> None:
    """In the prompt's line and in the teacher's text alike: of metal and rock, which are equal, the first by name."""
    one = ProfileSettings(most_consumed=1)
    found = profile_history(history("cdbf"), Catalogue(ITEMS), one)
    assert found.consumption == Consumption(("metal",), fame=0)
    assert digest_line(found, ["consumption"]) == "Often: metal. Fame: almost only little-known.\n"
    settings = TeacherSettings(tells=("consumption",), max_tokens=60)
    teacher = ProfileTeacher(ITEMS, MUSIC, lambda text: len(text.split()), settings, one)
    text = teacher.write(history_frame("u", history("cdbf")), seed=1)["text"][0]
    assert text == "Listens to a lot of metal music, almost only little-known artists."


def test_levels_lie_between_the_cuts() -> None:
    assert [fame_level(cut - 1e-9) for cut in FAME_CUTS] == [0, 1, 2, 3]
    assert [fame_level(cut) for cut in FAME_CUTS] == [1, 2, 3, 4]
    assert len(FAME) == len(FAME_CUTS) + 1


def test_digest_and_teacher_tell_it_in_the_domains_words() -> None:
    settings = TeacherSettings(max_tokens=500, tells=("consumption",))
    told = written(ProfileTeacher(ITEMS, MUSIC, len, settings), "u", history("cdbf"), 1)
    assert told == "Listens to a lot of metal and rock music, almost only little-known artists."
    told = written(ProfileTeacher(ITEMS, MOVIES, len, settings), "u", history("aaabcdef"), 1)
    assert told == "Watches many different films, mostly little-known films."
    profile = profile_history(history("cdbf"), Catalogue(ITEMS), ProfileSettings())
    assert digest_line(profile, ("consumption",)) == "Often: metal, rock. Fame: almost only little-known.\n"
    assert "Often" not in digest_line(profile)


def test_nobody_knows_what_everybody_goes_for() -> None:
    settings = TeacherSettings(max_tokens=500, tells=("consumption",))
    assert "little-known" not in written(ProfileTeacher(UNTOLD, MUSIC, len, settings), "u", history("cdbf"), 1)
    sentences = ground("Listens to a lot of metal music, mostly famous artists.", history("cdcd"), music(UNTOLD))
    assert {judged.verdict for sentence in sentences for judged in sentence.claims} == {Verdict.NOT_CHECKABLE}


def music(items: pl.DataFrame = ITEMS, is_ours: bool = False) -> Vocabulary:
    return Vocabulary(items, MUSIC, (), is_ours=is_ours)


def verdicts(text: str, items: str, is_ours: bool = True) -> list[tuple[str, str, str]]:
    (sentence,) = ground(text, history(items), music(is_ours=is_ours))
    return [(found.claim.kind, found.claim.subject.name, found.verdict.value) for found in sentence.claims]


def test_claims_are_judged_by_counting() -> None:
    assert verdicts("Listens to a lot of metal and rock music, almost only little-known artists.", "cdbf") == [
        ("often", "metal", "supported"),
        ("often", "rock music", "supported"),
        ("fame", "everything rated", "supported"),
    ]
    found = verdicts("Listens to a lot of death metal and pop music, mostly famous artists.", "cdbf")
    assert [verdict for _, _, verdict in found] == ["contradicted"] * 3  # one death metal; pop below its .8
    anybodys = verdicts("Listens to a lot of death metal music.", "cdbf", is_ours=False)
    assert [verdict for _, _, verdict in anybodys] == ["not_checkable"], "what is a lot to others is not known"
    assert verdicts("Listens to a lot of different music, both famous and little-known artists.", "aaabcdef") == [
        ("mixed", "everything rated", "supported"),
        ("fame", "everything rated", "contradicted"),
    ]
    assert verdicts("Listens to a lot of different music.", "cdbf")[0][2] == "contradicted"
    assert verdicts("Listens to a lot of alternative, rock music.", "bfee") == [
        ("often", "alternative", "supported"),
        ("often", "rock music", "supported"),
    ]


def test_a_name_alone_comes_before_names_that_have_it_as_a_part() -> None:
    assert [mention.name for mention in music().find("a lot of metal, death metal and pop", [])] == [
        "metal",
        "death metal",
        "pop",
    ]


def test_touched_counts_histories_not_events() -> None:
    rows = pl.DataFrame({"user_id": [1, 1, 2, 3], "item_id": ["a", "a", "a", "b"]})
    assert with_touched(UNTOLD, rows)["touched"].to_list() == [2, 1, 0, 0, 0, 0]


def test_a_text_of_an_implicit_log_leads_to_its_own_history() -> None:
    """Every event is a like: what is gone for is all that tells histories apart. Of another user, it leads astray."""
    histories = {"metal": history("cdcd"), "pop": history("aaab"), "rock": history("ffbf"), "other": history("eeae")}
    texts = {
        "metal": "Listens to a lot of metal music.",
        "pop": "Listens to a lot of pop music, mostly famous artists.",
        "rock": "Listens to a lot of rock music.",
        "other": "Listens to a lot of alternative music.",
    }
    assert found_among(texts, histories, music(), seed=1) == dict.fromkeys(texts, 1.0)
    swapped = dict(zip(texts, [*list(texts.values())[1:], texts["metal"]], strict=True))
    assert found_among(swapped, histories, music(), seed=1) == dict.fromkeys(texts, 0.0)
    nothing = dict.fromkeys(texts, "Listens to music.")
    assert found_among(nothing, histories, music(), seed=1) == dict.fromkeys(texts, 1 / 4)


def test_genres_are_left_out_by_chance_but_one_always_stays() -> None:
    """Each of two with chance .7, the one with the higher draw never: both .09, either alone .21 + .49 / 2 = .455."""
    settings = TeacherSettings(max_tokens=500, tells=("consumption",), omit_genres=0.7)
    writer = ProfileTeacher(ITEMS, MUSIC, len, settings)
    texts = [written(writer, "u", history("cdbf"), seed) for seed in range(400)]
    shares = {"metal and rock": 0.09, "metal": 0.455, "rock": 0.455}
    for told, expected in shares.items():
        found = sum(f"of {told} music" in text for text in texts) / 400
        assert abs(found - expected) < 4 * (expected * (1 - expected) / 400) ** 0.5
    assert sum(f"of {told} music" in text for text in texts for told in shares) == 400
    every = ProfileTeacher(ITEMS, MUSIC, len, settings.model_copy(update={"omit_genres": 0.0}))
    assert (
        written(every, "u", history("cdbf"), 0)
        == "Listens to a lot of metal and rock music, almost only little-known artists."
    )
