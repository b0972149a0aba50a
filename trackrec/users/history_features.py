"""What a history says by counting, and how much each number weighs when directions of text vectors are chosen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trackrec.users.counts import DIRECTIONS, GENEROSITY_PRIOR, generosity, left_over, name_counts

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
        "tag shift": 0.5,
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
        "tag shift": 0.25,
    },
}
"""How much a number (by the first part of its name) counts beside the others, in its own standard deviations. Whether
somebody likes an item is first of all a matter of how easily he likes; which of ten items he watched, of what he
usually watches. Among 37 equal numbers those few would be lost. The same for all texts and arms; chosen on validation
users (docs/experiments.md), but for tags, which were given half of what genres have."""
MOST_TAGS = 40
"""So many tags are numbers of their own, those that most events of the histories have."""


@dataclass(frozen=True)
class HistoryNumbers:
    """The numbers of every user's history."""

    table: pl.DataFrame
    """``user_id, numbers`` (list of Float64, equally long for all users)."""
    names: tuple[str, ...]
    """What each number is."""

    @property
    def digest(self) -> str:
        """SHA-256 of the numbers (to nine places) and their weights: what is learned with others is out of date."""
        told = self.table.sort("user_id").with_columns(pl.col("numbers").list.eval(pl.element().round(9)))
        said = told.write_json() + json.dumps([self.names, WEIGHTS])
        return hashlib.sha256(said.encode()).hexdigest()

    def weights(self, purpose: Purpose) -> Matrix:
        """The weight of each number, shape (numbers,)."""
        return np.array([WEIGHTS[purpose][name.partition(":")[0]] for name in self.names])


def history_numbers(histories: pl.DataFrame, items: pl.DataFrame, counted: pl.Series | None = None) -> HistoryNumbers:
    """What each history says, by counting; no label of a target is read.

    Genres and tags are counted as the profile counts them, from another level (``DIRECTIONS`` of
    :mod:`trackrec.users.counts`).

    share: share of likes, drawn by two imagined items to what is expected of the user's items. generosity: see
    :func:`trackrec.users.counts.generosity`. popularity: mean log(1 + counted histories of others with the item).
    year: mean year. popular taste, year taste: slope of what generosity leaves over on popularity and on year, drawn
    to 0. shift: of a genre, mean of what generosity leaves over, drawn to 0 by three imagined items. part: share of the
    history that has the genre. tag shift: as shift, of the ``MOST_TAGS`` most frequent tags. Without genres, years or
    tags these are left out; so is generosity where histories do not say what is expected of an item, which then is the
    same of all items.

    Args:
        histories: ``user_id, item_id, label`` and, to know generosity, ``expected``: the share of likes that others,
            whose ratings may be used, gave the item.
        items: the catalogue: ``item_id, genres, tags`` (lists, optional) ``, year`` (optional).
        counted: users whose histories say how popular an item is; None: all.
    """
    columns: list[str] = [name for name in ("genres", "year") if name in items.columns]
    columns += ["tags"] if items.schema.get("tags") == pl.List(pl.String) else []
    known = "expected" in histories.columns
    expected = pl.col("expected") if known else pl.lit(float(histories["label"].mean() or 0.0))  # type: ignore[arg-type]
    of_counted = pl.lit(True) if counted is None else pl.col("user_id").is_in(counted.implode())
    rows = histories.select("user_id", "item_id", pl.col("label").cast(pl.Float64), expected.alias("expected"))
    rows = rows.join(
        items.unique("item_id", keep="first").select("item_id", *columns),
        on="item_id",
        how="left",
        maintain_order="left",
    )
    rows = rows.with_columns(counts=of_counted.cast(pl.Int32)).with_columns(
        popularity=(pl.col("counts").sum().over("item_id") - pl.col("counts")).cast(pl.Float64).log1p(),
        left=left_over(),
    )
    numbers: dict[str, pl.Expr] = {
        "share": (pl.col("label").sum() + GENEROSITY_PRIOR * pl.col("expected").mean()) / (pl.len() + GENEROSITY_PRIOR),
        "popularity": pl.col("popularity").mean(),
        "popular taste": _slope("popularity", 5.0),
    }
    if "year" in columns and rows["year"].drop_nulls().len():
        rows = rows.with_columns(pl.col("year").cast(pl.Float64))
        rows = rows.with_columns(pl.col("year").fill_null(items["year"].mean()))
        numbers |= {"year": pl.col("year").mean(), "year taste": _slope("year", 500.0)}
    table = rows.group_by("user_id").agg(**numbers).sort("user_id")
    if known:
        beyond = pl.col("label") - pl.col("expected")
        levels = rows.group_by("user_id").agg(generosity=generosity(beyond.cum_sum().last(), pl.len()))
        table = table.join(levels, on="user_id", how="left", maintain_order="left")
    values = pl.exclude("user_id").fill_null(0.0).cast(pl.Float64)
    names = tuple(name for name in table.columns if name != "user_id")
    told = table.select("user_id", pl.concat_list(values).alias("numbers"))
    if "genres" in columns:
        of_genres = name_counts(rows, "genres", DIRECTIONS)
        found = of_genres["name"].unique().sort()
        told, names = _with_numbers(told, names, of_genres, found, {"shift": "shift", "part": "part"})
    if "tags" in columns:
        of_tags = name_counts(rows, "tags", DIRECTIONS)
        often = of_tags.group_by("name").agg(pl.col("rated").sum()).sort("rated", "name", descending=[True, False])
        told, names = _with_numbers(told, names, of_tags, often["name"].head(MOST_TAGS).sort(), {"shift": "tag shift"})
    return HistoryNumbers(told, names)


def ranker_numbers(histories: pl.DataFrame, items: pl.DataFrame, roles: pl.DataFrame) -> HistoryNumbers:
    """:func:`history_numbers` when rankers are compared: how popular an item is, is counted among the other users.

    Args:
        histories, items: as there.
        roles: ``user_id, role``; nobody of the role "ranker" is counted for others.
    """
    compared = roles.filter(pl.col("role") == "ranker")["user_id"]
    users = histories["user_id"].unique()
    return history_numbers(histories, items, users.filter(~users.is_in(compared.implode())))


def _slope(name: str, strength: float) -> pl.Expr:
    """Slope of ``left`` on a column within a user; ``strength`` is added to the column's sum of squares."""
    centred = pl.col(name) - pl.col(name).mean()
    return (pl.col("left") * centred).sum() / ((centred**2).sum() + strength)


def _with_numbers(
    table: pl.DataFrame, known: tuple[str, ...], counted: pl.DataFrame, names: pl.Series, told: Mapping[str, str]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The table and its names with the numbers of some genres or tags, ``<what it is called>:<name>``.

    One matrix for all names, filled cell by cell, 0 where a history has none: catalogues with tens of thousands of
    tags are met.
    """
    if names.is_empty():  # a catalogue without genres: an empty mapping would not give whole numbers
        return table, known
    users = table["user_id"]
    places = counted.filter(pl.col("name").is_in(names.implode())).with_columns(
        row=pl.col("user_id").replace_strict(users, pl.int_range(len(users), eager=True), return_dtype=pl.Int64),
        column=pl.col("name").replace_strict(names, pl.int_range(len(names), eager=True), return_dtype=pl.Int64),
    )
    matrix = np.zeros((len(users), len(told) * len(names)))
    row, column = places["row"].to_numpy(), places["column"].to_numpy()
    for offset, number in enumerate(told):
        matrix[row, len(told) * column + offset] = places[number].fill_null(0.0).to_numpy()
    more = pl.Series("more", matrix.tolist(), dtype=pl.List(pl.Float64))
    both = table.with_columns(pl.concat_list("numbers", more))
    return both, (*known, *(f"{word}:{name}" for name in names for word in told.values()))
