"""An arm of a comparison: what its rankers are given beside the examples, and that as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from trackrec.errors import RunError
from trackrec.features.encoder import Floats, present_vectors
from trackrec.features.projection import Projection
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.users.history_features import HistoryNumbers, Purpose


@dataclass(frozen=True)
class Arm:
    """All that one arm differs from another by; an empty one is a model that takes no text."""

    users: pl.DataFrame | None = None
    """``user_id, vector`` (see :func:`trackrec.features.encoder.user_vectors`); None: no user text."""
    projected: bool = False
    """Whether the users' vectors are what the model reads; else directions are learned in each fold."""
    items: tuple[pl.DataFrame, ...] = ()
    """Of each source that speaks of items (item text, item knowledge) ``item_id, vector``, see
    :func:`trackrec.features.encoder.item_vectors`."""
    item_components: int | None = None
    """Directions of the items' vectors that the model reads; None: as many as of the users'."""

    def inputs(
        self,
        plain: Sequence[Examples],
        frames: Sequence[pl.DataFrame],
        held_out: list[object],
        numbers: HistoryNumbers,
        components: int,
        name: str,
    ) -> tuple[VectorTable | None, list[Examples]]:
        """The table of vectors, and the examples that point into it.

        Args:
            plain: training, validation and test examples. The directions of items' vectors come from the first.
            frames: their rows, ``user_id, event_id, item_id``.
            held_out: users whose vectors the directions may not be learned from.
            numbers: see :func:`trackrec.users.history_features.history_numbers`.
            components: length of the vectors that the model reads.
            name: of the arm, for errors.
        """
        if self.projected and self.users is not None:
            table, rows = projected_vectors(self.users)
        else:
            table, rows = arm_vectors(self.users, frames[0], held_out, numbers, components, name)
        parts = [part.with_vectors(example_rows(rows, frame)) for part, frame in zip(plain, frames, strict=True)]
        if not self.items:
            return table, parts
        width = components if self.item_components is None else self.item_components
        sources = [projected_item_vectors(vectors, frames[0], width, name) for vectors in self.items]
        users = torch.zeros(1, 0) if table is None else table.values
        table = VectorTable(users, tuple(values for values, _ in sources))
        found = [rows for _, rows in sources]
        both = zip(parts, frames, strict=True)
        return table, [part.with_item_vectors(item_rows(found, frame)) for part, frame in both]


Inputs = Arm | pl.DataFrame | None
"""An arm, or only its users' vectors, or nothing."""


def as_arm(inputs: Inputs) -> Arm:
    """The arm that is meant."""
    return inputs if isinstance(inputs, Arm) else Arm(inputs)


def projected_vectors(vectors: pl.DataFrame) -> tuple[VectorTable | None, pl.DataFrame]:
    """The table of vectors that need no further projection, and ``user_id, row`` into it."""
    present = present_vectors(vectors)
    values = np.asarray(present["vector"].to_list(), dtype=np.float32).reshape(present.height, -1)
    table = VectorTable(torch.from_numpy(np.vstack([np.zeros((1, values.shape[1]), dtype=np.float32), values])))
    return table, _rows(present)


def arm_vectors(
    vectors: pl.DataFrame | None,
    train: pl.DataFrame,
    held_out: list[object],
    numbers: HistoryNumbers,
    components: int,
    name: str,
    purpose: Purpose = "ctr",
) -> tuple[VectorTable | None, pl.DataFrame]:
    """The projected vectors of an arm and ``user_id, row`` into them.

    The directions are learned from the vectors of all users but those held out (the arm's LM users count too: no
    label of a target is used) and the histories behind them. For swapped vectors
    that is the history of the user they were written for, so that a placebo's coordinates are those of the real
    arm and only sit with the wrong users.
    """
    if vectors is None:
        return None, train.select("user_id").head(0).with_columns(row=pl.lit(0, dtype=pl.Int64))
    present = present_vectors(vectors)
    training = present["user_id"].is_in(train["user_id"].unique().to_list()).sum()
    if training < 2:
        raise RunError(
            f"Arm {name!r} has vectors for {training} training users: nothing can be learned from them. "
            "Write RecCoTs for the ranker users, or leave the arm out."
        )
    raw: Floats = np.asarray(present["vector"].to_list(), dtype=np.float32)
    source = "source_user_id" if "source_user_id" in present.columns else "user_id"
    behind = present.select(user_id=source).join(numbers.table, on="user_id", how="left", maintain_order="left")
    known = (~present["user_id"].is_in(held_out) & behind["numbers"].is_not_null()).to_numpy()
    told = np.asarray(behind.filter(pl.Series(known))["numbers"].to_list(), dtype=np.float64) if known.any() else None
    fitted = (~present["user_id"].is_in(held_out)).to_numpy() if told is None else known
    table = VectorTable.from_vectors(raw, Projection.fit(raw[fitted], components, told, numbers.weights(purpose)))
    return table, _rows(present)


def _rows(present: pl.DataFrame) -> pl.DataFrame:
    """``user_id, row``: where each user's vector stands; row 0 is nobody's."""
    return present.select("user_id").with_row_index("row", offset=1).select("user_id", pl.col("row").cast(pl.Int64))


def example_rows(rows: pl.DataFrame, frame: pl.DataFrame) -> torch.Tensor:
    """Each example's row in the vector table, 0 for users without a vector; int64, shape (examples,)."""
    joined = frame.select("user_id").join(rows, on="user_id", how="left", maintain_order="left")
    return torch.from_numpy(joined["row"].fill_null(0).to_numpy().copy())


def projected_item_vectors(
    vectors: pl.DataFrame, train: pl.DataFrame, components: int, name: str = "item text"
) -> tuple[torch.Tensor, pl.DataFrame]:
    """The table of one item source and ``item_id, row`` into it (see :func:`item_rows`).

    The directions are the main ones of the vectors of the items in the training examples; no label is used.

    Args:
        vectors: ``item_id, vector`` (list of float32, null where there is none).
        train: training examples, with ``item_id``.
        components: length of the vectors that the model reads.
        name: of the source, for the error.

    Returns:
        Values of shape (texts + 1, components) for ``VectorTable.items`` (row 0 is never read), and the rows.

    Raises:
        RunError: fewer than two items of the training examples have a vector.
    """
    present = present_vectors(vectors)
    known = present["item_id"].is_in(train["item_id"].unique().to_list()).to_numpy()
    if known.sum() < 2:
        raise RunError(
            f"The source {name!r} has vectors for {known.sum()} items of the training examples: nothing can be learned "
            "from them. Write texts for the catalogue's items, or leave the source out."
        )
    raw: Floats = np.asarray(present["vector"].to_list(), dtype=np.float32)
    projected = Projection.fit(raw[known], components).oriented()(raw)
    values = torch.from_numpy(np.vstack([np.zeros((1, projected.shape[1]), np.float32), projected]))
    rows = present.select("item_id").with_row_index("row", offset=1).select("item_id", pl.col("row").cast(pl.Int64))
    return values, rows


def item_rows(sources: list[pl.DataFrame], frame: pl.DataFrame) -> torch.Tensor:
    """For ``Examples.with_item_vectors``: each example's row of each source, 0 without one, (examples, sources)."""
    columns = [
        frame.select("item_id").join(rows, on="item_id", how="left", maintain_order="left")["row"].fill_null(0)
        for rows in sources
    ]
    return torch.from_numpy(np.stack([column.to_numpy() for column in columns], axis=1).astype(np.int64))
