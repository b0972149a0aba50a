"""Metrics of predicted probabilities, and their confidence intervals over users."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Chance that a liked example scores above a disliked one; a tie counts one half.

    Args:
        labels: 0 or 1, shape (examples,).
        scores: any monotone score, shape (examples,).

    Returns:
        A value in [0, 1]; NaN if only one label occurs.

    >>> auc([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4])
    0.875
    """
    y, s = labels_and(scores, labels)
    return float(ranked_auc(np.zeros(len(y), dtype=np.intp), y, s)(np.ones(len(y)))[0])


def gauc(users: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> float:
    """AUC within each user, averaged with the user's number of examples as weight (Zhu et al. 2017, section 5).

    Users with one label alone are left out, as their AUC is undefined. NaN if nobody remains.

    >>> gauc(["a", "a", "b", "b", "b", "c"], [1, 0, 1, 0, 0, 1], [0.2, 0.1, 0.5, 0.9, 0.1, 0.3])
    0.7
    """
    y, s = labels_and(scores, labels)
    index = index_of(users, len(y))
    values = ranked_auc(index, y, s)(np.ones(len(y)))[index]
    return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan


def log_loss(labels: ArrayLike, probabilities: ArrayLike, epsilon: float = 1e-7) -> float:
    """Mean negative log-likelihood, in nats; probabilities are clipped to [epsilon, 1 - epsilon]."""
    y, p = labels_and(probabilities, labels, probability=True)
    return float(np.mean(log_losses(y, p, epsilon)))


def log_likelihood(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean log-likelihood of the labels in nats, `log_loss` with the other sign: the unit of a RecCoT's reward."""
    return -log_loss(labels, probabilities)


def accuracy(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Share of examples whose label is the more probable answer; exactly 0.5 counts as "Yes"."""
    y, p = labels_and(probabilities, labels, probability=True)
    return float(np.mean((p >= 0.5) == (y == 1)))


def platt_calibration(labels: ArrayLike, logits: ArrayLike) -> tuple[float, float]:
    """Slope a and intercept b of ``sigmoid(a * logit + b)``, fitted by maximum likelihood.

    The labels are smoothed as Platt does, so that separable data have a finite answer.

    Source:
        Platt 1999; Newton's method with backtracking as in Lin, Lin and Weng 2007.
    """
    y, x = labels_and(logits, labels)
    likes, dislikes = float(y.sum()), float(len(y) - y.sum())
    target = np.where(y == 1, (likes + 1) / (likes + 2), 1 / (dislikes + 2))
    design = np.stack([x, np.ones_like(x)])

    def loss(point: FloatArray) -> float:
        z = point @ design
        return float(np.sum(np.logaddexp(0, z) - target * z))

    point = np.array([0.0, math.log((likes + 1) / (dislikes + 1))])
    for _ in range(100):
        p = _sigmoid(point @ design)
        gradient = design @ (p - target)
        if np.abs(gradient).max() < 1e-8 * len(y):
            break
        step = np.linalg.solve((design * (p * (1 - p))) @ design.T + 1e-10 * np.eye(2), gradient)
        scale = 1.0
        while scale > 1e-10 and loss(point - scale * step) > loss(point) - 1e-4 * scale * float(gradient @ step):
            scale /= 2
        point = point - scale * step
    return float(point[0]), float(point[1])


def calibrated_probability(logits: ArrayLike, slope: float, intercept: float) -> FloatArray:
    """``sigmoid(slope * logits + intercept)``: what `platt_calibration` fitted, applied. Shape of ``logits``."""
    return _sigmoid(slope * np.asarray(logits, dtype=np.float64) + intercept)


class Interval(NamedTuple):
    """A statistic and its confidence interval; NaN where undefined."""

    value: float
    low: float
    high: float

    @classmethod
    def point(cls, value: float) -> Interval:
        """A statistic of which no interval is known."""
        return cls(value, math.nan, math.nan)


def wilson(successes: int, trials: int, z: float = 1.959964) -> Interval:
    """A share with Wilson's interval (95% by default); NaN without trials.

    Source:
        Wilson 1927; its ends stay in [0, 1] and it is wide where trials are few, also at shares of 0 and 1.

    >>> [round(x, 4) for x in wilson(9, 10)]
    [0.9, 0.5958, 0.9821]
    """
    if not trials:
        return Interval.point(math.nan)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * float(np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)))
    return Interval(share, centre - half, centre + half)


def split_half_reliability(
    scores: Mapping[Any, ArrayLike], labels: Mapping[Any, ArrayLike], seed: int, halves: int = 100
) -> float:
    """How well the mean reward of RecCoTs on one half of their targets agrees with that on the other half.

    Each half has as many likes and as many dislikes as the other, and both kinds weigh in it as they do among all of
    the user's targets. Drawn without regard to labels, a half with more likes would leave fewer to the other one, so
    that a text which only raises P(Yes) everywhere would earn in the one what it loses in the other: strongly negative,
    though nothing about it is unreliable. So drawn, such a text earns the same in both: nothing where likes and
    dislikes balance; and what it does earn where they do not, both halves agree on.

    Rewards are centred within the user before correlating: that some users are easier says nothing about RecCoTs. Of an
    odd number of likes or dislikes one is left out by chance. The correlation is averaged over the random halves, then
    stepped up to twice the size of a half by Spearman-Brown, 2r / (1 + |r|).

    Args:
        scores: for each user the rewards of its RecCoTs, shape (samples, targets). Users of whom no half can be drawn
            (`can_be_halved`) are left out.
        labels: of the same users, 0 or 1 for each target, shape (targets,).
        seed: of the halves, which depend on the numbers of likes and dislikes alone.

    Returns:
        A value in [-1, 1]: 0 is noise. NaN if no user can be used or no reward varies.

    Raises:
        ValueError: a reward is not finite, or the labels of a user are not one 0 or 1 for each target.
    """
    by_labels: dict[tuple[int, int], list[FloatArray]] = {}
    for user, rewards in scores.items():
        table, label = np.asarray(rewards, dtype=np.float64), np.asarray(labels[user])
        if label.shape != table.shape[1:] or not np.isin(label, (0, 1)).all():
            raise ValueError(
                f"user {user!r}: labels {label.tolist()} of rewards {table.shape}: expected 0 or 1 for each target"
            )
        if not np.isfinite(table).all():
            raise ValueError(f"user {user!r}: a reward is {table[~np.isfinite(table)][0]}, expected finite numbers")
        likes = int(label.sum())
        if can_be_halved(table, label):
            dislikes = len(label) - likes
            by_labels.setdefault((likes, dislikes), []).append(table[:, np.argsort(label != 1, kind="stable")])
    # All RecCoTs with the same numbers of likes and dislikes in one table, likes first: centring once, on the targets,
    # centres every half.
    centred = {
        counts: np.concatenate([table - table.mean(axis=0) for table in tables])
        for counts, tables in sorted(by_labels.items())
    }
    streams = {counts: np.random.default_rng([seed, *counts]) for counts in centred}
    correlations = []
    for _ in range(halves if centred else 0):
        pairs = [_halves(table, counts, streams[counts]) for counts, table in centred.items()]
        first, second = np.concatenate(pairs, axis=1)
        spread = math.sqrt(float(first @ first) * float(second @ second))
        if spread > 1e-20:
            correlations.append(float(first @ second) / spread)
    if not correlations:
        return math.nan
    mean = float(np.mean(correlations))
    return 2 * mean / (1 + abs(mean))


def can_be_halved(rewards: ArrayLike, labels: ArrayLike) -> bool:
    """Whether a user counts in `split_half_reliability`: two samples or more, and two targets of one label or more.

    Args:
        rewards: shape (samples, targets).
        labels: 0 or 1, shape (targets,).
    """
    likes = int(np.sum(np.asarray(labels)))
    return len(np.asarray(rewards)) >= 2 and max(likes, len(np.asarray(labels)) - likes) >= 2


def _halves(table: FloatArray, counts: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Mean rewards on two halves of the targets, drawn within label; (RecCoTs, targets) -> (2, RecCoTs)."""
    both, start = np.zeros((2, len(table))), 0
    for count in counts:
        order, half = start + rng.permutation(count), count // 2
        if half:
            means = [table[:, order[:half]].mean(axis=1), table[:, order[half : 2 * half]].mean(axis=1)]
            both += count / sum(counts) * np.stack(means)
        start += count
    return both


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.exp(-np.logaddexp(0, -x))


def log_losses(labels: FloatArray, probabilities: FloatArray, epsilon: float = 1e-7) -> FloatArray:
    """Negative log-likelihood of each example, in nats."""
    p = np.clip(probabilities, epsilon, 1 - epsilon)
    return -np.where(labels == 1, np.log(p), np.log1p(-p))


def labels_and(scores: ArrayLike, labels: ArrayLike, probability: bool = False) -> tuple[FloatArray, FloatArray]:
    """Both as floats. Raises `ValueError` unless they are labels of 0 and 1 and as many scores (or probabilities)."""
    y, s = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if y.ndim != 1 or y.shape != s.shape or not len(y):
        raise ValueError(f"labels {y.shape} and scores {s.shape}: expected the same, not empty shape (examples,)")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"labels: expected 0 or 1, found {y[~np.isin(y, (0, 1))][0]}")
    bad = ~((s >= 0) & (s <= 1)) if probability else ~np.isfinite(s)
    if bad.any():
        expected = "probabilities in [0, 1]" if probability else "finite scores"
        raise ValueError(f"scores: expected {expected}, found {s[bad][0]} at row {int(np.argmax(bad))}")
    return y, s


def index_of(ids: ArrayLike, examples: int) -> IndexArray:
    """Number of each example's user or fold, from 0, in the order of their ids."""
    index = np.unique(np.asarray(ids), return_inverse=True)[1]
    if index.shape != (examples,):
        raise ValueError(f"users or folds {index.shape}: expected one for each of {examples} examples")
    return index.astype(np.intp)


def ranked_auc(groups: IndexArray, labels: FloatArray, scores: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Sort once; the returned function gives each group's AUC for any weights of the examples."""
    values, rank = np.unique(scores, return_inverse=True)
    cells, cell = np.unique(groups * len(values) + rank, return_inverse=True)
    owner = cells // len(values)
    start = np.searchsorted(owner, np.arange(owner[-1] + 1))

    def weigh(weights: FloatArray) -> FloatArray:
        likes = np.bincount(cell, weights * labels, minlength=len(cells))
        dislikes = np.bincount(cell, weights * (1 - labels), minlength=len(cells))
        below = np.cumsum(dislikes) - dislikes
        wins = np.bincount(owner, likes * (below - below[start][owner] + dislikes / 2))
        with np.errstate(invalid="ignore"):
            return np.asarray(wins / (np.bincount(owner, likes) * np.bincount(owner, dislikes)), dtype=np.float64)

    return weigh
