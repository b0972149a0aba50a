"""What counts as a like (found from the ratings where nobody says it), and items that stand for dislikes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from trackrec.data.log import stable_hash
from trackrec.data.rating_scale import as_amount, sentinels
from trackrec.settings import Settings

if TYPE_CHECKING:
    from trackrec.data.split import Split


_DRAWS = 128
"""So often a negative is drawn and refused before what is left to choose from is listed."""
_SLACK = 1e-9
"""A rating this little below the mean is at it: sums of floats are not exact."""

Ints = NDArray[np.int64]


class FeedbackSettings(Settings):
    """What the interactions say about liking."""

    kind: Literal["threshold", "user_mean", "implicit", "impressions"] = "threshold"
    """threshold: a rating of at least ``split.like_threshold`` is a like. user_mean: one of at least the mean of the
    user's history. implicit: interactions are likes (but see ``like_weight``), and items that the user never touches
    stand for dislikes. impressions: the log says what was shown, with a rating above 0 where it was clicked (or
    bought): that is a like, the rest are dislikes, and nothing is drawn (but see ``like_weight``)."""
    like_weight: float | None = Field(default=None, ge=-1e6)
    """implicit and impressions alone: interactions that weigh less (``columns.event_weights``) are no likes: they were
    seen and taken no further. They keep their place in histories and examples, with label 0, and no negatives are
    drawn for them. Null: every interaction is a like; of impressions, each above 0."""
    negatives: int = Field(default=1, ge=1)
    """implicit alone: how many such items each example that is a like gets."""
    negative_sampling: Literal["uniform", "popularity"] = "uniform"
    """implicit alone: drawn among the items that anybody had touched before the example's time, each alike (uniform) or
    as often as it had been touched (popularity)."""


def label_events(
    events: pl.DataFrame, histories: pl.DataFrame, settings: FeedbackSettings, like_threshold: float
) -> pl.DataFrame:
    """The events with a ``label`` Int8: 1 for a like.

    The mean of ``user_mean`` is that of the user's history alone: a label of the history then knows nothing of any
    example, and an example is judged by what was known before it.

    Args:
        events: ``user_id`` and ``rating``; other columns and the order stay.
        histories: ``Split.histories``, of which ``user_id`` and ``rating`` are read.
        settings: what counts as a like.
        like_threshold: the fixed threshold; under ``user_mean`` it judges users without a history.
    """
    if settings.kind == "implicit":
        liked = pl.lit(True) if settings.like_weight is None else pl.col("rating") >= settings.like_weight
        return events.with_columns(liked.cast(pl.Int8).alias("label"))
    if settings.kind == "impressions":
        chosen = pl.col("rating") > 0 if settings.like_weight is None else pl.col("rating") >= settings.like_weight
        return events.with_columns(chosen.cast(pl.Int8).alias("label"))
    if settings.kind == "threshold":
        return events.with_columns((pl.col("rating") >= like_threshold).cast(pl.Int8).alias("label"))
    means = histories.group_by("user_id").agg((pl.col("rating").mean() - _SLACK).alias("bar"))
    known = events.join(means, on="user_id", how="left", maintain_order="left")
    bar = pl.col("bar").fill_null(like_threshold)
    return known.with_columns((pl.col("rating") >= bar).cast(pl.Int8).alias("label")).drop("bar")


def add_negatives(
    split: Split, available: pl.DataFrame, touched: pl.DataFrame, settings: FeedbackSettings, seed: int
) -> Split:
    """The split with sampled negatives among its examples; histories and recent lists stay as they are.

    Each example that is a like gets ``settings.negatives`` items that its user touches at no time, no item twice for
    one user. They are drawn from what anybody had touched strictly before the example's time (under ``temporal`` also
    before the cut-off), so that no popularity and no new item tells of the future. What a user gets depends on
    the seed, the user's id and the log, not on the order of the tables.

    Args:
        split: under ``implicit`` feedback.
        available: interactions whose items may be drawn: ``event_id, item_id, timestamp``.
        touched: all interactions that are known, also those which a filter left out: ``event_id, user_id, item_id``.
        settings: how many, and how drawn.
        seed: of the drawing.

    Returns:
        Examples with a further column ``sampled`` Boolean. A negative follows its example and has its time and recent
        lists, label 0, no rating, and an ``event_id`` beyond those of the log. ``counts`` has ``sampled_negatives`` and
        ``missing_negatives`` (the user had touched all that there was to draw from).
    """
    examples = split.examples.sort("user_id", "timestamp", "event_id")
    pools = _Pools.of(available, by_event=settings.negative_sampling == "popularity")
    users = examples["user_id"].unique().sort()
    code = pl.DataFrame({"user_id": users}).with_row_index("code").with_columns(pl.col("code").cast(pl.Int64))
    known = touched.join(code, on="user_id").join(pools.items, on="item_id").select("code", "item")
    owner = examples.join(code, on="user_id", how="left", maintain_order="left")["code"].to_numpy()
    liked = np.flatnonzero(examples["label"].to_numpy())
    slots = np.repeat(liked, settings.negatives)
    starts = np.searchsorted(owner[liked], owner[slots])  # the number of a draw is counted within its user
    number = np.arange(len(slots)) - starts * settings.negatives
    seeds = np.array([stable_hash(f"{seed}:{stable_hash(user)}") for user in users], dtype=np.uint64)
    moments = examples["timestamp"].to_numpy()
    if split.cutoff is not None:  # from there on all is future, for everybody's data
        moments = np.minimum(moments, split.cutoff)
    drawn = pools.draw(
        size=pools.size_before(moments[slots]),
        owner=owner[slots],
        number=number,
        seeds=seeds,
        blocked=known["code"].to_numpy() * pools.items.height + known["item"].to_numpy(),
    )
    found = drawn >= 0
    real, sampled = examples.height, int(found.sum())
    row = np.concatenate([np.arange(real), slots[found]])
    order = np.argsort(row, kind="stable")  # each example, then its negatives
    beyond = int(max(table["event_id"].to_numpy().max() for table in (touched, available))) + 1
    number = np.concatenate([examples["event_id"].to_numpy(), np.arange(beyond, beyond + sampled)])
    items = pl.concat([examples["item_id"], pools.items["item_id"].gather(drawn[found])])
    is_sampled = pl.Series(order >= real)
    both = examples[row[order]].with_columns(
        items.gather(order).alias("item_id"),
        pl.Series("event_id", number[order], dtype=pl.UInt32),
        pl.when(~is_sampled).then("rating").alias("rating"),
        pl.when(is_sampled).then(0).otherwise("label").cast(pl.Int8).alias("label"),
        is_sampled.alias("sampled"),
    )
    counts = split.counts | {"sampled_negatives": sampled, "missing_negatives": int((~found).sum())}
    return replace(split, examples=both, counts=counts)


class _Pools:
    """What can be drawn at each moment: a prefix of one array of items, in the order in which they came up.

    With one entry an item, at its first touch, a prefix holds each available item once; with one entry an event, it
    holds each as often as it had been touched. A uniform draw from the prefix is then uniform or by popularity.
    """

    def __init__(self, items: pl.DataFrame, order: Ints, times: Ints) -> None:
        self.items, self._order, self._times = items, order, times

    @classmethod
    def of(cls, available: pl.DataFrame, by_event: bool) -> _Pools:
        items = available.select("item_id").unique().sort("item_id").with_row_index("item")
        items = items.with_columns(pl.col("item").cast(pl.Int64))
        events = available.join(items, on="item_id").select("item", "timestamp", "event_id")
        if not by_event:
            events = events.group_by("item").agg(pl.col("timestamp").min(), pl.lit(0).alias("event_id"))
        events = events.sort("timestamp", "event_id", "item")
        return cls(items, events["item"].to_numpy(), events["timestamp"].to_numpy())

    def size_before(self, times: Ints) -> Ints:
        """How long the prefix is of what lies strictly before each time."""
        return np.searchsorted(self._times, times, side="left").astype(np.int64)

    def draw(self, size: Ints, owner: Ints, number: Ints, seeds: NDArray[np.uint64], blocked: Ints) -> Ints:
        """One item for each slot, none twice for one owner and none that is blocked; -1 where there is none.

        Args:
            size: length of the prefix that each slot draws from, shape (slots,).
            owner: whose slot it is, a row of ``seeds``, ascending, shape (slots,).
            number: which of the owner's slots it is, shape (slots,).
            seeds: the owners' seeds, shape (owners,).
            blocked: ``owner x number of items + item`` of what must not come out.
        """
        drawn, width = np.full(len(size), -1, dtype=np.int64), self.items.height
        runs, pending = [np.unique(blocked)], np.flatnonzero(size > 0)
        for turn in range(_DRAWS):
            if not len(pending):
                return drawn
            bits = _random_bits(seeds[owner[pending]], number[pending], turn)
            item = self._order[(bits % size[pending].astype(np.uint64)).astype(np.int64)]
            keys = owner[pending] * width + item
            free = np.zeros(len(keys), dtype=np.bool_)
            free[np.unique(keys, return_index=True)[1]] = True  # of equal draws the first one
            for run in runs:
                free &= ~_among(keys, run)
            drawn[pending[free]] = item[free]
            # A run of its own for each turn: they shrink fast, and merging them would copy the first ones every time.
            runs.append(np.sort(keys[free]))
            pending = pending[~free]
        for slot in pending:  # few: their owners have touched nearly all that there is
            base, gone = owner[slot] * width, np.zeros(width, dtype=np.bool_)
            for run in runs:
                start, stop = np.searchsorted(run, [base, base + width])
                gone[run[start:stop] - base] = True
            left = self._order[: size[slot]]
            left = left[~gone[left]]
            if len(left):
                bits = _random_bits(seeds[owner[[slot]]], number[[slot]], _DRAWS)
                drawn[slot] = left[int(bits[0] % np.uint64(len(left)))]
                runs.append(np.array([base + drawn[slot]]))
        return drawn


def _random_bits(seeds: NDArray[np.uint64], number: Ints, turn: int) -> NDArray[np.uint64]:
    """64 bits for each seed and number, others at each turn."""
    return mix_bits(mix_bits(seeds ^ mix_bits(number.astype(np.uint64))) + np.uint64(turn))


def _among(keys: Ints, ordered: Ints) -> NDArray[np.bool_]:
    """Which keys are in an ascending array."""
    place = np.searchsorted(ordered, keys)
    inside = place < len(ordered)
    inside[inside] = ordered[place[inside]] == keys[inside]
    return inside


def mix_bits(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 bits that look random and depend on all 64 given ones (the finaliser of SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = bits + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


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
