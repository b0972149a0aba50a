"""Metrics of ranked lists: MAP and NDCG at k, list by list."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
ListMetric = Callable[[ArrayLike, ArrayLike, int, ArrayLike | None], FloatArray]
"""``metric(labels, scores, k, mask)``: the value of each list, NaN where it is undefined."""


def ndcg_at(labels: ArrayLike, scores: ArrayLike, k: int, mask: ArrayLike | None = None) -> FloatArray:
    """Discounted gain of the k best-scored candidates, as a share of what the best order would gain.

    With labels of 0 and 1 the gain is the label; place p (from 1) counts ``1 / log2(p + 1)``.

    Args:
        labels: 0 or 1, shape (lists, length).
        scores: any monotone score, shape (lists, length). Of equal scores the one that stands first is ranked first:
            give the candidates in their initial order, never the liked ones first.
        k: how many of the top places count.
        mask: where a candidate is, bool, shape (lists, length); None: everywhere.

    Returns:
        Shape (lists,), in [0, 1]; NaN for lists without a liked candidate, which no order can tell apart.

    Source:
        Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques".

    >>> ndcg_at([[0, 1, 0]], [[0.9, 0.5, 0.1]], k=3).round(4).tolist()
    [0.6309]
    """
    ranked, likes = _ranked(labels, scores, mask)
    discount = 1 / np.log2(np.arange(2, ranked.shape[1] + 2))
    gained = (ranked * discount)[:, :k].sum(axis=1)
    best = np.concatenate([[0.0], np.cumsum(discount[:k])])[np.minimum(likes, min(k, ranked.shape[1]))]
    return _divided(gained, best)


def average_precision_at(labels: ArrayLike, scores: ArrayLike, k: int, mask: ArrayLike | None = None) -> FloatArray:
    """Mean precision at the places of the liked candidates among the k best-scored; its mean over lists is MAP@k.

    The sum is divided by the likes that could stand there, ``min(k, likes)``. (LibRerank divides by those that do, so
    that one hit at the top of a list with four likes scores 1; and counts lists without a like as 0.)

    Args and returns as :func:`ndcg_at`.

    >>> average_precision_at([[0, 1, 1, 0]], [[4, 3, 2, 1]], k=3).round(4).tolist()
    [0.5833]
    """
    ranked, likes = _ranked(labels, scores, mask)
    top = ranked[:, :k]
    precision = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    return _divided((precision * top).sum(axis=1), np.minimum(likes, k).astype(np.float64))


LIST_METRICS: dict[str, tuple[ListMetric, int]] = {
    "map_3": (average_precision_at, 3),
    "map_7": (average_precision_at, 7),
    "ndcg_3": (ndcg_at, 3),
    "ndcg_7": (ndcg_at, 7),
}
"""KAR's metrics of re-ranking by name: the function and its k."""


def _ranked(labels: ArrayLike, scores: ArrayLike, mask: ArrayLike | None) -> tuple[FloatArray, NDArray[np.int64]]:
    """The labels by falling score, padding last and as 0; and the likes of each list."""
    y, s = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    here = np.ones(y.shape, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    if y.ndim != 2 or y.shape != s.shape or y.shape != here.shape:
        raise ValueError(f"labels {y.shape}, scores {s.shape}, mask {here.shape}: expected equal (lists, length)")
    if not np.isin(y[here], (0, 1)).all():
        raise ValueError(f"labels: expected 0 or 1, found {y[here][~np.isin(y[here], (0, 1))][0]}")
    if not np.isfinite(s[here]).all():
        raise ValueError(f"scores: expected finite ones, found {s[here][~np.isfinite(s[here])][0]}")
    order = np.argsort(np.where(here, -s, np.inf), axis=1, kind="stable")
    ranked = np.take_along_axis(np.where(here, y, 0.0), order, axis=1)
    return ranked, ranked.sum(axis=1).astype(np.int64)


def _divided(value: FloatArray, by: FloatArray) -> FloatArray:
    return np.where(by > 0, value / np.where(by > 0, by, 1.0), np.nan)
