"""The consumption profile: what a history is made of, next to everybody's: which genres, and how well known its items.

Where every event is a like (plays, purchases), it is all that a history can tell; where items are rated, it says what
will come up next rather than whether it will be liked.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TypeVar

import polars as pl

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
"""Fewest items of a genre before a history is said to have many of it."""
MIN_SURPLUS = 0.05
"""By how much a genre's share of the history must exceed its share of everybody's, after smoothing."""
MOST_CONSUMED = 4
"""So many genres are told."""
PRIOR_ITEMS = 2
"""Strength of that smoothing: so many imagined items that are as everybody's."""


@dataclass(frozen=True)
class Consumption:
    """What a history is made of, next to everybody's."""

    genres: tuple[str, ...]
    """Genres that it has more of than everybody's histories have, the largest surplus first."""
    fame: int
    """How well known its items are: a place in ``FAME``."""
    tags: tuple[str, ...] = ()
    """Likewise tags."""


Number = TypeVar("Number", float, pl.Expr)


def surplus(events: Number, of_genre: Number, share: Number) -> Number:
    """By how much a genre exceeds its share of everybody's: ``(of it - events x share) / (events + PRIOR_ITEMS)``.

    >>> surplus(events=8, of_genre=6, share=0.25)
    0.4
    """
    return (of_genre - events * share) / (events + PRIOR_ITEMS)


def fame_level(value: float) -> int:
    """The place in ``FAME`` of a mean fame; a value on a bound belongs to the higher level."""
    return bisect_right(FAME_CUTS, value)
