"""Why this item? Sentences of a person's text whose events have something in common with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trackrec.serving.cards import Cards
from trackrec.store.record import Event, Record

SAYS_SO = ("supported", "own")
"""Verdicts of sentences that may be given as a reason."""
LIKED = 4.0
"""From this rating on an event counts as liked, where a sentence does not say which way it leans."""


def reasons_for(item_id: Any, record: Record, cards: Cards, like_threshold: float = LIKED) -> list[dict[str, Any]]:
    """Supported sentences that bear on an item.

    A sentence bears on it through its cited events that share a genre or tag with the item. It speaks for the item if
    more of these events were liked than not, against it if more were not; where they balance it says nothing.

    Args:
        item_id: of the catalogue; it need not be in the history.
        record: of the person.
        cards: the catalogue.
        like_threshold: ratings from this on are likes.

    Returns:
        ``sentence, speaks_for, shared`` (genres and tags), ``events`` (numbers), those with most in common first.
    """
    traits = cards.traits(item_id)
    events = {event.number: event for event in record.history}
    found = []
    for sentence in record.sentences:
        if sentence.verdict not in SAYS_SO:
            continue
        cited = [events[number] for number in sentence.events if number in events]
        linked = [(event, _shared(traits, event, cards)) for event in cited if str(event.item_id) != str(item_id)]
        linked = [(event, shared) for event, shared in linked if shared]
        lean = sum(_lean(event, like_threshold) for event, _ in linked)
        if lean:
            shared = list(dict.fromkeys(trait for _, traits_of in linked for trait in traits_of))
            numbers = [event.number for event, _ in linked]
            found.append({"sentence": sentence.shown, "speaks_for": lean > 0, "shared": shared, "events": numbers})
    return sorted(found, key=lambda reason: -len(reason["shared"]))


def _shared(traits: Sequence[str], event: Event, cards: Cards) -> list[str]:
    theirs = set(cards.traits(event.item_id))
    return [trait for trait in traits if trait in theirs]


def _lean(event: Event, like_threshold: float) -> int:
    return 0 if event.rating is None else 1 if event.rating >= like_threshold else -1
