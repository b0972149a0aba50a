"""Whether the numbers in a column of ratings are a scale of opinion, and which of them say that there is none."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

_PERCENT = 100
_TEN = 10
_TAIL = 10
"""An amount's largest value is so many times its middle one; that of a scale is not."""
_LEAST_VALUES = 3
"""So many other values there must be for one to stand apart from them."""


class Amount(NamedTuple):
    """What shows that numbers are amounts (pieces, plays, seconds, money) and no opinions."""

    low: float
    high: float
    middle: float
    not_positive: int
    """How many are 0 or less: returns, or nothing at all."""
    smallest: float
    """The smallest one above 0."""


def as_amount(ratings: pl.Series) -> Amount | None:
    """The numbers as an amount, if they are no scale of opinion; None if they may be one.

    A scale ends, mostly at 5, 10 or 100, and its values are used up to its end. An amount goes far beyond its middle.

    Example:
        >>> as_amount(pl.Series([1.0, 2.0, 6.0, 80995.0, -80995.0])).high
        80995.0
        >>> as_amount(pl.Series([1.0, 4.0, 5.0, 3.5]))
    """
    positive = ratings.filter(ratings > 0)
    if positive.is_empty():
        return None
    low, high = float(ratings.min()), float(ratings.max())  # type: ignore[arg-type]
    middle = float(positive.median())  # type: ignore[arg-type]
    beyond = high > _PERCENT or low < -_PERCENT
    tail = high > _TEN and middle * _TAIL <= high
    if not beyond and not tail:
        return None
    return Amount(low, high, middle, int((ratings <= 0).sum()), float(positive.min()))  # type: ignore[arg-type]


def sentinels(ratings: pl.Series) -> dict[float, int]:
    """Values that stand apart from all others, as those do that say "not rated", and how often each occurs.

    They are 0 beside a scale that begins at 1 or above; a negative one beside positive ones; and one as far above the
    others as these are from each other (99 beside -10 to 10).

    Example:
        >>> sentinels(pl.Series([0.0, 0.0, 1.0, 3.0, 4.0, 5.0]))
        {0.0: 2}
    """
    counts = ratings.rename("value").value_counts(name="number").sort("value")
    values, found = counts["value"].to_list(), {}
    while len(values) > _LEAST_VALUES and _is_apart_below(values[0], values[1:]):
        found[values[0]] = int(counts.filter(pl.col("value") == values[0])["number"][0])
        values = values[1:]
    if len(values) > _LEAST_VALUES and values[-1] - values[-2] >= max(values[-2] - values[0], 3.0):
        found[values[-1]] = int(counts.filter(pl.col("value") == values[-1])["number"][0])
    return found


def _is_apart_below(value: float, others: list[float]) -> bool:
    if value == 0:
        return others[0] >= 1
    return value < 0 <= others[0] and value.is_integer() and others[-1] > 1


def rating_warnings(ratings: pl.Series, amount: Amount | None, column: str) -> list[str]:
    """What the card says of the numbers taken for ratings.

    Args:
        ratings: of all interactions.
        amount: what ``as_amount`` gives for them.
        column: what the file calls them.
    """
    if amount is not None:
        returns = (
            f"; {amount.not_positive:,} are 0 or less (returns, cancellations), which are no likes but stay in "
            f"histories: if {column} is a quantity, --column quantity={column} --column rating=- leaves them out"
        )
        return [
            f"{column} goes from {amount.low:,g} to {amount.high:,g}, half of it at most {amount.middle:,g}: that is "
            "no scale of opinion but an amount (pieces, plays, seconds), so feedback is taken as implicit"
            f"{returns if amount.not_positive else ''}"
        ]
    found = []
    for value, number in sentinels(ratings).items():
        setting = "zero_is_no_rating=true" if value == 0 else f"no_rating={value:g}"
        now = "like" if value > 0 else "dislike"
        found.append(
            f"{number:,} ratings ({number / len(ratings):.0%}) are {value:g}, which stands apart from the others: if "
            f"it says that there is no rating, --column {setting} leaves them out; as it is, each counts as a {now}"
        )
    return found
