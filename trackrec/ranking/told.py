"""What a history says by counting, and how much each number weighs when directions of text vectors are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

Matrix = npt.NDArray[np.float64]
Purpose = Literal["ctr", "rerank"]

WEIGHTS: dict[Purpose, dict[str, float]] = {
    "ctr": {
        "share": 2.0,
        "generosity": 5.0,
        "popularity": 1.0,
        "popular taste": 2.0,
        "year": 1.0,
        "year taste": 2.0,
        "shift": 1.0,
        "part": 0.5,
    },
    "rerank": {
        "share": 1.0,
        "generosity": 1.0,
        "popularity": 5.0,
        "popular taste": 1.0,
        "year": 5.0,
        "year taste": 1.0,
        "shift": 0.5,
        "part": 1.0,
    },
}
"""How much a number (by the first part of its name) counts beside the others, in its own standard deviations. Whether
somebody likes an item is first of all a matter of how easily he likes; which of ten items he watched, of what he
usually watches. Among 37 equal numbers those few would be lost. The same for all texts and arms; chosen on validation
users (docs/experiments.md)."""


@dataclass(frozen=True)
class HistoryNumbers:
    """The numbers of every user's history."""

    table: pl.DataFrame
    """``user_id, numbers`` (list of Float64, equally long for all users)."""
    names: tuple[str, ...]
    """What each number is."""

    def weights(self, purpose: Purpose) -> Matrix:
        """The weight of each number, shape (numbers,)."""
        return np.array([WEIGHTS[purpose][name.partition(":")[0]] for name in self.names])


def history_numbers(histories: pl.DataFrame, items: pl.DataFrame) -> HistoryNumbers:
    """What each history says, by counting; no label of a target is read.

    share: share of likes, drawn to everybody's by two imagined items. generosity: mean of like less the share of likes
    that others' histories give the item (drawn to everybody's by five imagined ratings), drawn to 0 by two imagined
    items. popularity: mean log(1 + others' histories with the item). year: mean year. popular taste, year taste: slope
    of what generosity leaves over on popularity and on year, drawn to 0. shift: of a genre, mean of what generosity
    leaves over, drawn to 0 by three imagined items. part: share of the history that has the genre. Without genres or
    years these are left out.

    Args:
        histories: ``user_id, item_id, label``.
        items: the catalogue: ``item_id, genres`` (lists, optional) ``, year`` (optional).
    """
    columns = [name for name in ("genres", "year") if name in items.columns]
    rows = histories.select("user_id", "item_id", pl.col("label").cast(pl.Float64))
    rows = rows.join(
        items.unique("item_id", keep="first").select("item_id", *columns),
        on="item_id",
        how="left",
        maintain_order="left",
    )
    overall = float(rows["label"].mean() or 0.0)  # type: ignore[arg-type]
    others = pl.len().over("item_id") - 1
    expected = (pl.col("label").sum().over("item_id") - pl.col("label") + 5 * overall) / (others + 5)
    rows = rows.with_columns(beyond=pl.col("label") - expected, popularity=others.cast(pl.Float64).log1p())
    rows = rows.with_columns(left=pl.col("beyond") - pl.col("beyond").mean().over("user_id"))
    numbers: dict[str, pl.Expr] = {
        "share": (pl.col("label").sum() + 2 * overall) / (pl.len() + 2),
        "generosity": pl.col("beyond").sum() / (pl.len() + 2),
        "popularity": pl.col("popularity").mean(),
        "popular taste": _slope("popularity", 5.0),
    }
    if "year" in columns and rows["year"].drop_nulls().len():
        rows = rows.with_columns(pl.col("year").cast(pl.Float64))
        rows = rows.with_columns(pl.col("year").fill_null(pl.col("year").mean()))
        numbers |= {"year": pl.col("year").mean(), "year taste": _slope("year", 500.0)}
    table = rows.group_by("user_id").agg(**numbers).sort("user_id")
    if "genres" in columns:
        table = table.join(_genre_numbers(rows), on="user_id", how="left", maintain_order="left")
    values = pl.exclude("user_id").fill_null(0.0).cast(pl.Float64)
    names = tuple(name for name in table.columns if name != "user_id")
    return HistoryNumbers(table.select("user_id", pl.concat_list(values).alias("numbers")), names)


def _slope(name: str, strength: float) -> pl.Expr:
    """Slope of ``left`` on a column within a user; ``strength`` is added to the column's sum of squares."""
    centred = pl.col(name) - pl.col(name).mean()
    return (pl.col("left") * centred).sum() / ((centred**2).sum() + strength)


def _genre_numbers(rows: pl.DataFrame) -> pl.DataFrame:
    """``user_id, shift:<genre>, part:<genre>`` of each genre."""
    rows = rows.with_columns(rated=pl.len().over("user_id")).with_columns(pl.col("genres").list.unique())
    rows = rows.explode("genres").filter(pl.col("genres").is_not_null())
    counted = rows.group_by("user_id", "genres").agg(
        shift=pl.col("left").sum() / (pl.len() + 3), part=pl.len() / pl.col("rated").first()
    )
    table = counted.select("user_id").unique().sort("user_id")
    for genre in sorted(counted["genres"].unique().to_list()):
        one = counted.filter(pl.col("genres") == genre)
        one = one.select("user_id", pl.col("shift").alias(f"shift:{genre}"), pl.col("part").alias(f"part:{genre}"))
        table = table.join(one, on="user_id", how="left", maintain_order="left")
    return table
