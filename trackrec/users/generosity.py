"""How easily a user is pleased, next to others who rated the same items; and the words for it.

A share of likes alone mixes two things: how good the items were, and how kindly the user judges. What others thought of
the same items tells them apart. It is told in words, since the encoders that rankers read texts through hardly tell
"about 8 in 10" from "about 4 in 10".
"""

from __future__ import annotations

from bisect import bisect_right

import polars as pl

LEVELS = (
    ("very harsh", "far harder to please than most"),
    ("harsh", "harder to please than most"),
    ("critical", "a little harder to please than most"),
    ("average", "neither harsh nor generous"),
    ("friendly", "a little easier to please than most"),
    ("generous", "easier to please than most"),
    ("very generous", "far easier to please than most"),
)
"""What a user of each level is called and what that means, from the one who likes least to the one who likes most."""


CUTS = (-0.25, -0.12, -0.04, 0.04, 0.12, 0.20)
"""Bounds between the levels, in share of likes above (or below) what others gave to the same items. Not a setting:
whoever writes a level, and whoever checks it, must mean the same."""
PRIOR_ITEMS = 2
"""So many imagined items on which the user agrees with everybody: short histories stay near the middle."""


def generosity(surplus: pl.Expr, rated: pl.Expr) -> pl.Expr:
    """By how much the user's share of likes exceeds the one that others gave to the same items, in (-1, 1).

    ``(likes - expected likes) / (rated + PRIOR_ITEMS)``, where the expected likes of an item are the share of the other
    users, among those whose ratings may be used, who liked it (the column ``expected`` of the history).

    Args:
        surplus: likes less expected likes.
        rated: events.

    >>> pl.select(generosity(pl.lit(2 - 2 * 0.5), pl.lit(2))).item()
    0.25
    """
    return surplus / (rated + PRIOR_ITEMS)


def level_of(value: float) -> int:
    """The place in ``LEVELS`` of a generosity; a value on a bound belongs to the higher level."""
    return bisect_right(CUTS, value)
