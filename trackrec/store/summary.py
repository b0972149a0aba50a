"""A version in figures: who has a text, how old and how long the texts are, what was found of their sentences."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from trackrec.store.record import Stored
from trackrec.users.citations import without_citations

SAMPLE = 2_000
"""So many vectors of a version are kept, drawn by chance, to see whether the next version's drift away."""


def summarise(records: Iterable[Stored], now: float | None = None, seed: int = 0) -> dict[str, Any]:
    """Figures of some records.

    Args:
        records: of a version.
        now: seconds; None: by the clock.
        seed: draws the sample of vectors.

    Returns:
        ``people``, ``with_text``, ``with_vector``, ``expired``, ``objected`` (people who changed their text),
        ``age_days`` and ``characters`` (p5, p50, p95, of those with a text), ``sentences`` (number of each verdict),
        ``contradicted`` (share of the sentences that could be checked; null without any), ``sample`` (vectors).
    """
    moment, chance = time.time() if now is None else now, np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    ages: list[float] = []
    lengths: list[int] = []
    sample: list[list[float]] = []
    for found in records:
        body = found.body
        counts["people"] += 1
        counts["objected"] += body["objections"] > 0
        expires = body["expires"]
        counts["expired"] += expires is not None and max(moment, body["written"]) >= expires
        if body["text"]:
            counts["with_text"] += 1
            ages.append(max(0.0, moment - body["written"]) / 86_400)
            lengths.append(len(without_citations(body["text"])))
            verdicts.update(sentence["verdict"] for sentence in body["sentences"])
        vector = found.vector
        if vector is not None:
            counts["with_vector"] += 1
            place = len(sample) if len(sample) < SAMPLE else int(chance.integers(counts["with_vector"]))
            if place < SAMPLE:
                sample[place : place + 1] = [[round(float(value), 5) for value in vector]]
    checked = verdicts["supported"] + verdicts["contradicted"]
    return {
        **{name: counts[name] for name in ("people", "with_text", "with_vector", "expired", "objected")},
        "age_days": _quantiles(ages),
        "characters": _quantiles(lengths),
        "sentences": dict(sorted(verdicts.items())),
        "contradicted": verdicts["contradicted"] / checked if checked else None,
        "sample": sample,
    }


def _quantiles(values: list[Any]) -> dict[str, float] | None:
    if not values:
        return None
    return {f"p{share}": round(float(np.percentile(values, share)), 2) for share in (5, 50, 95)}
