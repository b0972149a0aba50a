"""The rows of ``metrics.json``: every figure of a run, with its interval and what it was measured on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator

from trackrec.errors import RunError
from trackrec.files.whole import written_whole

ROLES = ("lm", "lm_extra", "lm_validation", "ranker")
"""Values of :class:`trackrec.data.roles.Role`, which lies above."""


class MetricRow(BaseModel):
    """One line of ``metrics.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    arm: str
    """What is measured, such as ``reccot``, ``no_reccot`` or ``reccot - no_reccot``."""
    round: int | None = None
    """Round of the loop; null where there is none."""
    role: str
    """Roles of the users measured on, as `roles_of` names them; empty if it read nobody."""
    metric: str
    """Name of the metric, such as ``auc``."""
    value: float | None
    """The metric; null if undefined."""
    low: float | None = None
    """Lower end of the 95% interval over users; null if there is none."""
    high: float | None = None
    """Upper end of the 95% interval over users; null if there is none."""
    users: int
    """Users measured on: those whose examples this figure read, not those of the round."""
    examples: int
    """Examples measured on, of these users."""
    seed: int | None = None
    """Training seed; null if averaged over several or if nothing was trained."""
    note: str = ""
    """What a reader must know to read the value."""

    @field_validator("value", "low", "high")
    @classmethod
    def _undefined_is_null(cls, number: float | None) -> float | None:
        return number if number is not None and math.isfinite(number) else None


def roles_of(users: Iterable[Any], roles: Mapping[Any, str]) -> str:
    """The roles of some users, in this order, as in "lm, lm_validation".

    >>> roles_of([1, 2], {1: "ranker", 2: "lm", 3: "lm_extra"})
    'lm, ranker'
    """
    found = {roles[user] for user in users}
    return ", ".join(role for role in ROLES if role in found)


def write_metrics(path: Path, rows: Iterable[MetricRow]) -> None:
    """Write the rows as a JSON list, by atomic rename."""
    text = json.dumps([row.model_dump() for row in rows], indent=1, ensure_ascii=False, allow_nan=False)
    with written_whole(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def read_metrics(path: Path) -> list[MetricRow]:
    """Read what `write_metrics` wrote. Raises `RunError` if the file holds anything else."""
    try:
        return TypeAdapter(list[MetricRow]).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"])
        raise RunError(
            f"{path}: expected a list of metric rows, found {first['msg']!r} at {where!r}; "
            "run the stage that writes the metrics again"
        ) from error
