"""Lists as tensors: candidates, the user's recent events, and the text vectors that both point to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trackrec.rankers.examples import ItemTable, RatingScale, build_examples


@dataclass(frozen=True)
class ListExamples:
    """n lists of at most ``length`` candidates as tensors; what lies at or behind ``size`` is padding."""

    item: Tensor
    """Candidates' rows in the catalogue, 0 is padding, int64, shape (n, length)."""
    place: Tensor
    """Places in the initial order, 0 is the top, int64, shape (n, length). Candidates may stand in any order."""
    size: Tensor
    """How many candidates there are, int64, shape (n,)."""
    dense: Tensor
    """Dense features of the candidates, float32, shape (n, length, features)."""
    recent: Tensor
    """Rows of the events before the list, oldest first, filled up behind with 0, int64, shape (n, recent)."""
    rating: Tensor
    """Rating buckets of those, int64, shape (n, recent)."""
    seen: Tensor
    """How many of those are real, int64, shape (n,)."""
    vector: Tensor
    """The user's row in the table of user vectors, 0 without one, int64, shape (n,)."""
    item_vector: Tensor
    """The candidates' rows in the table of item vectors, 0 without one, int64, shape (n, length)."""
    label: Tensor
    """1.0 liked, 0.0 not, float32, shape (n, length)."""

    def __len__(self) -> int:
        return len(self.item)

    @property
    def mask(self) -> Tensor:
        """Where a candidate is, bool, shape (n, length)."""
        return torch.arange(self.item.shape[1])[None, :] < self.size[:, None]

    def take(self, rows: Tensor) -> ListExamples:
        """These lists, in this order."""
        return ListExamples(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[ListExamples]:
        """Batches of at most ``size`` lists, in the given order (default: as they stand)."""
        order = torch.arange(len(self)) if order is None else order
        for start in range(0, len(order), size):
            yield self.take(order[start : start + size])

    def with_vectors(self, users: Tensor | None = None, items: pl.DataFrame | None = None) -> ListExamples:
        """The same lists with other vectors.

        Args:
            users: rows in the table of user vectors, shape (n,); None: as they were.
            items: ``row`` (in the catalogue) and ``vector_row`` (in the table of item vectors); None: as they were.
        """
        changed = self if users is None else replace(self, vector=users)
        if items is None:
            return changed
        highest = max(int(self.item.max()) if self.item.numel() else 0, int(items["row"].to_numpy().max(initial=0)))
        lookup = torch.zeros(highest + 1, dtype=torch.int64)
        lookup[torch.from_numpy(items["row"].cast(pl.Int64).to_numpy().copy())] = torch.from_numpy(
            items["vector_row"].cast(pl.Int64).to_numpy().copy()
        )
        return replace(changed, item_vector=lookup[self.item])


def build_list_examples(
    lists: pl.DataFrame, items: ItemTable, scale: RatingScale, recent: int, length: int, like_share: float | None = None
) -> ListExamples:
    """Tensors of lists, without text vectors yet (see :meth:`ListExamples.with_vectors`).

    Args:
        lists: as :func:`research.reranking.lists.build_lists` makes them, all rows of a list together.
        items: the catalogue.
        scale: rating buckets.
        recent: how many of the last events before a list are in view.
        length: places of a list; those that a shorter list does not fill are padding.
        like_share: share of likes over all items, which small counts are drawn to; None: no dense features.
    """
    rows = build_examples(lists, items, scale, recent, like_share)
    numbers = lists.select(pl.struct("user_id", "list").rle_id()).to_series().cast(pl.Int64).to_numpy().copy()
    count = int(numbers[-1]) + 1 if len(numbers) else 0
    starts = np.searchsorted(numbers, np.arange(count))
    within = np.arange(len(numbers)) - starts[numbers] if count else np.zeros(0, dtype=np.int64)
    if len(within) and int(within.max()) >= length:
        raise ValueError(f"a list has {int(within.max()) + 1} candidates: expected at most {length}")
    at = (torch.from_numpy(numbers), torch.from_numpy(within))

    def spread(values: Tensor) -> Tensor:
        table = torch.zeros((count, length, *values.shape[1:]), dtype=values.dtype)
        table[at] = values
        return table

    first = torch.from_numpy(starts)
    return ListExamples(
        item=spread(rows.item),
        place=spread(torch.from_numpy(lists["place"].cast(pl.Int64).to_numpy().copy())),
        size=torch.from_numpy(np.bincount(numbers, minlength=count).astype(np.int64)),
        dense=spread(rows.dense),
        recent=rows.recent[first],
        rating=rows.rating[first],
        seen=rows.seen[first],
        vector=torch.zeros(count, dtype=torch.int64),
        item_vector=torch.zeros((count, length), dtype=torch.int64),
        label=spread(rows.label),
    )
