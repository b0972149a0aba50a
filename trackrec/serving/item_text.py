"""The vectors of items' own texts that a ranker behind the service reads: made when it is fitted, then from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trackrec.errors import RunError
from trackrec.rankers.arm import item_rows, projected_item_vectors
from trackrec.rankers.base import RankerSizes
from trackrec.rankers.examples import Examples, ItemTable

FILE = "item-text.safetensors"


@dataclass(frozen=True)
class ItemText:
    """One vector an item; an item without a text has none, which the ranker reads as zeros and a bit that says so."""

    tables: tuple[Tensor, ...]
    """For ``VectorTable.items``: one of shape (texts + 1, components), float32; none if the ranker reads no such text.
    """
    rows: Tensor
    """Where the vector of each row of the catalogue stands, 0 without one, int64, shape (items + 1, tables)."""

    @classmethod
    def none(cls, items: ItemTable) -> ItemText:
        """Of a ranker that knows items by id and features alone."""
        return cls((), torch.zeros(len(items.years), 0, dtype=torch.int64))

    @classmethod
    def of(cls, vectors: pl.DataFrame, items: ItemTable, train: pl.DataFrame, components: int) -> ItemText:
        """Vectors along the main directions of the items in the training examples.

        Args:
            vectors: ``item_id, vector``, see :func:`trackrec.features.encoder.item_vectors`.
            items: the catalogue.
            train: training examples, with ``item_id``.
            components: length of the vectors that the ranker reads.

        Raises:
            RunError: fewer than two items of the training examples have a vector.
        """
        values, found = projected_item_vectors(vectors, train, components)
        rows = item_rows([found], pl.DataFrame({"item_id": items.ids}))
        return cls((values,), torch.cat([torch.zeros(1, 1, dtype=torch.int64), rows]))

    def beside(self, examples: Examples) -> Examples:
        """The same examples with their items' vectors."""
        return examples.with_item_vectors(self.rows[examples.item])

    def save(self, folder: Path) -> None:
        """Write ``item-text.safetensors``; nothing without such texts."""
        for table in self.tables:
            save_file({"values": table.contiguous(), "rows": self.rows.contiguous()}, folder / FILE)

    @classmethod
    def load(cls, folder: Path, sizes: RankerSizes) -> ItemText:
        """What :meth:`save` wrote.

        Args:
            folder: of the ranker.
            sizes: of the ranker, which reads users' texts first.

        Raises:
            RunError: the ranker reads items' vectors, and they are not there or not those of its catalogue.
        """
        if len(sizes.texts) < 2:
            return cls.none(sizes.items)
        expected, path = (len(sizes.items.years), 1), folder / FILE
        remedy = "fit the ranker anew with trackrec publish --run"
        try:
            tensors = load_file(path)
            values, rows = tensors["values"], tensors["rows"]
        except (OSError, KeyError, SafetensorError) as error:
            raise RunError(
                f"the ranker in {folder} reads items' texts, but {path} holds no vectors of them ({error}): {remedy}"
            ) from error
        fits = values.shape[1:] == sizes.texts[1:2] and rows.shape == expected and rows.dtype == torch.int64
        if not fits or not 0 <= int(rows.min()) <= int(rows.max()) < len(values):
            raise RunError(
                f"{path} holds vectors of shape {tuple(values.shape)} and rows of shape {tuple(rows.shape)}, but the "
                f"ranker in {folder} was fitted with {sizes.texts[1]} numbers a vector and rows of shape {expected}, "
                f"each that of a vector: {remedy}"
            )
        return cls((values,), rows)
