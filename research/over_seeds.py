"""The same study of several runs, each with a seed of its own: means, and how far they may be off."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from research.reading import OVER
from trackrec.errors import RunError


def mean_and_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95% interval of Student's t, with one degree of freedom fewer than there are values.

    >>> [round(float(part), 3) for part in mean_and_interval([0.04, 0.05, 0.06])]
    [0.05, 0.025, 0.075]
    """
    mean = float(np.mean(values))
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def over_seeds(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Means over runs of what ``research read`` left of each.

    A run has its own users, new items and training, so the spread between runs holds all of these: the interval is over
    users and seeds.

    Args:
        files: of ``research read --file``, one a run.

    Returns:
        Rows as of :func:`research.reading.study` for what all files have, with the means over them; ``runs`` says how
        many they are, ``users`` and ``examples`` are sums.

    Raises:
        RunError: fewer than two files, or two of one seed.
    """
    told = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    seeds = [one["seed"] for one in told]
    if len(set(seeds)) < max(2, len(told)):
        raise RunError(f"the files are of seeds {seeds}: expected two or more runs, each with a seed of its own")
    found: defaultdict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for one in told:
        for row in one["rows"]:
            found[row["items"], row["arm"], row["metric"]].append(row)
    return [_mean(rows) for rows in found.values() if len(rows) == len(told)]


def _mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    value, low, high = mean_and_interval([row["value"] for row in rows])
    kept = {name: rows[0][name] for name in ("items", "arm", "metric")}
    sums = {name: sum(row[name] for row in rows) for name in ("users", "examples")}
    over = {
        key: list(mean_and_interval([row[key][0] for row in rows])) for key in OVER if all(key in row for row in rows)
    }
    return kept | {"value": value, "low": low, "high": high} | over | sums | {"runs": len(rows)}
