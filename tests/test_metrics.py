"""Metrics: numbers worked out by hand, agreement with scikit-learn, and intervals that cover what was planted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from trackrec.metrics import intervals as bootstrap
from trackrec.metrics.intervals import bootstrap_users, paired_bootstrap
from trackrec.metrics.probability import (
    accuracy,
    auc,
    calibrated_probability,
    gauc,
    log_loss,
    platt_calibration,
    split_half_reliability,
)

# Few distinct scores, so that ties are common.
EXAMPLES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=40)


def columns(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    users, labels, scores = np.array(rows).T
    return users, labels, scores / 6


def test_auc_by_hand() -> None:
    # likes .9 and .4, dislikes .1 and .4: .9 beats both, .4 beats one and ties with one: 3.5 of 4.
    assert auc([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4]) == 3.5 / 4
    assert auc([1, 0], [0.0, 1.0]) == 0.0
    assert math.isnan(auc([1, 1], [0.2, 0.3]))


@given(EXAMPLES)
def test_auc_is_that_of_scikit_learn(rows: list[tuple[int, int, int]]) -> None:
    _, labels, scores = columns(rows)
    if labels.min() == labels.max():
        assert math.isnan(auc(labels, scores))
    else:
        assert auc(labels, scores) == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores), abs=1e-12)


@given(EXAMPLES)
def test_auc_asks_for_the_order_alone(rows: list[tuple[int, int, int]]) -> None:
    _, labels, scores = columns(rows)
    np.testing.assert_equal(auc(labels, np.exp(3 * scores) - 7), auc(labels, scores))
    np.testing.assert_allclose(auc(labels, -scores), 1 - auc(labels, scores))


def test_gauc_by_hand() -> None:
    users = ["a", "a", "b", "b", "b", "c"]
    # a: 1 of 1 pair right, 2 examples. b: .5 beats .1 but not .9: 1/2, 3 examples. c has one label.
    value = gauc(users, [1, 0, 1, 0, 0, 1], [0.2, 0.1, 0.5, 0.9, 0.1, 0.3])
    assert value == pytest.approx((2 * 1.0 + 3 * 0.5) / 5)
    assert math.isnan(gauc(["a", "b"], [1, 0], [0.2, 0.1]))


@given(EXAMPLES, st.randoms(use_true_random=False))
def test_gauc_is_the_mean_of_aucs_and_blind_to_order_and_user_levels(rows, random) -> None:
    users, labels, scores = columns(rows)
    parts = [(auc(labels[users == u], scores[users == u]), int((users == u).sum())) for u in np.unique(users)]
    parts = [(value, count) for value, count in parts if not math.isnan(value)]
    expected = sum(v * n for v, n in parts) / sum(n for _, n in parts) if parts else math.nan
    np.testing.assert_allclose(gauc(users, labels, scores), expected)
    order = random.sample(range(len(users)), len(users))
    np.testing.assert_allclose(gauc(users[order], labels[order], scores[order]), expected)
    np.testing.assert_allclose(gauc(users, labels, scores + 10 * users), expected)


def test_log_loss_and_accuracy_by_hand() -> None:
    assert log_loss([1, 0], [0.8, 0.5]) == pytest.approx(-(math.log(0.8) + math.log(0.5)) / 2)
    assert log_loss([0], [1.0]) == pytest.approx(-math.log(1e-7), rel=1e-6)
    assert accuracy([1, 0, 1, 0], [0.5, 0.5, 0.2, 0.1]) == 0.5


@given(EXAMPLES)
def test_log_loss_is_that_of_scikit_learn(rows: list[tuple[int, int, int]]) -> None:
    _, labels, scores = columns(rows)
    p = 0.05 + 0.9 * scores
    assert log_loss(labels, p) == pytest.approx(sklearn_metrics.log_loss(labels, p, labels=[0, 1]))


def test_platt_finds_planted_slope_and_intercept() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=50_000) * 3
    labels = random.random(50_000) < 1 / (1 + np.exp(-(0.4 * logits - 0.7)))
    slope, intercept = platt_calibration(labels, logits)
    assert slope == pytest.approx(0.4, abs=0.02)
    assert intercept == pytest.approx(-0.7, abs=0.04)
    calibrated = calibrated_probability(logits, slope, intercept)
    assert log_loss(labels, calibrated) < log_loss(labels, calibrated_probability(logits, 1, 0))
    assert calibrated.mean() == pytest.approx(labels.mean(), abs=1e-3)


@pytest.mark.parametrize("logits", [[-30.0, -20.0, 25.0, 40.0], [0.0, 0.0, 0.0, 0.0], [1e4, -1e4, 1e4, -1e4]])
def test_platt_stays_finite_on_separable_and_constant_logits(logits: list[float]) -> None:
    slope, intercept = platt_calibration([0, 0, 1, 1], logits)
    assert math.isfinite(slope)
    assert math.isfinite(intercept)
    assert platt_calibration([1, 1, 1, 1], logits)[1] > 0


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([1, 0], [0.5], r"labels \(2,\) and scores \(1,\)"),
        ([], [], "not empty"),
        ([1, 2], [0.5, 0.5], "expected 0 or 1, found 2.0"),
        ([1, 0], [0.5, math.nan], "found nan at row 1"),
        ([1, 0], [1.5, 0.5], r"probabilities in \[0, 1\], found 1.5 at row 0"),
    ],
)
def test_what_is_no_prediction_is_refused(labels: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        log_loss(labels, scores)


def planted(seed: int, users: int = 40, examples: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users who differ in how generous they are; scores that know a little of each example."""
    random = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), examples)
    labels = random.random(len(user)) < np.repeat(random.beta(2, 2, users), examples)
    scores = labels + random.normal(size=len(user)) * 1.5
    return user, labels.astype(int), 1 / (1 + np.exp(-scores))


@pytest.mark.parametrize("statistic", [auc, log_loss, accuracy])
def test_weighting_gives_what_copied_rows_give(statistic) -> None:
    users, labels, scores = planted(1, users=15)
    fast = bootstrap_users(statistic, users, labels, scores, seed=3, draws=50)
    slow = bootstrap_users(lambda *rows: statistic(*rows), users, labels, scores, seed=3, draws=50)
    np.testing.assert_allclose(fast, slow)
    assert fast.value == pytest.approx(statistic(labels, scores))
    assert fast.low < fast.value < fast.high


def test_weighting_gives_what_copied_rows_give_for_gauc() -> None:
    users, labels, scores = planted(2, users=15, examples=4)
    fast = bootstrap_users(gauc, users, labels, scores, seed=3, draws=50)
    slow = bootstrap_users(lambda *rows: gauc(*rows), users, users, labels, scores, seed=3, draws=50)
    np.testing.assert_allclose(fast, slow)
    assert fast.value == pytest.approx(gauc(users, labels, scores))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_intervals_do_not_depend_on_the_order_of_the_examples(seed: int) -> None:
    users, labels, scores = planted(4, users=10)
    names = np.array([f"user {user}" for user in users])
    order = np.random.default_rng(seed).permutation(len(users))
    for statistic in (auc, gauc, log_loss):
        straight = bootstrap_users(statistic, names, labels, scores, seed=1, draws=30)
        shuffled = bootstrap_users(statistic, names[order], labels[order], scores[order], seed=1, draws=30)
        np.testing.assert_allclose(shuffled, straight)


def test_coverage_of_a_planted_mean_and_that_rows_would_not_do() -> None:
    """Half of the variance is the user's: the interval over users covers the truth, that over rows does not."""
    by_users = by_rows = 0
    for trial in range(120):
        random = np.random.default_rng([7, trial])
        users = np.repeat(np.arange(40), 8)
        values = np.repeat(random.normal(size=40), 8) + random.normal(size=320)
        interval = bootstrap_users(np.mean, users, values, seed=trial, draws=150)
        by_users += interval.low <= 0 <= interval.high
        interval = bootstrap_users(np.mean, np.arange(320), values, seed=trial, draws=150)
        by_rows += interval.low <= 0 <= interval.high
    assert 0.88 <= by_users / 120 <= 0.99
    assert by_rows / 120 < 0.8


def test_coverage_of_a_planted_auc() -> None:
    # like - dislike ~ normal(1, 2 * 1.5^2) whoever the user is: AUC = Phi(1 / (1.5 * sqrt 2))
    truth = 0.5 * (1 + math.erf(1 / 3))
    covered = 0
    for trial in range(120):
        users, labels, scores = planted(trial)
        interval = bootstrap_users(auc, users, labels, scores, seed=trial, draws=150)
        covered += interval.low <= truth <= interval.high
    assert 0.88 <= covered / 120 <= 0.99


def test_pairing_cancels_what_arms_share() -> None:
    users, labels, scores = planted(5)
    logits = np.log(scores / (1 - scores))
    better = 1 / (1 + np.exp(-(logits + 0.5 * labels)))
    paired = paired_bootstrap(auc, users, labels, better, scores, seed=0, draws=300)
    alone = bootstrap_users(auc, users, labels, better, seed=0, draws=300)
    assert paired.value == pytest.approx(auc(labels, better) - auc(labels, scores))
    assert paired.low > 0
    assert paired.high - paired.low < (alone.high - alone.low) / 2
    assert paired_bootstrap(auc, users, labels, scores, scores, seed=0, draws=20) == (0, 0, 0)


def test_scores_of_several_seeds_are_averaged_after_the_statistic() -> None:
    users, labels, scores = planted(6)
    runs = np.stack([scores, 1 - scores, scores])
    expected = (2 * auc(labels, scores) + auc(labels, 1 - scores)) / 3
    assert bootstrap_users(auc, users, labels, runs, seed=0, draws=10).value == pytest.approx(expected)


def test_folds_are_compared_within_themselves() -> None:
    # Perfect within each fold, but the second fold's scores lie higher as a whole.
    users = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    labels = np.array([1, 0] * 4)
    scores = np.array([0.2, 0.1, 0.2, 0.1, 0.9, 0.8, 0.9, 0.8])
    folds = np.array(["x"] * 4 + ["y"] * 4)
    assert bootstrap_users(auc, users, labels, scores, seed=0, draws=20, folds=folds) == (1, 1, 1)
    assert auc(labels, scores) == 0.75


def test_a_single_user_has_no_interval() -> None:
    value, low, high = bootstrap_users(auc, ["a", "a"], [1, 0], [0.9, 0.1], seed=0, draws=20)
    assert value == 1
    assert math.isnan(low)
    assert math.isnan(high)


def test_arrays_of_other_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"array \(3,\): expected 2 examples"):
        bootstrap_users(np.mean, ["a", "b"], [1.0, 2.0, 3.0], seed=0)


def test_a_nan_is_refused_rather_than_left_to_take_the_interval_away() -> None:
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match=r"array 0 has (nan|inf) at row 1 \(1 of 3\)"):
            bootstrap_users(np.mean, ["a", "b", "c"], [1.0, bad, 2.0], seed=0)
        with pytest.raises(ValueError, match=r"finite scores, found (nan|inf)"):
            bootstrap_users(auc, ["a", "b", "c"], [1, 0, 1], [1.0, bad, 2.0], seed=0)
        with pytest.raises(ValueError, match=r"probabilities in \[0, 1\], found (nan|inf)"):
            paired_bootstrap(log_loss, ["a", "b"], [1, 0], [0.5, 0.5], [0.5, bad], seed=0)


def reliability(rewards: dict[Any, Any], labels: Any, seed: int = 0) -> float:
    return split_half_reliability(rewards, dict.fromkeys(rewards, np.asarray(labels)), seed)


def test_reliability_by_hand() -> None:
    # Each sample earns the same on both targets, whoever is drawn: the halves agree fully.
    assert reliability({"a": [[1, 1], [2, 2]], "b": [[9, 9], [5, 5]]}, [1, 1]) == pytest.approx(1)
    # What is gained on one like is lost on the other.
    assert reliability({"a": [[1, 0], [0, 1]]}, [0, 0]) == pytest.approx(-1)
    # Two likes of which one is a half's; the dislike, which no half can share, is left out.
    assert reliability({"a": [[1, 7, 0], [0, 9, 1]]}, [1, 0, 1]) == pytest.approx(-1)
    # The users differ, their samples do not: nothing varies within users.
    assert math.isnan(reliability({"a": [[1, 1], [1, 1]], "b": [[5, 5], [5, 5]]}, [1, 1]))
    assert math.isnan(reliability({"a": [[1.0], [2.0]]}, [1]))
    assert math.isnan(reliability({"a": [[1.0, 2.0]]}, [1, 1]))
    assert math.isnan(reliability({"a": [[1.0, 2.0], [3.0, 0.0]]}, [1, 0]))  # no half has a like and a dislike


def test_reliability_refuses_what_is_no_reward_or_no_label() -> None:
    with pytest.raises(ValueError, match="user 'a': a reward is nan, expected finite numbers"):
        reliability({"a": [[1.0, math.nan], [2.0, 1.0]]}, [1, 0])
    with pytest.raises(ValueError, match=r"user 'a': labels \[1\] of rewards \(2, 2\)"):
        reliability({"a": [[1.0, 0.0], [2.0, 1.0]]}, [1])
    with pytest.raises(ValueError, match=r"labels \[1, 2\]"):
        reliability({"a": [[1.0, 0.0], [2.0, 1.0]]}, [1, 2])


@pytest.mark.parametrize(("spread", "targets"), [(0.0, 8), (0.5, 8), (1.0, 8)])
@pytest.mark.parametrize("likes", [0, 4, 8])
def test_reliability_finds_what_was_planted(spread: float, targets: int, likes: int) -> None:
    """Reward = user + RecCoT (variance spread^2) + noise of variance 1 a target: reliability s^2 / (s^2 + 1 / m)."""
    random = np.random.default_rng(0)
    rewards = {
        user: 10 * random.normal() + spread * random.normal(size=(10, 1)) + random.normal(size=(10, targets))
        for user in range(400)
    }
    labels = np.arange(targets) < likes
    expected = spread**2 / (spread**2 + 1 / targets)
    measured = reliability(rewards, labels, seed=1)
    assert measured == pytest.approx(expected, abs=0.06)
    assert reliability(dict(reversed(rewards.items())), labels, seed=1) == pytest.approx(measured)


def shifted(spread: float, shift: float, noise: float, likes: int) -> dict[int, np.ndarray]:
    """8 targets, likes first; each text adds a signal to all and, to what dislikes lose, a shift to all likes."""
    random = np.random.default_rng(2)
    sign = np.where(np.arange(8) < likes, 1.0, -1.0)
    return {
        user: spread * random.normal(size=(4, 1))
        + shift * random.normal(size=(4, 1)) * sign
        + noise * random.normal(size=(4, 8))
        for user in range(200)
    }


def test_a_text_that_only_shifts_the_probability_is_no_signal_where_likes_and_dislikes_balance() -> None:
    labels = np.arange(8) < 4
    assert reliability(shifted(0, 1, 0.2, 4), labels) == pytest.approx(0, abs=0.1)
    alone, both = reliability(shifted(1, 0, 0.5, 4), labels), reliability(shifted(1, 2, 0.5, 4), labels)
    assert alone == pytest.approx(1 / (1 + 0.25 / 8), abs=0.02)
    assert both == pytest.approx(alone, abs=0.02)


def test_the_order_of_the_targets_decides_nothing() -> None:
    rewards, order = shifted(0.5, 2, 0.5, 5), np.array([7, 0, 3, 1, 6, 2, 5, 4])
    labels = np.arange(8) < 5
    again = {user: table[:, order] for user, table in rewards.items()}
    assert reliability(again, labels[order]) == pytest.approx(reliability(rewards, labels), abs=0.02)


def test_where_all_is_liked_a_shift_is_what_the_reward_pays_for() -> None:
    assert reliability(shifted(0, 1, 0.2, 8), np.ones(8)) > 0.98


def test_with_too_many_users_for_a_matrix_the_draws_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    labels = (rng.random(len(users)) < 0.5).astype(float)
    scores = np.round(rng.random(len(users)), 1)  # many ties
    _, matrix = bootstrap.draw_users(auc, users, [(labels, scores)], 5, 40, users % 2)
    monkeypatch.setattr(bootstrap, "MATRIX_ENTRIES", 0)
    _, one_by_one = bootstrap.draw_users(auc, users, [(labels, scores)], 5, 40, users % 2)
    assert np.allclose(matrix, one_by_one, equal_nan=True)
    assert len(np.unique(matrix)) > 10
