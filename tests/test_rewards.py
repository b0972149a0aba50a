"""Rewards: numbers worked out by hand, and properties that must hold."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trackrec.errors import RunError
from trackrec.judges.rewards import Probability, RewardKind, grounding_penalty, reward_table, target_reward
from trackrec.recipe import Recipe, make_recipe

KINDS: list[RewardKind] = ["log_likelihood", "probability"]
LABELS = np.array([1, 0, 1])
PROBABILITIES = arrays(np.float64, (4, 3), elements=st.floats(0, 1))


def test_reward_by_hand() -> None:
    probabilities = [[0.9, 0.2], [0.5, 0.5]]
    np.testing.assert_allclose(target_reward(probabilities, [1, 0], "probability"), [[0.9, 0.8], [0.5, 0.5]])
    expected = [[math.log(0.9), math.log(0.8)], [math.log(0.5)] * 2]
    np.testing.assert_allclose(target_reward(probabilities, [1, 0], "log_likelihood"), expected)


def test_one_sure_mistake_has_a_floor() -> None:
    assert target_reward([[0.0]], [1], "log_likelihood")[0, 0] == pytest.approx(math.log(1e-6))


@given(PROBABILITIES, st.permutations(range(4)), st.permutations(range(3)), st.sampled_from(KINDS))
def test_order_of_samples_and_targets(p, samples, targets, kind: RewardKind) -> None:
    permuted = target_reward(p[samples][:, targets], LABELS[targets], kind)
    np.testing.assert_allclose(permuted, target_reward(p, LABELS, kind)[samples][:, targets])


@given(PROBABILITIES, st.floats(0, 1), st.sampled_from(KINDS))
def test_more_probability_for_the_truth_never_pays_less(p, share: float, kind: RewardKind) -> None:
    nearer = p + share * (LABELS - p)
    assert (target_reward(nearer, LABELS, kind) >= target_reward(p, LABELS, kind) - 1e-9).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_probability_or_label_is_refused(kind: RewardKind) -> None:
    with pytest.raises(RunError, match=r"found P\(Yes\) = nan, expected \[0, 1\]"):
        target_reward([[0.5, math.nan]], [1, 0], kind)
    with pytest.raises(RunError, match="found label 4, expected 0 or 1"):
        target_reward([[0.5, 0.5]], [1, 4], kind)


def test_table_by_hand() -> None:
    scores = pl.DataFrame(
        {
            "user_id": ["a", "a", "a", "a", "b"],
            "sample": [0, -1, 0, -1, 0],
            "event_id": [1, 1, 2, 2, 3],
            "label": [1, 1, 0, 0, 1],
            "yes_probability": [0.9, 0.6, 0.2, 0.4, 0.7],
        }
    )
    table = reward_table(scores, Probability())
    assert table["user_id"].to_list() == ["a", "a", "b"]
    assert table["sample"].to_list() == [-1, 0, 0]
    assert table["targets"].to_list() == [2, 2, 1]
    np.testing.assert_allclose(table["reward"], [0.6, 0.85, 0.7])
    np.testing.assert_allclose(table["gain"][:2], [0, 0.25])
    assert table["gain"][2] is None
    with pytest.raises(RunError, match="found P"):
        reward_table(scores.with_columns(yes_probability=pl.lit(None, dtype=pl.Float64)), Probability())


def test_false_claims_cost_their_share_of_the_checkable_by_hand() -> None:
    """One of four, two of two, none of three, and nothing checkable, at a weight of 0.6."""
    np.testing.assert_allclose(grounding_penalty([1, 2, 0, 0], [4, 2, 3, 0], 0.6), [0.15, 0.6, 0, 0])
    assert not grounding_penalty([1, 2], [4, 2], 0.0).any()


def test_the_default_is_ours_and_the_papers_is_a_setting() -> None:
    assert Recipe().reward.type == "log_likelihood"
    assert Recipe().extra_rewards == ()
    assert make_recipe({"reward": {"type": "probability"}}).reward.type == "probability"


def test_rewards_that_cannot_be_paid_a_target_are_refused() -> None:
    def one_a_text(scores: pl.DataFrame, texts: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
        return scores.select("user_id", "sample", reward=pl.lit(1.0)).unique()

    scores = pl.DataFrame({"user_id": [1, 1], "sample": [0, 0], "event_id": [1, 2], "label": [1, 0]})
    with pytest.raises(RunError, match="a reward for texts belongs under extra_rewards"):
        reward_table(scores.with_columns(yes_probability=0.5), one_a_text)
