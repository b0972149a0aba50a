"""Why this item? Reasons worked out by hand, in a domain of books."""

from __future__ import annotations

import pytest
from test_grounding import HISTORY, ITEMS, VOCABULARY

from trackrec.checks.grounding import History, ground
from trackrec.checks.reasons import Reason, reason_text, reasons_for
from trackrec.checks.vocabulary import Vocabulary
from trackrec.errors import LogError
from trackrec.prompts.domains import find_domain

MYSTERY, ROMANCE, DRAMA_ROMANCE, UNREAD = 4, 2, 3, 7
"""Night Train (Mystery, Cy Ford, 1991), Mr. Wrong (Romance, 1972), Harbour Lights (Romance, Drama), Unread Things."""


def reasons(text: str, item: int, vocabulary: Vocabulary = VOCABULARY) -> list[Reason]:
    return reasons_for(item, ground(text, HISTORY, vocabulary), History(HISTORY, vocabulary.catalogue), vocabulary)


def told(text: str, item: int) -> list[str]:
    return [reason_text(reason) for reason in reasons(text, item)]


@pytest.mark.parametrize(
    ("text", "item", "expected"),
    [
        # Mystery 2 of 2 liked, 3 of 6 over all; the count says the same once more.
        ("They prefer Mystery books (2 of 2 liked).", MYSTERY, ["for: it is Mystery (2 of 2 liked, 3 of 6 over all)"]),
        ("They prefer Mystery books (2 of 2 liked).", ROMANCE, []),
        ("They care less for Romance books.", ROMANCE, ["against: it is Romance (0 of 2 liked, 3 of 6 over all)"]),
        # A count alone speaks as its events do.
        ("They liked 0 of 2 Drama books.", DRAMA_ROMANCE, ["against: it is Drama (0 of 2 liked)"]),
        # The author is an attribute of the table.
        ("They like Cy Ford books.", MYSTERY, ["for: it is Cy Ford (2 of 2 liked, 3 of 6 over all)"]),
        # A title speaks for what shares an attribute with it, not for itself.
        ("They enjoyed The Silver Key.", MYSTERY, ["for: it shares Mystery with The Silver Key (rated 5)"]),
        ("They enjoyed The Silver Key.", 1, []),
        ("They enjoyed The Silver Key.", ROMANCE, []),
        ("They did not like Mr. Wrong.", DRAMA_ROMANCE, ["against: it shares Romance with Mr. Wrong (rated 2)"]),
        # Each side of a comparison bears on its own items.
        ("They prefer Mystery to Drama.", MYSTERY, ["for: it is Mystery (2 of 2 against 0 of 2 liked)"]),
        ("They prefer Mystery to Drama.", DRAMA_ROMANCE, ["against: it is Drama (2 of 2 against 0 of 2 liked)"]),
        # Years: 2 of 3 from the nineties are liked.
        (
            "They prefer books from the 1990s.",
            MYSTERY,
            ["for: it is from 1990 to 1999 (2 of 3 liked, 3 of 6 over all)"],
        ),
        ("They prefer books from the 1990s.", UNREAD, []),
        # Ada Quill: 1 of 2 liked is the own share, which speaks neither way.
        ("They like Ada Quill books.", 1, []),
        # What was only seen, or holds of everything, is no reason.
        ("They have read 2 Romance books.", ROMANCE, []),
        ("They like about half of the books they rated.", MYSTERY, []),
    ],
)
def test_reasons_worked_out_by_hand(text: str, item: int, expected: list[str]) -> None:
    assert told(text, item) == expected


def test_a_sentence_that_is_false_in_part_gives_no_reason() -> None:
    assert told("They prefer Mystery books, but care less for The Silver Key.", MYSTERY) == []
    assert told("They prefer Mystery books. They care less for The Silver Key.", MYSTERY) != []


def test_reasons_for_come_before_those_against_and_carry_their_events() -> None:
    found = reasons("They care less for Drama books. They enjoyed The Silver Key.", DRAMA_ROMANCE)
    assert [(reason.speaks_for, reason.link) for reason in found] == [
        (True, "shares Ada Quill with The Silver Key"),
        (False, "is Drama"),
    ]
    against = found[1]
    assert against.sentence == "They care less for Drama books."
    assert {HISTORY[place]["item_id"] for place in against.evidence} == {3, 6}


def test_it_works_where_items_have_titles_alone() -> None:
    """A domain without attributes: nothing ties one item to another, so nothing is said."""
    plain = Vocabulary(ITEMS.with_columns(genres=ITEMS["genres"].list.head(0)), find_domain("generic"))
    assert reasons("They enjoyed The Silver Key.", MYSTERY, plain) == []


def test_an_unknown_item_is_an_error() -> None:
    with pytest.raises(LogError, match="99"):
        reasons("They prefer Mystery books.", 99)
