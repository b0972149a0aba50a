"""From a text vector of hundreds of numbers to the few that a small recommender can learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from trackrec.ranking.vectors import Floats

Matrix = npt.NDArray[np.float64]

RIDGES = np.logspace(-5, 1, 19)
"""Ridge strengths that are tried, as multiples of the vectors' mean square norm."""


@dataclass(frozen=True)
class Projection:
    """Centre, directions and scale of text vectors, learned without a single target's label.

    RecCoTs of one style lie close together, and what they differ by most is titles and wording: "likes 9 in 10 films"
    and "likes 3 in 10" are neighbours, and the main directions of the vectors miss the difference. With a few
    hundred users a recommender cannot find it by itself in 384 dimensions. So the directions are those that tell most
    about the history that the text was written from (reduced-rank ridge regression, one strength per number, chosen by
    leaving one out). What a text says of its history decides where it lands; whether that helps to predict anything is
    for the recommender to find out.
    """

    mean: Floats
    """Shape (dimensions,)."""
    directions: Floats
    """Shape (dimensions, components), scaled so that the coordinates' mean square is 1 over all components."""

    @classmethod
    def fit(cls, vectors: Floats, components: int, told: Matrix | None = None) -> Projection:
        """Learn the directions.

        Args:
            vectors: of training users, shape (texts, dimensions).
            components: most directions.
            told: what the history behind each text says, shape (texts, numbers), see :func:`history_numbers`. None,
                or numbers that the texts do not tell: the main directions of the vectors.
        """
        values = np.asarray(vectors, dtype=np.float64)
        mean = values.mean(axis=0)
        left, singular, right = np.linalg.svd(values - mean, full_matrices=False)
        keep = singular > 1e-6 * max(float(singular[0]), 1e-12)
        left, singular, right = left[:, keep], singular[keep], right[keep]
        directions = right.T if told is None else right.T @ _ridge(left, singular, told)
        if not directions.any():
            directions = right.T
        _, _, axes = np.linalg.svd((values - mean) @ directions, full_matrices=False)
        directions = directions @ axes[:components].T
        spread = float(np.sqrt(np.mean(((values - mean) @ directions) ** 2)))
        return cls(mean.astype(np.float32), (directions / max(spread, 1e-9)).astype(np.float32))

    def __call__(self, vectors: Floats) -> Floats:
        """Shape (texts, dimensions) -> (texts, components)."""
        return np.asarray((vectors - self.mean) @ self.directions, dtype=np.float32)


def _ridge(left: Matrix, singular: Matrix, told: Matrix) -> Matrix:
    """Coefficients of each standardised number on the right singular vectors, shape (rank, numbers).

    A number that no ridge strength predicts better than its mean does, each text left out in turn, gets zeros.
    """
    wanted = (told - told.mean(axis=0)) / np.maximum(told.std(axis=0), 1e-9)
    seen = left.T @ wanted
    best = (wanted**2).sum(axis=0)
    chosen = np.zeros((len(singular), wanted.shape[1]))
    for strength in RIDGES * float((singular**2).sum()):
        shrink = singular**2 / (singular**2 + strength)
        leverage = (left**2) @ shrink
        residual = (wanted - left @ (shrink[:, None] * seen)) / np.maximum(1 - leverage, 1e-9)[:, None]
        error = (residual**2).sum(axis=0)
        better = error < best
        best = np.where(better, error, best)
        chosen[:, better] = ((shrink / singular)[:, None] * seen)[:, better]
    return chosen


def history_numbers(histories: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """What each history says, by counting: ``user_id, numbers`` (list of Float64, equally long for all users).

    The numbers are the share of likes, drawn to everybody's by two imagined items, then for each genre of the
    catalogue how much more its items were liked than the user's own share says (drawn to 0 by three imagined items)
    and the share of the history that has the genre. Without genres the share of likes stands alone.

    Args:
        histories: ``user_id, item_id, label``.
        items: the catalogue: ``item_id, genres`` (lists, optional).
    """
    overall = pl.col("label").mean().over(pl.lit(1))
    labelled = histories.select("user_id", "item_id", pl.col("label").cast(pl.Float64)).with_columns(overall=overall)
    share = (pl.col("label").sum() + 2 * pl.col("overall").first()) / (pl.len() + 2)
    users = labelled.group_by("user_id").agg(share=share, rated=pl.len()).sort("user_id")
    table = users.select("user_id", "share")
    if "genres" in items.columns:
        rows = labelled.join(items.select("item_id", "genres"), on="item_id", how="left").explode("genres")
        rows = rows.filter(pl.col("genres").is_not_null()).join(users, on="user_id")
        shift = (pl.col("label") - pl.col("share")).sum() / (pl.len() + 3)
        counted = rows.group_by("user_id", "genres").agg(shift=shift, part=pl.len() / pl.col("rated").first())
        for genre in sorted(rows["genres"].unique().to_list()):
            one = counted.filter(pl.col("genres") == genre).select(
                "user_id", pl.col("shift").alias(f"shift {genre}"), pl.col("part").alias(f"part {genre}")
            )
            table = table.join(one, on="user_id", how="left", maintain_order="left")
    numbers = pl.concat_list(pl.exclude("user_id").fill_null(0.0).cast(pl.Float64)).alias("numbers")
    return table.select("user_id", numbers)
