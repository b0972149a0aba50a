"""An arm of a study: beside the user's text, vectors of items and the log-odds that validators give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trackrec.errors import RunError
from trackrec.features.encoder import Floats, present_vectors
from trackrec.features.projection import Projection
from trackrec.rankers.arm import Arm, Inputs, as_arm
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.users.history_features import HistoryNumbers


@dataclass(frozen=True)
class StudyArm(Arm):
    """An arm that may also give its rankers texts on items, and validators' scores."""

    items: tuple[pl.DataFrame, ...] = ()
    """Of each source that speaks of items (item text, item knowledge) ``item_id, vector``, see
    :func:`trackrec.features.encoder.item_vectors`."""
    scores: tuple[pl.DataFrame, ...] = ()
    """Of each validator ``user_id, event_id, yes_probability``, see :func:`score_column`."""
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
        """See :meth:`trackrec.rankers.arm.Arm.inputs`; the directions of items' vectors come from the first frame."""
        table, parts = super().inputs(plain, frames, held_out, numbers, components, name)
        width = components if self.item_components is None else self.item_components
        sources = [item_vectors(vectors, frames[0], width, name) for vectors in self.items]
        if sources:
            users = torch.zeros(1, 0) if table is None else table.values
            table = VectorTable(users, tuple(values for values, _ in sources))
            rows = [found for _, found in sources]
            both = zip(parts, frames, strict=True)
            parts = [part.with_item_vectors(item_rows(rows, frame)) for part, frame in both]
        if self.scores:
            both = zip(parts, frames, strict=True)
            parts = [
                part.with_scores(torch.cat([score_column(scores, frame) for scores in self.scores], dim=1))
                for part, frame in both
            ]
        return table, parts


def as_study_arm(inputs: Inputs) -> StudyArm:
    """The arm that is meant."""
    arm = as_arm(inputs)
    return arm if isinstance(arm, StudyArm) else StudyArm(arm.users, arm.projected)


def item_vectors(
    vectors: pl.DataFrame, train: pl.DataFrame, components: int, name: str = "item text"
) -> tuple[Tensor, pl.DataFrame]:
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
    projected = Projection.fit(raw[known], components)(raw)
    values = torch.from_numpy(np.vstack([np.zeros((1, projected.shape[1]), np.float32), projected]))
    rows = present.select("item_id").with_row_index("row", offset=1).select("item_id", pl.col("row").cast(pl.Int64))
    return values, rows


def item_rows(sources: list[pl.DataFrame], frame: pl.DataFrame) -> Tensor:
    """For ``Examples.with_item_vectors``: each example's row of each source, 0 without one, (examples, sources)."""
    columns = [
        frame.select("item_id").join(rows, on="item_id", how="left", maintain_order="left")["row"].fill_null(0)
        for rows in sources
    ]
    return torch.from_numpy(np.stack([column.to_numpy() for column in columns], axis=1).astype(np.int64))


def score_column(scores: pl.DataFrame, frame: pl.DataFrame) -> Tensor:
    """For ``Examples.with_scores``: the log-odds of ``yes_probability``, NaN for an example without a score.

    Args:
        scores: ``user_id, event_id, yes_probability``, one row an example at most; probabilities are kept 1e-6 off 0
            and 1. They must come from a validator that never saw these users.
        frame: the examples, ``user_id, event_id``.

    Returns:
        Shape (examples, 1), float32.

    Raises:
        RunError: an example with two scores.
    """
    twice = scores.filter(pl.struct("user_id", "event_id").is_duplicated())
    if twice.height:
        row = twice.row(0, named=True)
        raise RunError(
            f"Event {row['event_id']} of user {row['user_id']!r} has more than one validator's score: give the scores "
            "of one RecCoT of each user."
        )
    chance = pl.col("yes_probability").cast(pl.Float64).clip(1e-6, 1 - 1e-6)
    odds = scores.select("user_id", "event_id", odds=(chance / (1 - chance)).log())
    joined = frame.select("user_id", "event_id").join(
        odds, on=["user_id", "event_id"], how="left", maintain_order="left"
    )
    return torch.from_numpy(joined["odds"].fill_null(float("nan")).to_numpy().astype(np.float32)).unsqueeze(1)
