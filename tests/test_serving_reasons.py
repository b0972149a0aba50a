"""Reasons for an item from a stored text alone."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from trackrec.serving.cards import Cards
from trackrec.serving.reasons import reasons_for
from trackrec.store.record import Event, Record, Sentence
from trackrec.testing.store_suite import made_record

GENRES = [["Drama", "War"], ["Drama"], ["Drama", "Crime"], ["Comedy"], ["Comedy", "War"], ["Drama", "Comedy"]]
CARDS = Cards(pl.DataFrame({"item_id": range(1, 7), "title": [f"Film {n}" for n in range(1, 7)], "genres": GENRES}))
RATINGS = (5.0, 4.0, 5.0, 1.0, 2.0)


def record(*sentences: Sentence) -> Record:
    events = tuple(Event(n, n, rating, None) for n, rating in enumerate(RATINGS, start=1))
    return replace(made_record(1), sentences=sentences, history=events)


def test_a_sentence_bears_on_items_by_what_its_events_share() -> None:
    told = record(
        Sentence("They like dramas [1, 2, 3].", "supported", "", (1, 2, 3)),
        Sentence("Comedy is not for them [4, 5].", "supported", "", (4, 5)),
    )
    found = reasons_for(6, told, CARDS)
    assert [(one["sentence"], one["speaks_for"], one["shared"], one["events"]) for one in found] == [
        ("They like dramas.", True, ["Drama"], [1, 2, 3]),
        ("Comedy is not for them.", False, ["Comedy"], [4, 5]),
    ]
    assert reasons_for(3, told, CARDS)[0]["events"] == [1, 2], "an item is no reason for itself"


@pytest.mark.parametrize(
    ("text", "shared"),
    [("They like dramas [1, 2, 3].", ["Drama"]), ("They like dramas about war [1, 2, 3].", ["Drama", "War"])],
)
def test_what_few_of_the_events_have_counts_only_if_the_sentence_names_it(text: str, shared: list[str]) -> None:
    cards = Cards(pl.DataFrame({"item_id": range(1, 7), "genres": [*GENRES[:5], ["Drama", "War", "Crime"]]}))
    told = record(Sentence(text, "supported", "", (1, 2, 3)))
    assert [one["shared"] for one in reasons_for(6, told, cards)] == [shared]


def test_what_rests_on_the_whole_history_or_does_not_hold_is_no_reason() -> None:
    told = record(
        Sentence("This is a generous viewer.", "supported", "pattern", (1, 2, 3, 4, 5)),
        Sentence("They like dramas [1, 2, 3].", "contradicted", "", (1, 2, 3)),
        Sentence("I like Drama.", "own"),
    )
    assert reasons_for(6, told, CARDS) == []
