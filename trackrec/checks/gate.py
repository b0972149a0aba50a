"""The gate: the checker's word counts only where its rate of false accusations is known.

On texts of the `template` teacher, and of generators distilled from it, the rate has been measured
(docs/grounding-accuracy.md). On any other corpus it is unknown until somebody has labelled a
sample (``trackrec check-the-checker``): until then no reward is taken off, and nothing is withheld from publishing,
because the checker calls it false.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trackrec.checks.rules import Verdict
from trackrec.errors import RunError
from trackrec.metrics.probability import Interval, wilson

GATE_FILE = "checker.json"
"""In the run folder: what labelling has found."""
ACCUSING = "grounding"
"""The extra reward that rests on the checker's accusations."""
NEEDED = 0.95
"""Precision of accusations above which the gate opens."""
FEWEST = 10
"""Labelled accusations that are needed, or all that the run's texts gave cause for."""
MEASURED_TEACHERS = frozenset({"template"})
"""Teachers on whose sentences the checker has been measured."""
DRAWS = 1000


@dataclass(frozen=True)
class Labelled:
    """A labelled sentence with the checker's verdict."""

    verdict: str
    """Of the checker."""
    label: str
    """Of the labeller: ``supported``, ``contradicted`` or ``not_checkable``."""
    weight: float = 1.0
    """How many sentences of the run it stands for."""
    way: str = ""


@dataclass(frozen=True)
class Measure:
    """How often the checker is right with one verdict."""

    verdict: str
    precision: Interval
    """Of the sentences that it gave this verdict, Wilson's 95% interval."""
    recall: Interval
    """Of the sentences that deserve it, each counted by its weight; bootstrap, 95%."""
    given: int
    true: int


def measure(labelled: Sequence[Labelled], seed: int = 17) -> list[Measure]:
    """Precision and recall of the two verdicts that decide.

    Args:
        labelled: drawn at random within each verdict.
        seed: of the bootstrap.
    """
    found = []
    for verdict in (Verdict.SUPPORTED, Verdict.CONTRADICTED):
        given = [one for one in labelled if one.verdict == verdict]
        true = [one for one in labelled if one.label == verdict]
        right = sum(one.label == verdict for one in given)
        found.append(
            Measure(str(verdict), wilson(right, len(given)), _recall(labelled, verdict, seed), len(given), len(true))
        )
    return found


def _recall(labelled: Sequence[Labelled], verdict: str, seed: int) -> Interval:
    weights = np.array([one.weight for one in labelled])
    true = np.array([one.label == verdict for one in labelled], dtype=bool)
    hit = true & np.array([one.verdict == verdict for one in labelled], dtype=bool)
    if not true.any():
        return Interval(float("nan"), float("nan"), float("nan"))
    rng, shares = np.random.default_rng(seed), []
    for _ in range(DRAWS):
        drawn = rng.integers(len(labelled), size=len(labelled))
        if under := float((weights * true)[drawn].sum()):
            shares.append(float((weights * hit)[drawn].sum()) / under)
    low, high = (float(value) for value in np.quantile(shares, (0.025, 0.975)))
    return Interval(float((weights * hit).sum() / (weights * true).sum()), low, high)


def opens(measures: Sequence[Measure], accusations: int) -> bool:
    """Whether labels open the gate.

    Args:
        measures: of `measure`.
        accusations: sentences that the checker calls contradicted in the whole run.
    """
    of = next(one for one in measures if one.verdict == Verdict.CONTRADICTED)
    return of.given >= min(FEWEST, max(1, accusations)) and of.precision.value > NEEDED


def write_gate(folder: Path, measures: Sequence[Measure], accusations: int) -> dict[str, Any]:
    """Store what labelling has found in a run folder, and say it."""
    told = {
        "open": opens(measures, accusations),
        "accusations": accusations,
        "measures": [asdict(one) | {"precision": list(one.precision), "recall": list(one.recall)} for one in measures],
    }
    (folder / GATE_FILE).write_text(json.dumps(_without_nan(told), indent=1) + "\n", encoding="utf-8")
    return told


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and value != value else value


def is_ours(teacher: str, distils: bool = True) -> bool:
    """Whether a run's texts are this project's own: of a teacher whose sentences the checker knows word by word, or of
    a generator that learned from it.

    Args:
        teacher: type of the teacher, as in the recipe.
        distils: whether the generator learns from that teacher.
    """
    return distils and teacher in MEASURED_TEACHERS


def may_accuse(folder: Path, teacher: str, distils: bool = True) -> bool:
    """Whether the checker's word counts for the texts of a run.

    Args:
        folder: of the run. What labels have found there decides, if there are any.
        teacher: type of the teacher, as in the recipe.
        distils: whether the generator learns from that teacher.

    Raises:
        RunError: the gate's file there cannot be read.
    """
    path = folder / GATE_FILE
    if not path.is_file():
        return is_ours(teacher, distils)
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["open"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} does not hold what `trackrec check-the-checker` writes ({error}): remove it and label again"
        ) from error
