"""An arm of a study: beside the texts, the log-odds that validators give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trackrec.errors import RunError
from trackrec.rankers.arm import Arm, Inputs, as_arm
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.users.history_features import HistoryNumbers


@dataclass(frozen=True)
class StudyArm(Arm):
    """An arm that may also give its rankers validators' scores."""

    scores: tuple[pl.DataFrame, ...] = ()
    """Of each validator ``user_id, event_id, yes_probability``, see :func:`score_column`."""

    def inputs(
        self,
        plain: Sequence[Examples],
        frames: Sequence[pl.DataFrame],
        held_out: list[object],
        numbers: HistoryNumbers,
        components: int,
        name: str,
    ) -> tuple[VectorTable | None, list[Examples]]:
        """See :meth:`trackrec.rankers.arm.Arm.inputs`."""
        table, parts = super().inputs(plain, frames, held_out, numbers, components, name)
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
    return arm if isinstance(arm, StudyArm) else StudyArm(arm.users, arm.projected, arm.items, arm.item_components)


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
