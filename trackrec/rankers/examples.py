"""Tables as tensors: the item catalogue, the rating scale, the examples, the rows of text vectors they point to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from trackrec.errors import RunError
from trackrec.features.encoder import Floats
from trackrec.features.projection import Projection

YEAR_BUCKETS = 8
"""Items are put into this many buckets of about equal size by their year; bucket 0 means that no year is known."""
DENSE_FEATURES = 2
"""With the columns ``raters`` and ``likes``: log-odds of the smoothed like share against all items', log raters."""


GATHERED_BATCHES = 64
"""So many batches' rows are brought into order at once."""


@dataclass(frozen=True)
class ItemTable:
    """The catalogue as tensors. Row 0 is padding; item ``ids[k]`` has row k + 1."""

    ids: pl.Series
    genres: Tensor
    """Shape (items + 1, genres), float32: each row sums to 1 over the item's genres, or to 0 if it has none."""
    years: Tensor
    """Shape (items + 1,), int64: bucket of the year, 0 if unknown."""

    @classmethod
    def from_catalogue(cls, items: pl.DataFrame) -> ItemTable:
        """From ``items[item_id, genres (list of strings, optional), year (integer, optional)]``."""
        items = items.unique("item_id", keep="first").sort("item_id")
        genres = np.zeros((items.height + 1, 0), dtype=np.float32)
        if "genres" in items.columns:
            lists = [row or [] for row in items["genres"].to_list()]
            names = {name: k for k, name in enumerate(sorted({name for row in lists for name in row}))}
            genres = np.zeros((items.height + 1, len(names)), dtype=np.float32)
            for k, row in enumerate(lists):
                for name in set(row):
                    genres[k + 1, names[name]] = 1.0 / len(set(row))
        years = np.zeros(items.height + 1, dtype=np.int64)
        if "year" in items.columns and items["year"].drop_nulls().len():
            known = items["year"].is_not_null().to_numpy()
            values = items["year"].cast(pl.Float64).fill_null(0.0).to_numpy()
            inner = np.quantile(values[known], np.linspace(0, 1, YEAR_BUCKETS + 1)[1:-1])
            years[1:] = np.where(known, 1 + np.searchsorted(inner, values, side="right"), 0)
        return cls(items["item_id"], torch.from_numpy(genres), torch.from_numpy(years))

    def rows(self, ids: pl.Series) -> Tensor:
        """Row numbers of the items, int64, shape (ids,).

        Raises:
            RunError: an item that the catalogue does not hold.
        """
        lookup = pl.DataFrame({"item_id": self.ids}).with_row_index("row", offset=1)
        try:
            found = pl.DataFrame({"item_id": ids}).join(lookup, on="item_id", how="left", maintain_order="left")
        except pl.exceptions.SchemaError as error:
            raise RunError(
                f"Item ids arrived as {ids.dtype}, but the catalogue holds them as {self.ids.dtype}: use one type."
            ) from error
        missing = found.filter(pl.col("row").is_null())
        if missing.height:
            raise RunError(
                f"{missing.height} item ids are not in the catalogue, for example {missing['item_id'][0]!r}: "
                "check the log (it counts such rows) before ranking."
            )
        return torch.from_numpy(found["row"].cast(pl.Int64).to_numpy().copy())


@dataclass(frozen=True)
class RatingScale:
    """Ratings as bucket numbers, so that each step of the scale can mean its own; bucket 0 is "no rating"."""

    edges: npt.NDArray[np.float64]
    """Lower ends of buckets 2, 3, ...; ascending."""

    @classmethod
    def fit(cls, ratings: pl.Series) -> RatingScale:
        """A bucket for each value if there are at most 20 of them, otherwise ten of equal size."""
        values = ratings.drop_nulls().unique().sort().cast(pl.Float64).to_numpy()
        if len(values) > 20:
            values = np.unique(np.quantile(ratings.drop_nulls().cast(pl.Float64).to_numpy(), np.linspace(0, 0.9, 10)))
        return cls((values[1:] + values[:-1]) / 2 if len(values) > 1 else np.zeros(0))

    @property
    def buckets(self) -> int:
        """Number of buckets, "no rating" included."""
        return len(self.edges) + 2

    def rows(self, ratings: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Bucket of each rating, 1 or more."""
        return np.asarray(1 + np.searchsorted(self.edges, ratings, side="right"), dtype=np.int64)


@dataclass(frozen=True)
class VectorTable:
    """Text vectors that examples point to by row. Row 0 is "no text": its values are never read."""

    values: Tensor
    """Of users' RecCoTs, shape (texts + 1, components), float32; of width 0 without them."""
    items: tuple[Tensor, ...] = ()
    """Of each source that speaks of items (item text, item RecCoT), shape (texts + 1, components), float32."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Length of the vectors of each source that there is: the users' first, then the items'."""
        return tuple(table.shape[1] for table in (self.values, *self.items) if table.shape[1])

    def look_up(self, batch: Examples) -> list[tuple[Tensor, Tensor]]:
        """Per source the examples' vectors, shape (batch, components), and which are there, bool, shape (batch,).

        Raises:
            ValueError: the examples point to another number of item sources.
        """
        if batch.item_vectors.shape[1] != len(self.items):
            raise ValueError(
                f"The examples point to {batch.item_vectors.shape[1]} item sources of text vectors, but the table has "
                f"{len(self.items)}: give Examples.with_item_vectors one column a table."
            )
        rows = [(self.values, batch.vector), *zip(self.items, batch.item_vectors.unbind(1), strict=True)]
        return [(table[row], row > 0) for table, row in rows if table.shape[1]]

    def to(self, device: torch.device) -> VectorTable:
        """The same tables on another device."""
        return VectorTable(self.values.to(device), tuple(table.to(device) for table in self.items))

    @classmethod
    def from_vectors(cls, vectors: Floats, projection: Projection) -> VectorTable:
        """Vector k (shape (texts, dimensions)) becomes row k + 1."""
        projected = projection(vectors)
        return cls(torch.from_numpy(np.vstack([np.zeros((1, projected.shape[1]), np.float32), projected])))


@dataclass(frozen=True)
class Examples:
    """n examples as tensors; ``length`` is the number of recent events in view (0: the model has no sequence)."""

    item: Tensor
    """Target item's row in the catalogue, int64, shape (n,)."""
    recent: Tensor
    """Rows of the items before it, oldest first, filled up behind with 0, int64, shape (n, length)."""
    rating: Tensor
    """Rating buckets of those, int64, shape (n, length)."""
    seen: Tensor
    """How many of those are real, int64, shape (n,)."""
    dense: Tensor
    """Dense item features, float32, shape (n, features); width 0 without item statistics."""
    vector: Tensor
    """Row in the vector table, 0 without a RecCoT, int64, shape (n,)."""
    label: Tensor
    """1.0 liked, 0.0 not, shape (n,)."""
    item_vectors: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.int64))
    """Row in each item source's vector table, 0 without a text, int64, shape (n, item sources); often width 0."""
    score: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    """Log-odds of P(Yes) that each validator gives to the example, NaN where it gave none (a model reads a mask bit
    then), float32, shape (n, validators); often width 0."""

    def __post_init__(self) -> None:
        for name in ("item_vectors", "score"):
            if getattr(self, name).shape[1] == 0:
                object.__setattr__(self, name, getattr(self, name).new_zeros((len(self.item), 0)))

    def __len__(self) -> int:
        return len(self.item)

    def take(self, rows: Tensor | slice) -> Examples:
        """These rows, in this order; of a slice nothing is copied."""
        return Examples(**{part.name: getattr(self, part.name)[rows] for part in fields(self)})

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[Examples]:
        """Batches of at most ``size``, in the given order (default: as they stand).

        Rows are gathered for many batches at once, and a batch is a view of them: cheaper than gathering each.
        """
        step = size * GATHERED_BATCHES
        for first in range(0, len(self) if order is None else len(order), step):
            rows = slice(first, first + step) if order is None else order[first : first + step]
            gathered = self.take(rows)
            for start in range(0, len(gathered), size):
                yield gathered.take(slice(start, start + size))

    def with_vectors(self, rows: Tensor) -> Examples:
        """The same examples with other rows of the users' vector table."""
        return replace(self, vector=rows)

    def with_item_vectors(self, rows: Tensor) -> Examples:
        """The same examples with other rows of the item sources' tables, shape (n, item sources)."""
        return replace(self, item_vectors=rows)

    def with_scores(self, log_odds: Tensor) -> Examples:
        """The same examples with validators' log-odds, NaN where there is none, shape (n, validators)."""
        return replace(self, score=log_odds)

    def to(self, device: torch.device) -> Examples:
        """The same examples on another device."""
        return Examples(**{part.name: getattr(self, part.name).to(device) for part in fields(self)})


def build_examples(
    frame: pl.DataFrame, items: ItemTable, scale: RatingScale, recent: int, like_share: float | None = None
) -> Examples:
    """Tensors of examples, without RecCoTs yet (see :meth:`Examples.with_vectors`).

    Args:
        frame: ``item_id, label, recent_item_ids, recent_ratings`` (lists, oldest first), and ``raters, likes`` (the
            target item's counts among other users) where ``like_share`` is given.
        items: the catalogue.
        scale: rating buckets.
        recent: how many of the last events are in view.
        like_share: share of likes over all items, which small counts are drawn to; None: no dense features.
    """
    lists = frame.select(
        ids=pl.col("recent_item_ids").list.tail(recent), ratings=pl.col("recent_ratings").list.tail(recent)
    )
    seen = lists["ids"].list.len().fill_null(0).cast(pl.Int64).to_numpy()
    rows = np.zeros((frame.height, recent), dtype=np.int64)
    buckets = np.zeros((frame.height, recent), dtype=np.int64)
    filled = np.arange(recent)[None, :] < seen[:, None]
    if filled.any():
        full = lists.filter(pl.col("ids").list.len() > 0)
        rows[filled] = items.rows(full["ids"].explode()).numpy()
        buckets[filled] = scale.rows(full["ratings"].explode().cast(pl.Float64).to_numpy())
    dense = np.zeros((frame.height, 0), dtype=np.float32)
    if like_share is not None:
        dense = item_statistics_features(frame, like_share)
    return Examples(
        item=items.rows(frame["item_id"]),
        recent=torch.from_numpy(rows),
        rating=torch.from_numpy(buckets),
        seen=torch.from_numpy(seen.copy()),
        dense=torch.from_numpy(dense),
        vector=torch.zeros(frame.height, dtype=torch.int64),
        label=torch.from_numpy(frame["label"].cast(pl.Float32).to_numpy().copy()),
    )


def item_statistics_features(frame: pl.DataFrame, like_share: float, strength: float = 5.0) -> Floats:
    """Dense features of the target item from its ``raters`` and ``likes``, shape (rows, 2).

    Log-odds of (likes + strength * like_share) / (raters + strength) against those of ``like_share``, and
    log(1 + raters) / 5: an item that nobody rated gets (0, 0).
    """
    raters = frame["raters"].cast(pl.Float64).to_numpy()
    likes = frame["likes"].cast(pl.Float64).to_numpy()
    share = (likes + strength * like_share) / (raters + strength)
    odds = np.log(share / (1 - share)) - np.log(like_share / (1 - like_share))
    return np.stack([odds, np.log1p(raters) / 5], axis=1).astype(np.float32)
