"""What others thought of an item, and the baseline that knows only that and the user's own generosity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from trackrec.settings import Settings


class StatisticsSettings(Settings):
    """How item statistics are smoothed."""

    prior_strength: float = Field(default=5.0, gt=0)
    """The weight of the overall share of likes in an item's or user's own share, in ratings."""


def smoothed_share(likes: ArrayLike, total: ArrayLike, prior: ArrayLike, strength: float) -> NDArray[np.float64]:
    """The share of likes drawn towards ``prior`` as if ``strength`` further ratings had come out like it.

    Args:
        likes: numbers of likes, shape (n,).
        total: numbers of ratings, shape (n,).
        prior: the overall share in [0, 1], a number or shape (n,).
        strength: > 0, in ratings.

    Example:
        >>> smoothed_share(8, 10, 0.5, strength=5.0).item()
        0.7
    """
    liked, rated, overall = (np.asarray(values, dtype=np.float64) for values in (likes, total, prior))
    share: NDArray[np.float64] = np.asarray((liked + strength * overall) / (rated + strength))
    return share


def item_user_mean(
    item_share: ArrayLike, user_share: ArrayLike, global_share: ArrayLike, margin: float = 0.01
) -> NDArray[np.float64]:
    """The chance of a like from the item's and the user's shares alone: their effects add up in log-odds.

    Args:
        item_share: the item's smoothed share of likes among others, shape (n,).
        user_share: the user's smoothed share of likes in the history, shape (n,).
        global_share: the overall share, a number or shape (n,).
        margin: shares and result are kept within [margin, 1 - margin].

    Returns:
        Probabilities, shape (n,).

    Example:
        >>> round(item_user_mean(0.8, 0.5, 0.5).item(), 6)
        0.8
    """
    shares = (
        np.clip(np.asarray(s, dtype=np.float64), margin, 1 - margin) for s in (item_share, user_share, global_share)
    )
    item, user, overall = (np.log(share / (1 - share)) for share in shares)
    probability: NDArray[np.float64] = 1 / (1 + np.exp(-(item + user - overall)))
    return np.clip(probability, margin, 1 - margin)


@dataclass(frozen=True)
class ItemStatistics:
    """What a set of users thought of each item, told to anybody without that one's own ratings.

    It is built from users that may be learnt from alone (roles lm and lm_extra), and with a temporal split from what
    lies before the cut-off alone. Leaving one out has a price: among the rows of one item that went into the source,
    those who liked it see a slightly lower share than those who did not. Nothing that is fitted on such rows should
    know the item's identity; rows of other users are free of it.
    """

    pairs: pl.DataFrame
    """``user_id, item_id, rating, label``: each rater's last opinion of each item."""
    prior_strength: float

    @classmethod
    def from_interactions(
        cls, interactions: pl.DataFrame, like_threshold: float, prior_strength: float = 5.0
    ) -> ItemStatistics:
        """From ``Log.interactions`` of the users that may be learnt from; a repeated rating replaces the first.

        Where they have a ``label``, that decides what was liked, otherwise the threshold does.
        """
        last = interactions.sort("timestamp", "event_id").unique(["user_id", "item_id"], keep="last")
        liked = pl.col("label") if "label" in interactions.columns else pl.col("rating") >= like_threshold
        label = liked.cast(pl.Int32).alias("label")
        pairs = last.select("user_id", "item_id", "rating", label).sort("user_id", "item_id")
        return cls(pairs=pairs, prior_strength=prior_strength)

    @property
    def global_share(self) -> float:
        """The share of likes among all ratings; 0.5 if there are none."""
        return float(self.pairs["label"].sum()) / self.pairs.height if self.pairs.height else 0.5

    def lookup(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """What the other users thought of each item.

        Args:
            pairs: rows with ``user_id`` and ``item_id``; other columns stay.

        Returns:
            The same rows in the same order with ``raters`` Int32, ``likes`` Int32, ``mean_rating`` Float64 (null
            without raters) and ``like_share_smoothed`` Float64. The row's user is left out of all four, also of the
            overall share towards which the last one is smoothed.
        """
        totals = (pl.len().alias("n"), pl.col("label").sum().alias("l"), pl.col("rating").sum().alias("r"))
        by_item = self.pairs.group_by("item_id").agg(totals)
        by_user = self.pairs.group_by("user_id").agg(totals).rename({"n": "n_user", "l": "l_user", "r": "r_user"})
        own = self.pairs.with_columns(pl.lit(1, pl.UInt32).alias("n_own"))
        own = own.rename({"label": "l_own", "rating": "r_own"})
        rows = (
            pairs.select("user_id", "item_id")
            .join(by_item, on="item_id", how="left", maintain_order="left")
            .join(own, on=["user_id", "item_id"], how="left", maintain_order="left")
            .join(by_user, on="user_id", how="left", maintain_order="left")
            .fill_null(0)
            .with_columns(pl.col("^[nlr](_.*)?$").cast(pl.Float64))
        )
        raters, likes = rows["n"] - rows["n_own"], rows["l"] - rows["l_own"]
        all_others = (self.pairs.height - rows["n_user"]).to_numpy()
        likes_of_others = (float(self.pairs["label"].sum()) - rows["l_user"]).to_numpy()
        prior = np.where(all_others > 0, likes_of_others / np.maximum(all_others, 1), 0.5)
        mean = pl.DataFrame({"sum": rows["r"] - rows["r_own"], "n": raters}).select(
            pl.when(pl.col("n") > 0).then(pl.col("sum") / pl.col("n"))
        )
        share = smoothed_share(likes.to_numpy(), raters.to_numpy(), prior, self.prior_strength)
        return pairs.with_columns(
            raters.cast(pl.Int32).alias("raters"),
            likes.cast(pl.Int32).alias("likes"),
            mean.to_series().alias("mean_rating"),
            pl.Series("like_share_smoothed", share, dtype=pl.Float64),
        )

    def history_share(self, histories: pl.DataFrame) -> pl.DataFrame:
        """Each user's smoothed share of likes in the history: ``user_id, history_share`` Float64.

        Args:
            histories: ``Split.histories``.
        """
        table = histories.group_by("user_id", maintain_order=True).agg(pl.col("label").sum().alias("l"), pl.len())
        share = smoothed_share(table["l"], table["len"], self.global_share, self.prior_strength)
        return table.select("user_id", pl.Series("history_share", share, dtype=pl.Float64))

    def baseline(self, pairs: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
        """``item_user_mean`` of each row: the same rows in the same order with ``probability`` Float64.

        Users without a history count as average ones.
        """
        item = self.lookup(pairs.select("user_id", "item_id"))["like_share_smoothed"]
        user = pairs.select("user_id").join(
            self.history_share(histories), on="user_id", how="left", maintain_order="left"
        )
        share = user["history_share"].fill_null(self.global_share)
        probability = item_user_mean(item, share, self.global_share)
        return pairs.with_columns(pl.Series("probability", probability, dtype=pl.Float64))
