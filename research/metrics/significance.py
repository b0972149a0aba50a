"""Which differences hold: p values from the bootstrap over users, Holm's correction, the spread over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from trackrec.metrics.intervals import FEWEST_USERS, draw_users, percentile_interval
from trackrec.metrics.probability import FloatArray


class PairedContrast(NamedTuple):
    """A difference between two arms on the same examples."""

    difference: float
    low: float
    high: float
    """Ends of the 95% percentile interval over users."""
    p_value: float
    """Two-sided p value of "no difference": twice the share of draws on the other side of 0, each side with one draw
    added, so that it is never 0 and at least ``2 / (draws + 1)``: for many comparisons take many draws. NaN with fewer
    than `FEWEST_USERS` users."""
    baseline: float
    """The statistic of the arm that it is the difference from."""

    def as_row(self) -> dict[str, float | None]:
        """For JSON: ``value, against_value, difference, lower, upper, p``; what is undefined is None."""
        named = {"value": self.baseline + self.difference, "against_value": self.baseline}
        named |= {"difference": self.difference, "lower": self.low, "upper": self.high, "p": self.p_value}
        return {name: None if np.isnan(number) else float(number) for name, number in named.items()}


def paired_contrast(
    statistic: Callable[..., float],
    users: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    baseline_scores: ArrayLike,
    *,
    seed: int,
    draws: int = 1000,
    folds: ArrayLike | None = None,
) -> PairedContrast:
    """`trackrec.metrics.intervals.paired_bootstrap`, with a p value from the very same draws; arguments as there.

    The p value agrees with the interval: below 0.05 just where the 95% percentile interval leaves 0 out, to the width
    of one draw; with fewer than `FEWEST_USERS` users it is NaN. All but the difference is NaN where no draw is defined.

    Source:
        Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 4.2 (the added draw).
    """
    both = {"arm": scores, "baseline": baseline_scores}
    pairs = [("arm", "baseline")]
    return paired_contrasts(statistic, users, labels, both, pairs, seed=seed, draws=draws, folds=folds)[0]


def paired_contrasts(
    statistic: Callable[..., float],
    users: ArrayLike,
    labels: ArrayLike,
    scores: Mapping[str, ArrayLike],
    pairs: Sequence[tuple[str, str]],
    *,
    seed: int,
    draws: int = 1000,
    folds: ArrayLike | None = None,
) -> list[PairedContrast]:
    """Many contrasts on the same examples and draws: each arm is drawn once, whatever the number of its pairs.

    Args:
        statistic, users, labels, seed, draws, folds: as for `paired_contrast`.
        scores: of each arm.
        pairs: an arm, and the one that it is the difference from.
    """
    names = list(scores)
    arms: list[tuple[ArrayLike, ...]] = [(labels, scores[name]) for name in names]
    value, drawn = draw_users(statistic, users, arms, seed, draws, folds)
    places = [(names.index(arm), names.index(against)) for arm, against in pairs]
    count = len(np.unique(np.asarray(users)))
    return [_contrast(float(value[i] - value[j]), drawn[:, i] - drawn[:, j], float(value[j]), count) for i, j in places]


def contrast_of_gains(
    statistic: Callable[..., float],
    users: ArrayLike,
    labels: ArrayLike,
    gain: tuple[ArrayLike, ArrayLike],
    other: tuple[ArrayLike, ArrayLike],
    *,
    seed: int,
    draws: int = 1000,
) -> PairedContrast:
    """One gain less another on the same drawn users: (statistic of a - of b) - (statistic of c - of d).

    Args:
        statistic, users, labels: as in `trackrec.metrics.intervals.bootstrap_users`.
        gain: scores a and b.
        other: scores c and d.

    Returns:
        As `paired_contrast`; the baseline is the other gain.
    """
    arms: list[tuple[ArrayLike, ...]] = [(labels, scores) for scores in (*gain, *other)]
    value, drawn = draw_users(statistic, users, arms, seed, draws, None)
    signs = np.array([1.0, -1.0, -1.0, 1.0])
    count = len(np.unique(np.asarray(users)))
    return _contrast(float(value @ signs), drawn @ signs, float(value[2] - value[3]), count)


def _contrast(gain: float, drawn: FloatArray, baseline: float, users: int) -> PairedContrast:
    found, difference = percentile_interval(gain, drawn), drawn[~np.isnan(drawn)]
    if np.isnan(found.low):
        return PairedContrast(*found, float("nan"), baseline)
    side = min(int((difference <= 0).sum()), int((difference >= 0).sum()))
    p_value = min(1.0, 2 * (side + 1) / (len(difference) + 1)) if users >= FEWEST_USERS else float("nan")
    return PairedContrast(*found, p_value, baseline)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p values: each below 0.05 holds, with all comparisons of the family in mind.

    Sorted upwards, the i-th smallest (from 0) of m is multiplied by m - i, then made no smaller than those before it.
    Undefined values (NaN) stay so and do not count in m.

    Source:
        Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    defined = sorted((value, name) for name, value in p_values.items() if not np.isnan(value))
    adjusted = {name: float("nan") for name in p_values}
    highest = 0.0
    for place, (value, name) in enumerate(defined):
        highest = max(highest, min(1.0, value * (len(defined) - place)))
        adjusted[name] = highest
    return adjusted


class SeedSpread(NamedTuple):
    """A statistic over the seeds of training."""

    mean: float
    deviation: float
    """Standard deviation (n - 1 in the denominator); NaN with one seed."""
    low: float
    high: float


def seed_spread(
    statistic: Callable[..., float],
    users: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    folds: ArrayLike | None = None,
) -> SeedSpread:
    """How much a statistic differs between trainings that differ in nothing but their seed.

    Args:
        statistic, users, labels, folds: as in `trackrec.metrics.intervals.bootstrap_users`.
        scores: shape (seeds, examples).
    """
    arms: list[tuple[ArrayLike, ...]] = [(labels, row) for row in np.asarray(scores, dtype=np.float64)]
    values, _ = draw_users(statistic, users, arms, seed=0, draws=0, folds=folds)
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return SeedSpread(float(values.mean()), deviation, float(values.min()), float(values.max()))
