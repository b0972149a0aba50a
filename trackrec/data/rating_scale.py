"""Whether the numbers in a column of ratings are a scale of opinion, and which of them say that there is none."""

from __future__ import annotations

import re
from typing import NamedTuple

import polars as pl

_PERCENT = 100
_TEN = 10
_TAIL = 10
"""An amount's largest value is so many times its middle one; that of a scale is not."""
_LEAST_VALUES = 3
"""So many other values there must be for one to stand apart from them."""
_SAYS_NONE = re.compile(r"-1|-?9{1,6}|-?8{2,6}|-?7{2,6}|-?999[789]|127|255|65535")
"""Numbers that surveys and data bases write where there is none."""
_FAR = re.compile(r"-?(?:9{2,6}|8{2,6}|7{2,6}|999[789])")
_SMOOTH = 20
"""From so many different values on, numbers are no steps of a scale but measured."""
_THIN_END = 0.02
"""Of a scale, more than this share of the ratings lie in the highest fifth; amounts thin out towards their end."""
_AMOUNTS = re.compile(
    r"^(?:num|number|total|n|sum)?(?:of)?(?:plays?|playcount|listens?|listencount|streams?|clicks?|clickcount|views?|viewcount"
    r"|counts?|quantity|qty|units|pieces|amount|price|revenue|sales|spend|spent|cost|duration|seconds|minutes|hours"
    r"|watch(?:ed)?(?:time|duration|seconds|minutes|ms)?|play(?:time|duration|ed)|playingtimems|dwell(?:time)?"
    r"|hoursplayed|timespent|weight|freq|frequency|times)(?:count|s|sec|secs|ms|min)?$"
)
"""Names of columns that hold amounts (plain: without case and punctuation)."""


class Amount(NamedTuple):
    """What shows that numbers are amounts (pieces, plays, seconds, money) and no opinions."""

    low: float
    high: float
    middle: float
    not_positive: int
    """How many are 0 or less: returns, or nothing at all."""
    smallest: float
    """The smallest one above 0."""


def as_amount(ratings: pl.Series, column: str = "") -> Amount | None:
    """The numbers as an amount, if they are no scale of opinion; None if they may be one.

    A scale ends, mostly at 5, 10 or 100, and its values are used up to its end. An amount goes far beyond its middle,
    or thins out towards its end. A number such as 99 or -1 that stands apart from a scale makes no amount of it.

    Args:
        ratings: of all interactions.
        column: what the file calls them; a name such as ``plays`` or ``quantity`` tells too.

    Example:
        >>> as_amount(pl.Series([1.0, 2.0, 6.0, 80995.0, -80995.0])).high
        80995.0
        >>> as_amount(pl.Series([1.0, 4.0, 5.0, 3.5]))
    """
    apart = [value for value in sentinels(ratings) if _SAYS_NONE.fullmatch(f"{value:g}")]
    every, ratings = ratings, ratings.filter(~ratings.is_in(apart)) if apart else ratings
    positive = ratings.filter(ratings > 0)
    if positive.is_empty():
        return None
    low, high = float(ratings.min()), float(ratings.max())  # type: ignore[arg-type]
    middle = float(positive.median())  # type: ignore[arg-type]
    beyond = high > _PERCENT or low < -_PERCENT
    tail = high > _TEN and middle * _TAIL <= high
    smooth = ratings.n_unique() > _SMOOTH
    thin = smooth and low >= 0 and high > _TEN and float((positive > 0.8 * high).mean() or 0) < _THIN_END  # type: ignore[arg-type]
    named = ratings.n_unique() > 2 and is_amount_name(column)
    if not (beyond or tail or thin or named):
        return None
    return Amount(float(every.min()), high, middle, int((every <= 0).sum()), float(positive.min()))  # type: ignore[arg-type]


def is_amount_name(column: str) -> bool:
    """Whether a column's name says that it counts or measures something.

    Example:
        >>> is_amount_name("Watch_Time"), is_amount_name("rating")
        (True, False)
    """
    return bool(_AMOUNTS.match("".join(letter for letter in column.casefold() if letter.isalnum())))


def sentinels(ratings: pl.Series) -> dict[float, int]:
    """Values that stand apart from all others, as those do that say "not rated", and how often each occurs.

    They are 0 beside a scale that begins at 1 or above, or at a half if 0 is much more frequent than that; a negative
    one beside positive ones; and one as far above the others as these are from each other (99 beside -10 to 10). Of
    a scale with many steps (0 to 100), 0 is one of them unless there is a gap after it.

    Example:
        >>> sentinels(pl.Series([0.0, 0.0, 1.0, 3.0, 4.0, 5.0]))
        {0.0: 2}
    """
    counts = ratings.rename("value").value_counts(name="number").sort("value")
    often: dict[float, int] = dict(counts.iter_rows())
    values: list[float] = counts["value"].to_list()
    found: list[float] = []
    words = {value for value in (*values[:3], *values[-3:]) if _FAR.fullmatch(f"{value:g}")}
    core = [value for value in values if value not in words]
    if len(core) > _LEAST_VALUES:
        room = max(core[-1] - core[0], 3.0)
        found = [value for value in words if value < core[0] - room or value > core[-1] + room]
        values = [value for value in values if value not in found]
    above = 0.0
    while len(values) > _LEAST_VALUES:
        if not above and values[-1] - values[-2] >= max(values[-2] - values[0], 3.0):
            above = values.pop()
            found.append(above)
        elif _is_apart_below(values[0], values[1:], often):
            found.append(values.pop(0))
        else:
            break
    return {value: often[value] for value in sorted(found)}


def _is_apart_below(value: float, others: list[float], often: dict[float, int]) -> bool:
    if value == 0 and others[-1] > _TEN and others[0] <= 2 * (others[1] - others[0]):
        return False
    if value == 0:
        return others[0] >= 1 or (others[0] == 0.5 and often[0.0] > 2 * often[0.5])
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
    if ratings.n_unique() > _SMOOTH and ratings.min() >= 0 and not (ratings == ratings.floor()).all():  # type: ignore[operator]
        low, high = float(ratings.min()), float(ratings.max())  # type: ignore[arg-type]
        found.append(
            f"{column} has {ratings.n_unique():,} different values from {low:g} to {high:g}: if these are measured "
            "(the share of a video that was watched, a percentage, a price) and no opinions, say from where on one is "
            "a like (--set split.like_threshold=...), or let every interaction be one (--set feedback.kind=implicit)"
        )
    for value, number in sentinels(ratings).items():
        setting = "zero_is_no_rating=true" if value == 0 else f"no_rating={value:g}"
        now = "like" if value > 0 else "dislike"
        found.append(
            f"{number:,} ratings ({number / len(ratings):.0%}) are {value:g}, which stands apart from the others: if "
            f"it says that there is no rating, --column {setting} leaves them out; as it is, each counts as a {now}"
        )
    return found
