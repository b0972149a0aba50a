"""How far predicted probabilities are from what happened, in bins of equal numbers of examples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def equal_mass_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float:
    """Gap between mean probability and share of likes in bins of about equal size, averaged by the bins' examples.

    Where predictions crowd together, bins of equal width leave most of them in two or three: here each bin holds as
    many examples as the next. Examples of equal probability share a bin, that of their mean rank, so that neither the
    order of the rows nor their labels decide who falls where; with many ties bins are then uneven, or fewer. The error
    is biased upwards by about the noise of a bin's share: compare models on the same examples and bins only.

    Args:
        labels: 0 or 1, shape (examples,).
        probabilities: in [0, 1], shape (examples,).
        bins: how many bins.

    Returns:
        A value in [0, 1]; 0 is perfectly calibrated.

    Source:
        Nguyen and O'Connor 2015, "Posterior calibration and exploratory analysis for NLP models", section 3 (bins of
        equal size); the average as in Naeini et al. 2015.

    >>> equal_mass_calibration_error([0, 1, 1, 1], [0.2, 0.4, 0.6, 0.8], bins=2)
    0.25
    """
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape or not len(y):
        raise ValueError(f"labels {y.shape} and probabilities {p.shape}: expected the same, not empty (examples,)")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"probabilities: expected values in [0, 1], found {p[~((p >= 0) & (p <= 1))][0]}")
    _, which, counts = np.unique(p, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2  # of each distinct probability, in rows
    place = np.minimum((middle * bins / len(p)).astype(np.intp), bins - 1)[which]
    return float(np.abs(np.bincount(place, p - y, minlength=bins)).sum() / len(y))
