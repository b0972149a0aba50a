"""What is to count as a like where nobody has said it: found from the ratings, told, and easily overruled."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from trackrec.data.rating_scale import as_amount, sentinels

_USUAL = 4.0
"""The threshold of five-star scales."""
_EVEN = (0.15, 0.85)
"""Between these shares of likes the usual threshold is taken."""


class Liking(NamedTuple):
    """What counts as a like."""

    kind: str
    """``threshold``, ``implicit`` or ``impressions``, as in ``feedback.kind``."""
    like_threshold: float
    reason: str
    """How this was found, in words."""
    like_weight: float | None = None
    """As in ``feedback.like_weight``: of amounts, the smallest above 0, where some are not."""


def guess_liking(ratings: pl.Series, has_ratings: bool, impressions: bool = False, column: str = "") -> Liking:
    """What to count as a like.

    Args:
        ratings: of all interactions.
        has_ratings: the log has ratings at all; without, each interaction was given a 1.
        impressions: they say what became of something that was shown.
        column: what the file calls them.

    Returns:
        Without ratings, or with amounts in their place: implicit feedback. Of what was shown: impressions. With a scale
        up to 5 on which 15% to 85% are at 4 or above: 4. Else the rating by which likes and dislikes are most nearly
        even.

    Example:
        >>> guess_liking(pl.Series([0.0, 1.0, 1.0]), has_ratings=True)[:2]
        ('threshold', 1.0)
    """
    if impressions:
        reason = "the log says what was shown: what was clicked is a like, what was not is a dislike"
        return Liking("impressions", _USUAL, reason)
    if not has_ratings:
        reason = "there are no ratings, so every interaction is a like, and items that the user never touches stand for"
        return Liking("implicit", _USUAL, f"{reason} dislikes")
    if (amount := as_amount(ratings, column)) is not None:
        reason = (
            f"the numbers taken for ratings go from {amount.low:,g} to {amount.high:,g}, which is an amount and no "
            "scale of opinion, so every interaction with more than 0 is a like, and items that the user never touches "
            "stand for dislikes"
        )
        return Liking("implicit", _USUAL, reason, amount.smallest if amount.not_positive else None)
    apart = sentinels(ratings)  # what says that there is no rating says nothing of the scale either
    ratings = ratings.filter(~ratings.is_in(list(apart))) if apart else ratings
    counts = ratings.rename("rating").value_counts(name="number").sort("rating", descending=True)
    shares = counts["number"].cum_sum() / len(ratings)
    high, low = float(counts["rating"][0]), float(counts["rating"][-1])
    usual = float((ratings >= _USUAL).sum()) / len(ratings)
    if low >= 0 and 2 < high <= 5 and _EVEN[0] <= usual <= _EVEN[1]:
        return Liking("threshold", _USUAL, f"ratings go from {low:g} to {high:g}, and {usual:.0%} are 4 or more")
    if counts.height == 1:
        return Liking("threshold", _USUAL, f"every rating is {high:g}")
    place = int((shares[:-1] - 0.5).abs().arg_min() or 0)
    value = float(counts["rating"][place])
    return Liking(
        "threshold", value, f"ratings go from {low:g} to {high:g}, and {shares[place]:.0%} are {value:g} or more"
    )
