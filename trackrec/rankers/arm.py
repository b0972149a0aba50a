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
            plain: training, validation and test examples.
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
        return table, [part.with_vectors(example_rows(rows, frame)) for part, frame in zip(plain, frames, strict=True)]


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
