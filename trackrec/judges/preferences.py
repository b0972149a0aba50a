"""Preference groups: for each user the RecCoT that earned most, and those that are surely worse."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field

from trackrec.errors import RunError
from trackrec.judges.rewards import PLACEHOLDER, Reward, reward_table, with_target_reward
from trackrec.settings import Settings


class PreferenceSettings(Settings):
    """Which rewards are trusted to say that one RecCoT is better than another."""

    k: float = Field(default=1.0, ge=0)
    """A pair counts if its mean reward difference over the targets is above this many standard errors (0: any gap)."""
    max_rejected: int = Field(default=3, ge=1)
    """Rejected RecCoTs a group at most; the surest are kept."""
    loss: Literal["dpo", "softmax_dpo"] = "softmax_dpo"
    """`dpo`: one rejected RecCoT a group; `softmax_dpo`: up to `max_rejected` of them under one logarithm."""
    drop_all_wrong: bool = True
    """Drop users for whom the mean P(true label) is below one half with every RecCoT (the paper)."""
    require_gain: bool = True
    """Drop users whose best RecCoT (of those that may be chosen) earns no more than the placeholder."""
    unfinished_may_win: bool = False
    """Whether a sample that the length limit cut off may be chosen. If it may, the generator learns to run into the
    limit, round by round. It may be rejected either way."""
    max_z: float = Field(default=3.0, gt=0)
    """Cap on a pair's difference in standard errors when it becomes a weight, so that no group outweighs all others."""


def build_groups(
    scores: pl.DataFrame, texts: pl.DataFrame, settings: PreferenceSettings, reward: Reward
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Choose and reject among the RecCoTs of each user, and count what each filter took away.

    The chosen one has the highest mean reward among those that may win (ties: the lowest sample). A pair's difference
    is taken target by target, so that what is hard about a target cancels; its standard error is that of the mean of
    these differences.

    Args:
        scores: user_id, sample (-1: placeholder), event_id, label, yes_probability; all samples of a user on the same
            targets, one row for each.
        texts: user_id, sample, text; of every scored sample, the placeholder aside. Also, if known: finished (false:
            cut off at the length limit; without the column all count as finished) and penalty (taken off the reward, in
            its unit; the same on every target, so it moves a pair's difference and leaves its error).
        settings: see `PreferenceSettings`.
        reward: what a RecCoT earns on each target.

    Returns:
        groups: user_id, chosen_sample, rejected_samples (list, surest first), weight (the mean over the pairs of the
            difference in standard errors, capped, then divided by its mean over the groups; all 1 where there is a
            single target, as one difference has no standard error), ordered by user_id.
        counts: users, samples, and in order of the filters: duplicate_samples, users_single_text,
            users_none_finished, users_all_wrong, users_no_gain, users_one_target (dropped if k > 0), pairs,
            pairs_within_noise, users_within_noise, pairs_over_maximum; then groups and pairs_kept. A user is counted at
            the first filter that drops it.

    Raises:
        RunError: rows that are repeated or missing, no text for a scored sample, no placeholder where a gain is
            required, or a probability that is none.

    Source:
        TrackRec, CoT preference alignment; the standard errors and the placeholder are ours.
    """
    _check(scores, texts, settings)
    rewards = reward_table(scores, reward)
    samples = _with_texts(rewards.filter(pl.col("sample") != PLACEHOLDER), texts, settings)
    counts = {"users": samples["user_id"].n_unique(), "samples": samples.height}

    # Of equal texts the first stays, a finished one before one that was cut off.
    samples = (
        samples.sort("user_id", "may_win", "sample", descending=[False, True, False])
        .unique(["user_id", "text"], keep="first")
        .sort("user_id", "sample")
    )
    counts["duplicate_samples"] = counts["samples"] - samples.height

    for name, is_dropped in _user_filters(settings).items():
        kept = samples.filter(~is_dropped.over("user_id"))
        counts[name] = samples["user_id"].n_unique() - kept["user_id"].n_unique()
        samples = kept

    pairs = _pairs(samples, scores, reward)
    counts["pairs"] = pairs.height
    sure = pairs.filter((pl.col("difference") > 0) & (pl.col("difference") > settings.k * pl.col("error").fill_null(0)))
    counts["pairs_within_noise"] = pairs.height - sure.height
    counts["users_within_noise"] = pairs["user_id"].n_unique() - sure["user_id"].n_unique()

    # No error (one target): every pair weighs the same. An error of 0 divides to infinity, which the cap takes.
    z = (pl.col("difference") / pl.col("error")).clip(upper_bound=settings.max_z).fill_null(1.0)
    most = 1 if settings.loss == "dpo" else settings.max_rejected
    best = (
        sure.with_columns(z.alias("z"))
        .sort(["user_id", "z", "difference", "sample"], descending=[False, True, True, False])
        .group_by("user_id", maintain_order=True)
        .head(most)
    )
    counts["pairs_over_maximum"] = sure.height - best.height
    groups = (
        best.group_by("user_id", "chosen_sample", maintain_order=True)
        .agg(pl.col("sample").alias("rejected_samples"), pl.col("z").mean().alias("weight"))
        .with_columns(pl.col("weight") / pl.col("weight").mean())
        .sort("user_id")
    )
    counts["groups"] = groups.height
    counts["pairs_kept"] = best.height
    return groups, counts


def _with_texts(samples: pl.DataFrame, texts: pl.DataFrame, settings: PreferenceSettings) -> pl.DataFrame:
    """The scored samples with ``text, may_win, penalty``, the penalty taken off ``reward`` and ``gain``."""
    anyone = settings.unfinished_may_win or "finished" not in texts.columns
    told = texts.select(
        "user_id",
        "sample",
        pl.col("text").str.strip_chars(),
        (pl.lit(True) if anyone else pl.col("finished")).alias("may_win"),
        (pl.col("penalty") if "penalty" in texts.columns else pl.lit(0.0)).alias("penalty"),
    )
    return samples.join(told, on=["user_id", "sample"], how="left", maintain_order="left").with_columns(
        pl.col("reward") - pl.col("penalty"), pl.col("gain") - pl.col("penalty")
    )


def _user_filters(settings: PreferenceSettings) -> dict[str, pl.Expr]:
    """Name and condition, over the samples of one user, under which the user is dropped; in order."""
    never = pl.lit(False)
    return {
        "users_single_text": pl.len() < 2,
        "users_none_finished": ~pl.col("may_win").any(),
        "users_all_wrong": (pl.col("true_probability").max() < 0.5) if settings.drop_all_wrong else never,
        "users_no_gain": (pl.col("gain").filter("may_win").max() <= 0) if settings.require_gain else never,
        "users_one_target": (pl.col("targets").max() < 2) if settings.k > 0 else never,
    }


def _pairs(samples: pl.DataFrame, scores: pl.DataFrame, reward: Reward) -> pl.DataFrame:
    """user_id, chosen_sample, sample (each other one), difference (mean over targets), error (null: one target)."""
    chosen = (
        samples.filter("may_win")
        .sort(["user_id", "reward", "sample"], descending=[False, True, False])
        .group_by("user_id", maintain_order=True)
        .agg(pl.col("sample").first().alias("chosen_sample"))
    )
    rewards = (
        with_target_reward(scores, reward)
        .join(samples.select("user_id", "sample", "penalty"), on=["user_id", "sample"])
        .select("user_id", "sample", "event_id", pl.col("target_reward") - pl.col("penalty"))
    )
    of_chosen = chosen.join(
        rewards.rename({"sample": "chosen_sample", "target_reward": "best"}), on=["user_id", "chosen_sample"]
    )
    gap = pl.col("best") - pl.col("target_reward")
    return (
        rewards.join(of_chosen, on=["user_id", "event_id"])
        .filter(pl.col("sample") != pl.col("chosen_sample"))
        .sort("user_id", "sample", "event_id")
        .group_by("user_id", "chosen_sample", "sample", maintain_order=True)
        .agg(gap.mean().alias("difference"), (gap.std(ddof=1) / pl.len().sqrt()).alias("error"))
    )


def _check(scores: pl.DataFrame, texts: pl.DataFrame, settings: PreferenceSettings) -> None:
    key = ["user_id", "sample", "event_id"]
    if scores.select(key).is_duplicated().any():
        row = scores.filter(scores.select(key).is_duplicated()).row(0, named=True)
        raise RunError(
            f"scores: user {row['user_id']!r}, sample {row['sample']}, event {row['event_id']} stands there more than "
            "once; expected one row for each RecCoT and target: score again"
        )
    targets = scores.select("user_id", "event_id").unique()
    pairs = scores.select("user_id", "sample").unique()
    missing = pairs.join(targets, on="user_id").join(scores.select(key), on=key, how="anti")
    if missing.height:
        row = missing.sort(key).row(0, named=True)
        raise RunError(
            f"scores: user {row['user_id']!r}, sample {row['sample']} has no score for event {row['event_id']}, which "
            "other samples of that user have; expected the same targets for all: score again"
        )
    written = texts.filter(pl.col("text").is_not_null())
    if written.select("user_id", "sample").is_duplicated().any():
        raise RunError("texts: a (user_id, sample) stands there more than once; expected one text for each sample")
    real = pairs.filter(pl.col("sample") != PLACEHOLDER)
    unknown = real.join(written, on=["user_id", "sample"], how="anti").sort("user_id", "sample")
    if unknown.height:
        row = unknown.row(0, named=True)
        raise RunError(
            f"texts: no text for user {row['user_id']!r}, sample {row['sample']}, which was scored ({unknown.height} "
            "such); expected the texts that the validator read"
        )
    without = real.join(pairs.filter(pl.col("sample") == PLACEHOLDER), on="user_id", how="anti").sort("user_id")
    if settings.require_gain and without.height:
        raise RunError(
            f"scores: user {without['user_id'][0]!r} has no row with sample {PLACEHOLDER} (the placeholder), from "
            "which the gain is counted; score the placeholder too, or set require_gain to false"
        )
