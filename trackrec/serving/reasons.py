"""Why this item? Sentences of a person's text whose events have something in common with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trackrec.serving.cards import Cards
from trackrec.store.record import Event, Record, Sentence

SAYS_SO = ("supported", "own")
"""Verdicts of sentences that may be given as a reason."""
LIKED = 4.0
"""From this rating on an event counts as liked, where a sentence does not say which way it leans."""


def reasons_for(item_id: Any, record: Record, cards: Cards, like_threshold: float = LIKED) -> list[dict[str, Any]]:
    """Supported sentences that bear on an item.

    A sentence bears on it through its cited events that share a genre or tag with the item: one that the sentence
    names, or that half of its events have. It speaks for the item if more of these events were liked than not, against
    it if more were not; where they balance it says nothing. A sentence that rests on the whole history tells how the
    person rates, and is no reason for one item more than for another.

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
        if len(cited) == len(events):
            continue
        theirs = {event.number: set(cards.traits(event.item_id)) for event in cited}
        meant = [trait for trait in traits if _names(sentence, trait) or 2 * _having(theirs, trait) >= len(cited) > 0]
        linked = [
            (event, shared)
            for event in cited
            if str(event.item_id) != str(item_id)
            and (shared := [trait for trait in meant if trait in theirs[event.number]])
        ]
        lean = sum(_lean(event, like_threshold) for event, _ in linked)
        if lean:
            shared = list(dict.fromkeys(trait for _, traits_of in linked for trait in traits_of))
            numbers = [event.number for event, _ in linked]
            found.append({"sentence": sentence.shown, "speaks_for": lean > 0, "shared": shared, "events": numbers})
    return sorted(found, key=lambda reason: -len(reason["shared"]))


def _names(sentence: Sentence, trait: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(trait)}(?!\w)", sentence.text, re.IGNORECASE) is not None


def _having(theirs: Mapping[int, set[str]], trait: str) -> int:
    return sum(trait in traits for traits in theirs.values())


def _lean(event: Event, like_threshold: float) -> int:
    return 0 if event.rating is None else 1 if event.rating >= like_threshold else -1
