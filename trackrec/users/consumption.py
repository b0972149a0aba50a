"""What somebody goes for, next to everybody: which genres, and famous or little-known items; and the words for it.

Where every event is a like (plays, purchases), it is all that a history can tell; where items are rated, it says what
will come up next rather than whether it will be liked.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from trackrec.users.catalogue import Catalogue, Row

FAME = (
    "almost only little-known",
    "mostly little-known",
    "both famous and little-known",
    "mostly famous",
    "almost only famous",
)
"""What the items of a history are, from the least known to the best known."""
FAME_CUTS = (0.3, 0.42, 0.58, 0.7)
"""Bounds between them, in mean fame. Not a setting: who writes a level, and who checks it, must mean the same."""
MIN_ITEMS = 2
"""Fewest items of a genre before it is said to be gone for."""
MIN_SURPLUS = 0.05
"""By how much a genre's share of the history must exceed its share of everybody's, after smoothing."""
MOST_WATCHED = 4
"""So many genres are told."""
PRIOR_ITEMS = 2
"""Strength of that smoothing: so many imagined items that are as everybody's."""


@dataclass(frozen=True)
class Watched:
    """What a history is made of, next to everybody's."""

    genres: tuple[str, ...]
    """Genres that it has more of than everybody's histories have, the largest surplus first."""
    fame: int
    """How well known its items are: a place in ``FAME``."""


def surplus(events: int, of_genre: int, share: float) -> float:
    """By how much a genre exceeds its share of everybody's: ``(of it - events x share) / (events + PRIOR_ITEMS)``.

    >>> surplus(events=8, of_genre=6, share=0.25)
    0.4
    """
    return (of_genre - events * share) / (events + PRIOR_ITEMS)


def mean_fame(history: Sequence[Row], catalogue: Catalogue) -> float | None:
    """Mean of the items' fame (:attr:`Catalogue.fame`), in [0, 1]; None where nobody knows it."""
    if not history or not catalogue.fame:
        return None
    return sum(catalogue.fame[row["item_id"]] for row in history) / len(history)


def fame_level(value: float) -> int:
    """The place in ``FAME`` of a mean fame; a value on a bound belongs to the higher level."""
    return bisect_right(FAME_CUTS, value)


def genre_surplus(history: Sequence[Row], catalogue: Catalogue) -> dict[str, float]:
    """The surplus of every genre of which the history has ``MIN_ITEMS``."""
    counted = Counter(genre for row in history for genre in set(catalogue[row["item_id"]].genres))
    shares = catalogue.genre_shares
    return {
        genre: surplus(len(history), number, shares.get(genre, 0.0))
        for genre, number in counted.items()
        if number >= MIN_ITEMS
    }


def what_is_watched(history: Sequence[Row], catalogue: Catalogue) -> Watched | None:
    """What a history is made of; None where it is empty, or the catalogue does not say what everybody's are made of.

    Raises:
        LogError: an item is not in the catalogue.
    """
    fame = mean_fame(history, catalogue)
    if fame is None:
        return None
    found = genre_surplus(history, catalogue)
    more = [genre for genre, value in found.items() if value >= MIN_SURPLUS - 1e-9]
    return Watched(tuple(sorted(more, key=lambda genre: (-found[genre], genre))), fame_level(fame))
