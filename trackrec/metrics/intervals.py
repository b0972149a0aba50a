"""Confidence intervals by drawing users with replacement: every draw at once, as products of matrices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trackrec.metrics.probability import (
    FloatArray,
    IndexArray,
    Interval,
    accuracy,
    auc,
    gauc,
    index_of,
    labels_and,
    log_likelihood,
    log_loss,
    log_losses,
    ranked_auc,
)

Drawn = Callable[[FloatArray], FloatArray]
"""A statistic of fixed examples as a function of how often each user was drawn, (draws, users) -> (draws,)."""
MATRIX_ENTRIES = 50_000_000
"""Up to so many examples times users, AUC is counted once between all pairs of users."""
FEWEST_USERS = 30
"""With fewer users nothing is said to hold, and no p value is given. The percentile bootstrap is no test there: it
draws the same few users again and again, and its p falls far below the least that an exact sign test allows, which is
2^(1 - users): .031 for six."""


def mean_of_lists(labels: ArrayLike, values: ArrayLike) -> float:
    """Mean of the lists' values, for `bootstrap_users` and `paired_bootstrap`: NaN lists do not count.

    Args:
        labels: not read; that place is where those functions pass labels.
        values: shape (lists,).
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")


def bootstrap_users(
    statistic: Callable[..., float],
    users: ArrayLike,
    *arrays: ArrayLike,
    seed: int,
    draws: int = 1000,
    level: float = 0.95,
    folds: ArrayLike | None = None,
) -> Interval:
    """Percentile interval of a statistic when users, not rows, are drawn with replacement.

    Rows of one user are not independent, so an interval over rows would be too narrow. `auc`, `gauc`, `log_loss`,
    `accuracy` and `mean_of_lists` are not recomputed from copied rows: what they need of each user (AUC: of each pair
    of users) is counted once, and all draws are products with that.

    Args:
        statistic: called as ``statistic(*arrays)``; `gauc` gets its users by itself.
        users: the user of each example, shape (examples,).
        arrays: mostly labels and scores, each (examples,). The last may be (seeds, examples): the statistic is then
            averaged over the seeds of training.
        seed: of the draws. The order of the examples does not matter.
        draws: number of resamples; those in which the statistic is undefined (no like was drawn, say) are left out.
        level: coverage aimed at.
        folds: the fold of each example, shape (examples,), each user in one fold. The statistic is then taken within
            folds and averaged by their examples, since scores of models of different folds do not compare.

    Returns:
        The statistic and its bounds; the bounds are NaN if a fold has a single user.

    Raises:
        ValueError: the arrays differ in length, or a label, a score or another number is not one. Only values of lists
            (`mean_of_lists`) may be NaN, where a list has no liked candidate.
    """
    value, drawn = draw_users(statistic, users, [arrays], seed, draws, folds)
    return percentile_interval(float(value[0]), drawn[:, 0], level)


def paired_bootstrap(
    statistic: Callable[..., float],
    users: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    baseline_scores: ArrayLike,
    *,
    seed: int,
    draws: int = 1000,
    level: float = 0.95,
    folds: ArrayLike | None = None,
) -> Interval:
    """Interval of ``statistic(labels, scores) - statistic(labels, baseline_scores)`` on the same drawn users.

    Both arms score the same examples; the other arguments are those of `bootstrap_users`.
    """
    value, drawn = draw_users(statistic, users, [(labels, scores), (labels, baseline_scores)], seed, draws, folds)
    return percentile_interval(float(value[0] - value[1]), drawn[:, 0] - drawn[:, 1], level)


def _user_matrix(users: IndexArray, labels: FloatArray, scores: FloatArray, count: int) -> FloatArray:
    """How often a like of user u (row) scores above a dislike of user v (column), a tie one half; (count, count)."""
    _, rank = np.unique(scores, return_inverse=True)
    dislikes = np.zeros((int(rank.max()) + 1, count), dtype=np.float32)
    liked = labels == 1
    np.add.at(dislikes, (rank[~liked], users[~liked]), 1)
    below = np.cumsum(dislikes, axis=0, dtype=np.float32) - dislikes / 2  # whole and half numbers: exact
    wins = np.zeros((count, count))
    order = np.argsort(users[liked], kind="stable")
    owners, starts = np.unique(users[liked][order], return_index=True)
    if len(owners):
        wins[owners] = np.add.reduceat(below[rank[liked][order]], starts, axis=0, dtype=np.float64)
    return wins


def _auc_of_draws(users: IndexArray, labels: FloatArray, scores: FloatArray, count: int) -> Drawn:
    """AUC, mean over the rows of scores (seeds, examples), as a quadratic form of the users' weights.

    With very many users the examples are sorted once and weighed draw by draw.
    """
    if len(labels) * count > MATRIX_ENTRIES:
        seeds = [ranked_auc(np.zeros(len(labels), dtype=np.intp), labels, row) for row in scores]
        return lambda times: np.array([np.mean([whole(row[users])[0] for whole in seeds]) for row in times])
    wins = np.mean([_user_matrix(users, labels, row, count) for row in scores], axis=0)  # all seeds have the same pairs
    likes = np.bincount(users, labels, minlength=count)
    dislikes = np.bincount(users, 1 - labels, minlength=count)

    def weigh(times: FloatArray) -> FloatArray:
        pairs = (times @ likes) * (times @ dislikes)
        with np.errstate(invalid="ignore"):
            return np.asarray(((times @ wins) * times).sum(axis=1) / pairs, dtype=np.float64)

    return weigh


def _mean_of_draws(users: IndexArray, values: FloatArray, count: int) -> Drawn:
    """Mean of the values that are not NaN."""
    defined = ~np.isnan(values)
    total = np.bincount(users, np.where(defined, values, 0.0), minlength=count)
    number = np.bincount(users, defined, minlength=count).astype(np.float64)

    def weigh(times: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            return np.asarray((times @ total) / (times @ number), dtype=np.float64)

    return weigh


def _prepare(statistic: Callable[..., float], users: IndexArray, count: int, *arrays: NDArray[Any]) -> Drawn:
    """The statistic as a function of how often each user was drawn, with all that does not depend on it done once."""
    if statistic is auc:
        checked = [labels_and(row, arrays[0], probability=False) for row in np.atleast_2d(arrays[1])]
        return _auc_of_draws(users, checked[0][0], np.stack([scores for _, scores in checked]), count)
    if arrays[-1].ndim == 2:
        seeds = [_prepare(statistic, users, count, *arrays[:-1], row) for row in arrays[-1]]
        return lambda times: np.asarray(np.mean([one(times) for one in seeds], axis=0))
    if statistic is log_likelihood:
        loss = _prepare(log_loss, users, count, *arrays)
        return lambda times: -loss(times)
    if statistic is mean_of_lists:
        return _mean_of_draws(users, np.asarray(arrays[1], dtype=np.float64), count)
    if statistic not in (auc, gauc, log_loss, accuracy):
        _refuse_undefined(arrays)

        def copied(times: FloatArray) -> FloatArray:
            rows = [row[users].astype(np.intp) for row in times]
            return np.array([statistic(*(np.repeat(array, row) for array in arrays)) for row in rows])

        return copied
    y, s = labels_and(arrays[1], arrays[0], probability=statistic in (log_loss, accuracy))
    if statistic is gauc:
        values = ranked_auc(users, y, s)(np.ones(len(y)))[users]
    else:
        values = log_losses(y, s) if statistic is log_loss else ((s >= 0.5) == (y == 1)).astype(np.float64)
    return _mean_of_draws(users, values, count)


def _refuse_undefined(arrays: tuple[NDArray[Any], ...]) -> None:
    """One NaN would make every draw that holds its user undefined: the interval would shrink, or go, without a word."""
    for number, array in enumerate(arrays):
        if np.issubdtype(array.dtype, np.floating) and (bad := ~np.isfinite(array)).any():
            raise ValueError(
                f"array {number} has {array[bad][0]} at row {int(np.argmax(bad))} ({int(bad.sum())} of {len(array)}): "
                "expected finite numbers; leave these examples out and say how many are left"
            )


def draw_users(
    statistic: Callable[..., float],
    users: ArrayLike,
    arms: list[tuple[ArrayLike, ...]],
    seed: int,
    draws: int,
    folds: ArrayLike | None,
) -> tuple[FloatArray, FloatArray]:
    """What `bootstrap_users` draws: the statistic of each arm, (arms,), and of each arm in each draw, (draws, arms)."""
    tables = [[np.asarray(array) for array in arm] for arm in arms]
    examples = len(np.asarray(users))
    for array in (array for table in tables for array in table):
        if array.shape[-1:] != (examples,):
            raise ValueError(f"array {array.shape}: expected {examples} examples, as many as users")
    user_index = index_of(users, examples)
    fold_index = np.zeros(examples, dtype=np.intp) if folds is None else index_of(folds, examples)
    value, drawn = np.zeros(len(arms)), np.zeros((draws, len(arms)))
    for fold in range(int(fold_index.max()) + 1):
        rows = fold_index == fold
        index = index_of(user_index[rows], int(rows.sum()))
        count = int(index.max()) + 1
        prepared = [_prepare(statistic, index, count, *(array[..., rows] for array in table)) for table in tables]
        value += rows.mean() * np.array([one(np.ones((1, count)))[0] for one in prepared])
        if not draws:
            continue
        if count < 2:  # one user drawn again and again would feign certainty
            drawn[:] = math.nan
            continue
        taken = np.random.default_rng([seed, fold]).integers(count, size=(draws, count))
        flat = (np.arange(draws)[:, None] * count + taken).ravel()
        times = np.bincount(flat, minlength=draws * count).reshape(draws, count).astype(np.float64)
        drawn += rows.mean() * np.stack([one(times) for one in prepared], axis=1)
    return value, drawn


def percentile_interval(value: float, drawn: FloatArray, level: float = 0.95) -> Interval:
    """A statistic with the percentile interval of its draws, shape (draws,); undefined ones are left out."""
    defined = drawn[~np.isnan(drawn)]
    if not len(defined) or math.isnan(value):
        return Interval.point(value)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
