"""Calibration in equal bins, p values, Holm, seed spread, cold start: by hand, and where truth was planted."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from research.metrics.calibration import equal_mass_calibration_error
from research.metrics.cold_start import break_down, bucket_names, count_seen
from research.metrics.significance import (
    FEWEST_USERS,
    contrast_of_gains,
    holm,
    paired_contrast,
    paired_contrasts,
    seed_spread,
)
from trackrec.metrics.intervals import bootstrap_users, paired_bootstrap
from trackrec.metrics.probability import (
    auc,
    log_likelihood,
    log_loss,
)


def test_many_contrasts_are_the_single_ones() -> None:
    rng = np.random.default_rng(5)
    who, labels, folds = np.repeat(np.arange(40), 6), rng.integers(2, size=240), np.repeat([0, 1], 120)
    scores = {name: rng.random((2, 240)) for name in "abc"}
    pairs = [("a", "b"), ("c", "a"), ("a", "c")]
    for statistic in (auc, log_loss):
        many = paired_contrasts(statistic, who, labels, scores, pairs, seed=3, draws=200, folds=folds)
        for found, (one, other) in zip(many, pairs, strict=True):
            alone = paired_contrast(statistic, who, labels, scores[one], scores[other], seed=3, draws=200, folds=folds)
            assert found == pytest.approx(alone, abs=1e-12)
            by_seed = [statistic(labels[part], scores[name][s][part]) for name in (one, other) for s in (0, 1)
                       for part in (folds == 0, folds == 1)]  # fmt: skip
            assert found.difference == pytest.approx(np.mean(by_seed[:4]) - np.mean(by_seed[4:]))


def test_calibration_in_equal_bins_by_hand() -> None:
    """Bins {.1, .2} and {.6, .9}: gaps |.15 - .5| and |.75 - 1|, each half of the examples."""
    labels, probabilities = [1, 0, 1, 1], [0.1, 0.2, 0.6, 0.9]
    assert equal_mass_calibration_error(labels, probabilities, bins=2) == pytest.approx((0.35 + 0.25) / 2)
    turned = equal_mass_calibration_error(labels[::-1], probabilities[::-1], bins=2)
    assert turned == pytest.approx(0.3)
    assert equal_mass_calibration_error([1, 0, 0, 1], [0.5] * 4, bins=4) == 0.0  # ties share one bin


def test_crowded_predictions_need_equal_bins() -> None:
    """All predictions lie in one bin of equal width, where too high and too low cancel out."""
    probabilities = np.concatenate([np.full(500, 0.51), np.full(500, 0.59)])
    labels = np.concatenate([np.tile([1, 1, 1, 0, 1], 100), np.tile([0, 0, 1, 0, 1], 100)])[: len(probabilities)]
    labels = np.where(np.arange(1000) % 10 == 0, 0, labels)
    assert equal_mass_calibration_error(labels, probabilities) > 0.15


def test_calibration_refuses_what_is_no_probability() -> None:
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\], found 1.5"):
        equal_mass_calibration_error([1, 0], [1.5, 0.2])
    with pytest.raises(ValueError, match="not empty"):
        equal_mass_calibration_error([], [])


def test_holm_by_hand() -> None:
    """.01 x 4, then .02 x 3, then .03 x 2 (no smaller than before), then .5 x 1."""
    values = {"d": 0.5, "b": 0.02, "a": 0.01, "c": 0.03}
    assert holm(values) == pytest.approx({"d": 0.5, "b": 0.06, "a": 0.04, "c": 0.06})
    assert list(holm(values)) == list(values)
    with_gap = holm({"a": 0.04, "x": math.nan})
    assert with_gap["a"] == 0.04
    assert math.isnan(with_gap["x"])
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def world(gain: float, users: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Users, labels, two seeds of better and of worse scores, folds."""
    draw = np.random.default_rng(4)
    who = np.repeat(np.arange(users), 12)
    labels = draw.integers(0, 2, len(who))
    worse = 0.8 * labels + draw.normal(size=(2, len(who)))
    return who, labels, worse + gain * labels, worse, who % 3


def test_p_value_tells_a_real_difference_from_none() -> None:
    who, labels, better, worse, folds = world(0.5)
    real = paired_contrast(auc, who, labels, better, worse, seed=1, draws=300, folds=folds).p_value
    assert real == pytest.approx(2 / 301)
    noise = worse + np.random.default_rng(9).normal(scale=0.3, size=worse.shape)
    none = paired_contrast(auc, who, labels, noise, worse, seed=1, draws=300, folds=folds).p_value
    interval = paired_bootstrap(auc, who, labels, noise, worse, seed=1, draws=300, folds=folds)
    assert (none > 0.05) == (interval.low < 0 < interval.high)
    assert paired_contrast(auc, who, labels, worse, worse, seed=1, draws=50).p_value == 1.0


@pytest.mark.parametrize("users", [6, FEWEST_USERS - 1])
def test_few_users_support_no_claim(users: int) -> None:
    """However large the difference: an exact sign test on six users cannot go below .031, ten draws' bootstrap can."""
    who, labels, better, worse, _ = world(3.0, users)
    found = paired_contrast(auc, who, labels, better, worse, seed=1, draws=2000)
    assert found.low > 0
    assert math.isnan(found.p_value)
    assert found.as_row()["p"] is None
    gains = contrast_of_gains(auc, who, labels, (better[0], worse[0]), (worse[0], worse[0]), seed=1, draws=2000)
    assert math.isnan(gains.p_value)
    who, labels, better, worse, _ = world(3.0, FEWEST_USERS)
    assert paired_contrast(auc, who, labels, better, worse, seed=1, draws=2000).p_value == 2 / 2001


def test_on_random_texts_nothing_holds_with_six_users_and_little_with_many() -> None:
    """56 contrasts of scores that know nothing, as a comparison has them."""
    draw = np.random.default_rng(8)
    for users in (6, 60):
        who, labels = np.repeat(np.arange(users), 8), draw.integers(0, 2, 8 * users)
        scores = {str(number): draw.normal(size=len(who)) for number in range(57)}
        pairs = [(str(number), "56") for number in range(56)]
        found = paired_contrasts(auc, who, labels, scores, pairs, seed=2, draws=20_000)
        adjusted = holm({str(place): one.p_value for place, one in enumerate(found)})
        assert not any(value < 0.05 for value in adjusted.values())


def test_seed_spread_by_hand() -> None:
    """Two seeds of AUC 1 and 0."""
    spread = seed_spread(auc, ["a", "b"], [1, 0], [[0.9, 0.1], [0.1, 0.9]])
    assert spread == pytest.approx((0.5, math.sqrt(0.5), 0.0, 1.0))
    assert math.isnan(seed_spread(auc, ["a", "b"], [1, 0], [[0.9, 0.1]]).deviation)


def test_bucket_names() -> None:
    assert bucket_names((0, 1, 3)) == ["0", "1-2", "3+"]


def test_what_was_seen_is_counted() -> None:
    test = pl.DataFrame({"user_id": ["a", "b"], "event_id": [1, 2], "item_id": ["x", "z"]})
    train = pl.DataFrame({"user_id": ["c", "c", "d"], "item_id": ["x", "y", "x"]})
    histories = pl.DataFrame({"user_id": ["a", "a", "d"]})
    assert count_seen(test, train, histories).rows() == [("a", 1, 2, 2), ("b", 2, 0, 0)]


def predictions() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The arm "good" knows the label of examples with new items alone; "plain" knows nothing."""
    draw = np.random.default_rng(2)
    count = 600
    base = pl.DataFrame(
        {
            "user_id": np.arange(count) // 10,
            "event_id": np.arange(count),
            "fold": (np.arange(count) // 10) % 3,
            "label": draw.integers(0, 2, count),
        }
    )
    seen = base.select("user_id", "event_id", item_seen=pl.col("event_id") % 2 * 30, user_seen=pl.lit(7))
    rows = []
    for arm in ("plain", "good"):
        for seed in (1, 2):
            probability = 0.5 + 0.2 * (draw.random(count) - 0.5)
            if arm == "good":
                probability = np.where(seen["item_seen"] == 0, 0.1 + 0.8 * base["label"].to_numpy(), probability)
            values = pl.Series("probability", probability)
            rows.append(base.with_columns(values, arm=pl.lit(arm), seed=pl.lit(seed)))
    return pl.concat(rows), seen.sample(fraction=1.0, shuffle=True, seed=1)


def test_cold_start_breakdown_finds_where_the_gain_is() -> None:
    table, seen = predictions()
    result = break_down(table, seen, {"auc": auc, "log_loss": log_loss}, "good", "plain", seed=1, draws=100)
    rows = {(row["by"], row["bucket"], row["metric"]): row for row in result.iter_rows(named=True)}
    new, known = rows["item_seen", "0", "auc"], rows["item_seen", "20+", "auc"]
    assert new["low"] > 0.3
    assert known["low"] < 0 < known["high"]
    assert (new["examples"], known["examples"]) == (300, 300)
    assert rows["item_seen", "1-4", "auc"]["value"] is None
    assert rows["item_seen", "1-4", "auc"]["examples"] == 0
    assert rows["user_seen", "5-19", "auc"]["examples"] == 600
    alone = break_down(table, seen, {"auc": auc}, "good", seed=1, draws=50).filter(by="item_seen", bucket="0")
    assert alone["value"].item() == 1.0


def test_breakdown_refuses_unknown_arms_and_missing_counts() -> None:
    table, seen = predictions()
    with pytest.raises(ValueError, match="no arm 'best'"):
        break_down(table, seen, {"auc": auc}, "best", seed=1)
    with pytest.raises(ValueError, match="expected one for each"):
        break_down(table, seen.head(5), {"auc": auc}, "good", seed=1)


def test_a_gain_less_another_by_hand() -> None:
    """AUC .75 less .5, and 1 less .25: -.5 in all."""
    labels = [1, 0, 1, 0]
    a, b, c, d = [0.9, 0.1, 0.3, 0.4], [0.9, 0.95, 0.1, 0.05], [0.9, 0.1, 0.8, 0.2], [0.5, 0.6, 0.1, 0.4]
    expected = (auc(labels, a) - auc(labels, b)) - (auc(labels, c) - auc(labels, d))
    found = contrast_of_gains(auc, [1, 1, 2, 2], labels, (a, b), (c, d), seed=1, draws=100)
    assert found.difference == pytest.approx(expected)
    assert found.baseline == pytest.approx(auc(labels, c) - auc(labels, d))


def test_a_gain_that_only_one_judge_sees_is_found() -> None:
    """Both judges see the plain gain; one sees half as much again, which the other does not."""
    users, labels, better, worse, _ = world(0.5)
    private = better[0] + 0.5 * labels
    seen, plain = (private, worse[0]), (better[0], worse[0])
    found = contrast_of_gains(auc, users, labels, seen, plain, seed=1, draws=300)
    assert found.low > 0
    assert found.as_row()["against_value"] == pytest.approx(auc(labels, better[0]) - auc(labels, worse[0]))
    same = contrast_of_gains(auc, users, labels, plain, plain, seed=1, draws=300)
    assert (same.difference, same.low, same.high) == (0, 0, 0)
    # Against no gain at all it is the paired contrast, to the last draw.
    nothing = contrast_of_gains(auc, users, labels, plain, (worse[0], worse[0]), seed=1, draws=300)
    assert nothing[:4] == paired_contrast(auc, users, labels, *plain, seed=1, draws=300)[:4]
    # The mean over several judges may stand on one side.
    mean = contrast_of_gains(auc, users, labels, (better, worse), plain, seed=1, draws=300)
    gains = [auc(labels, better[row]) - auc(labels, worse[row]) for row in (0, 1)]
    assert mean.difference == pytest.approx(np.mean(gains) - gains[0])


def test_log_likelihood_is_log_loss_turned_round() -> None:
    labels, p = [1, 0, 1, 0], [0.9, 0.2, 0.6, 0.7]
    assert log_likelihood(labels, p) == pytest.approx(-log_loss(labels, p))
    turned = bootstrap_users(log_likelihood, [1, 1, 2, 2], labels, p, seed=1, draws=50)
    loss = bootstrap_users(log_loss, [1, 1, 2, 2], labels, p, seed=1, draws=50)
    assert turned == pytest.approx((-loss.value, -loss.high, -loss.low))
