"""The reward of a RecCoT: how well the validator that read it predicts what the user really did."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from trackrec.errors import RunError
from trackrec.settings import ComponentSettings
from trackrec.users.counts import ProfileSettings

RewardKind = Literal["log_likelihood", "probability"]
PLACEHOLDER = -1
"""The sample number under which the validator's scores without any RecCoT stand."""
SMALLEST_PROBABILITY = 1e-6
"""Floor under log: one target about which the validator is surely wrong must not decide alone (log gives -13.8)."""


class Reward(Protocol):
    """Says what each RecCoT earns. ``trackrec.testing.component_suites.check_reward`` is what every reward passes."""

    def __call__(self, scores: pl.DataFrame, texts: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
        """The rewards of a batch of users.

        Args:
            scores: ``user_id, sample, event_id, label, yes_probability``, a row for each RecCoT (the placeholder's
                sample is -1) and target.
            texts: ``user_id, sample, text, finished``.
            histories: the users' events, ``user_id, position, item_id, rating, label, ...``, oldest first.

        Returns:
            ``user_id, sample, event_id, reward`` where a target earns (the recipe's ``reward``), in the order of
            ``scores``; ``user_id, sample, reward`` where the text does (``extra_rewards``). Higher is better.
        """
        ...


class RewardContext(NamedTuple):
    """What a reward may ask for when it is made."""

    items: pl.DataFrame
    """The catalogue."""
    domain: str
    """The prompts' domain, by name or file."""
    attributes: tuple[str, ...]
    """Further columns of the items that prompts tell."""
    profile: ProfileSettings
    """How much evidence a claim about a user needs."""
    is_ours: bool = False
    """The texts are this project's own: see `trackrec.checks.gate.is_ours`."""


class LogLikelihoodSettings(ComponentSettings):
    """Paid by the log-likelihood of the true labels, in nats a target."""

    type: str = "log_likelihood"


class ProbabilitySettings(ComponentSettings):
    """Paid by the probability of the true labels (the paper)."""

    type: str = "probability"


class ExtraRewardSettings(ComponentSettings):
    """A reward that is paid for the text itself, beside that for what the judge predicts."""

    weight: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    """What it counts, in the unit of ``reward``: a text that earns 1 more is worth so much more."""


class _ByTarget:
    """A reward that each target earns by its formula, see `target_reward`."""

    kind: ClassVar[RewardKind]

    @classmethod
    def make(cls, settings: ComponentSettings, context: Any) -> Self:
        """See :mod:`trackrec.registry`; nothing is asked for."""
        return cls()

    def __call__(self, scores: pl.DataFrame, texts: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
        """See :class:`Reward`."""
        # A null becomes NaN here, which `target_reward` refuses by name.
        yes, label = scores["yes_probability"].cast(pl.Float64).to_numpy(), scores["label"].to_numpy()
        return scores.select("user_id", "sample", "event_id", pl.Series("reward", target_reward(yes, label, self.kind)))


class LogLikelihood(_ByTarget):
    """Log-likelihood of the true label."""

    Settings = LogLikelihoodSettings
    kind = "log_likelihood"


class Probability(_ByTarget):
    """Probability of the true label."""

    Settings = ProbabilitySettings
    kind = "probability"


def target_reward(probabilities: ArrayLike, labels: ArrayLike, kind: RewardKind) -> NDArray[np.float64]:
    """What a RecCoT earns on each single target.

    Args:
        probabilities: the validator's P(Yes), any shape.
        labels: 0 or 1, of a shape that broadcasts to it.
        kind: `log_likelihood` or `probability`.

    Returns:
        P(true label), or its logarithm in nats (floored at `SMALLEST_PROBABILITY`); shape of ``probabilities``. The
        reward of a RecCoT is its mean over the targets.

    Raises:
        RunError: a probability outside [0, 1] or not a number, or a label other than 0 and 1.

    Source:
        TrackRec, CoT preference alignment: r = p if y = 1, else 1 - p, there with one target.

    >>> target_reward([[0.9, 0.2], [0.5, 0.5]], [1, 0], "probability").round(6).tolist()
    [[0.9, 0.8], [0.5, 0.5]]
    """
    yes, label = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    bad = ~((yes >= 0) & (yes <= 1))
    if bad.any():
        raise RunError(f"rewards: found P(Yes) = {yes[bad][0]}, expected [0, 1]; look at the validator that scored it")
    if not np.isin(label, (0, 1)).all():
        raise RunError(f"rewards: found label {label[~np.isin(label, (0, 1))][0]}, expected 0 or 1; check the targets")
    true = np.where(label == 1, yes, 1 - yes)
    return np.log(np.maximum(true, SMALLEST_PROBABILITY)) if kind == "log_likelihood" else true


def grounding_penalty(contradicted: ArrayLike, checkable: ArrayLike, weight: float) -> NDArray[np.float64]:
    """What false claims take off the reward of each RecCoT: ``weight`` x contradicted / checkable.

    Args:
        contradicted: contradicted claims of each RecCoT.
        checkable: its checkable ones; where there are none, nothing is taken off.
        weight: see `ExtraRewardSettings.weight`.

    Returns:
        In the unit of the reward, at least 0; shape of the counts.

    >>> grounding_penalty([1, 0, 0], [4, 2, 0], 0.2).tolist()
    [0.05, 0.0, 0.0]
    """
    wrong, all_of_them = np.asarray(contradicted, dtype=np.float64), np.asarray(checkable, dtype=np.float64)
    return np.asarray(weight * wrong / np.maximum(all_of_them, 1), dtype=np.float64)


def reward_table(scores: pl.DataFrame, reward: Reward) -> pl.DataFrame:
    """Reward and gain of every scored RecCoT.

    Args:
        scores: user_id, sample (-1: placeholder), event_id, label, yes_probability; a row for each RecCoT and target.
        reward: what a target earns.

    Returns:
        user_id, sample, targets, reward, gain, true_probability (mean P of the true labels); one row for each user
        and sample, the placeholder's among them, ordered by both. ``gain`` is null for users without placeholder.
    """
    means = (
        with_target_reward(scores, reward)
        .sort("user_id", "sample", "event_id")
        .group_by("user_id", "sample", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int32).alias("targets"),
            pl.col("target_reward").mean().alias("reward"),
            pl.col("true_probability").mean(),
        )
    )
    placeholder = means.filter(pl.col("sample") == PLACEHOLDER).select("user_id", pl.col("reward").alias("without"))
    return means.join(placeholder, on="user_id", how="left", maintain_order="left").select(
        "user_id",
        "sample",
        "targets",
        "reward",
        (pl.col("reward") - pl.col("without")).alias("gain"),
        "true_probability",
    )


def with_target_reward(scores: pl.DataFrame, reward: Reward) -> pl.DataFrame:
    """``scores`` with two more columns: ``target_reward`` of the kind and ``true_probability``, P of the true label.

    Raises:
        RunError: the reward gives other rows than it got, or a number that is none.
    """
    earned = reward(scores, scores.clear(), scores.clear())
    if earned.height != scores.height or not {"event_id", "reward"} <= set(earned.columns):
        raise RunError(
            f"the reward gave {earned.height} rows with the columns {', '.join(earned.columns)}, expected one for each "
            f"of the {scores.height} scores, with event_id and reward; a reward for texts belongs under extra_rewards"
        )
    return scores.with_columns(
        earned["reward"].cast(pl.Float64).alias("target_reward"),
        Probability()(scores, scores.clear(), scores.clear())["reward"].alias("true_probability"),
    )
