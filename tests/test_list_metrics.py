"""MAP and NDCG of lists: numbers worked out by hand, agreement with scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from research.metrics.lists import LIST_METRICS, average_precision_at, ndcg_at
from trackrec.metrics.intervals import bootstrap_users, mean_of_lists, paired_bootstrap

LABELS = [[0, 1, 1, 0, 1]]
SCORES = [[5.0, 4.0, 3.0, 2.0, 1.0]]  # as they stand


def test_ndcg_by_hand() -> None:
    """Likes at places 2 and 3 of the top 3; the best order of three likes fills places 1 to 3."""
    got = 1 / math.log2(3) + 1 / math.log2(4)
    best = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert ndcg_at(LABELS, SCORES, 3)[0] == pytest.approx(got / best)
    assert ndcg_at(LABELS, [[1.0, 5.0, 4.0, 2.0, 3.0]], 3)[0] == pytest.approx(1.0)
    assert ndcg_at([[1, 0]], [[0.0, 1.0]], 7)[0] == pytest.approx(1 / math.log2(3))  # k beyond the list


def test_average_precision_by_hand() -> None:
    """Top 3: precision 1/2 at place 2, 2/3 at place 3, over min(3, 3 likes); at 5 also 3/5 at place 5."""
    assert average_precision_at(LABELS, SCORES, 3)[0] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert average_precision_at(LABELS, SCORES, 5)[0] == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)
    assert average_precision_at([[1, 0, 0]], [[3.0, 2.0, 1.0]], 3)[0] == 1.0
    assert average_precision_at([[1, 1, 1, 1]], [[4.0, 3.0, 2.0, 1.0]], 3)[0] == 1.0  # four likes, three places


def test_ndcg_is_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    labels, scores = draw.integers(0, 2, (50, 10)), draw.normal(size=(50, 10))
    keep = labels.sum(axis=1) > 0
    for k in (3, 7):
        assert ndcg_at(labels, scores, k)[keep].mean() == pytest.approx(ndcg_score(labels[keep], scores[keep], k=k))


@pytest.mark.parametrize("name", LIST_METRICS)
def test_padding_and_lists_without_likes(name: str) -> None:
    metric, k = LIST_METRICS[name]
    short = metric([[0, 1, 0]], [[0.3, 0.2, 0.1]], k, None)
    padded = metric([[0, 1, 0, 1]], [[0.3, 0.2, 0.1, np.nan]], k, [[True, True, True, False]])
    assert padded == pytest.approx(short)
    assert np.isnan(metric([[0, 0]], [[0.3, 0.2]], k, None)).all()


def test_ties_go_to_the_one_that_stands_first() -> None:
    assert ndcg_at([[1, 0]], [[0.5, 0.5]], 1)[0] == 1.0
    assert ndcg_at([[0, 1]], [[0.5, 0.5]], 1)[0] == 0.0


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected equal \(lists, length\)"):
        ndcg_at([1, 0], [0.5, 0.1], 3)
    with pytest.raises(ValueError, match="expected 0 or 1, found 4"):
        ndcg_at([[4, 0]], [[0.5, 0.1]], 3)
    with pytest.raises(ValueError, match="expected finite ones, found nan"):
        ndcg_at([[1, 0]], [[np.nan, 0.1]], 3)


def test_lists_are_bootstrapped_by_user() -> None:
    """Ten users with two lists each: the mean, and a paired difference that is the same in every draw."""
    users = np.repeat(np.arange(10), 2)
    values = np.random.default_rng(1).random(20)
    nothing = np.zeros(20)
    interval = bootstrap_users(mean_of_lists, users, nothing, values, seed=0, draws=200)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low < values.mean() < interval.high
    difference = paired_bootstrap(mean_of_lists, users, nothing, values + 0.1, values, seed=0, draws=200)
    assert list(difference) == pytest.approx([0.1] * 3)
    assert mean_of_lists([0, 0], [np.nan, 0.5]) == 0.5
