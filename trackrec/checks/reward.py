"""Grounding as a reward: texts pay for what their user's history contradicts."""

from __future__ import annotations

from typing import Self

import polars as pl

from trackrec.checks.truth_measures import sample_counts
from trackrec.checks.vocabulary import Vocabulary
from trackrec.judges.rewards import ExtraRewardSettings, RewardContext, grounding_penalty
from trackrec.prompts.domains import find_domain
from trackrec.users.histories import Histories


class GroundingSettings(ExtraRewardSettings):
    """How much is taken off a RecCoT whose checkable claims are all contradicted; a part of it for a part of them."""

    type: str = "grounding"


class Grounding:
    """An extra reward (see :class:`trackrec.judges.rewards.Reward`): minus the share of contradicted claims.

    Args:
        vocabulary: what texts can name.
    """

    Settings = GroundingSettings

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @classmethod
    def make(cls, settings: GroundingSettings, context: RewardContext) -> Self:
        """See :mod:`trackrec.registry`."""
        return cls(
            Vocabulary(context.items, find_domain(context.domain), context.attributes, context.profile, context.is_ours)
        )

    def __call__(self, scores: pl.DataFrame, texts: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
        """``user_id, sample, reward`` in [-1, 0], and ``checkable``, ``contradicted``: the claims counted."""
        counts = sample_counts(texts, Histories(histories), self.vocabulary)
        earned = -grounding_penalty(counts["contradicted"], counts["checkable"], 1.0)
        return counts.select("user_id", "sample", pl.Series("reward", earned), "checkable", "contradicted")
