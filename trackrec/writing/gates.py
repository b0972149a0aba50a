"""Gates: what must hold of a version before readers get it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import Field

from trackrec.settings import Settings


class GateSettings(Settings):
    """Limits of a version that may be published. Null: no limit."""

    coverage: float | None = Field(default=0.99, ge=0, le=1)
    """Least share of texts among users with a usable event."""
    rejected: float | None = Field(default=0.01, ge=0, le=1)
    """Greatest share of users that failed, among those with a usable event."""
    contradicted: float | None = Field(default=0.05, ge=0, le=1)
    """Greatest share of sentences that the history contradicts, among those that it can bear out or deny."""
    contradicted_rise: float | None = Field(default=0.02, ge=0, le=1)
    """By how much that share may exceed that of the version before."""
    length: float | None = Field(default=0.5, gt=0, lt=1)
    """How far the mean length of a text may lie from that of the version before: .5 is half to twice as long."""
    users_lost: float | None = Field(default=0.1, ge=0, le=1)
    """Share of the earlier version's users by which there may be fewer: a log that lost a partition looks like that."""
    usefulness_drop: float | None = Field(default=0.005, ge=0, le=1)
    """By how much the new texts may predict events worse (AUC) that came after the version before; what counts is the
    upper end of the 95% interval over users."""
    usefulness_users: int = Field(default=1_000, ge=30)
    """Users who are enough for that comparison."""


@dataclass(frozen=True)
class Gate:
    """One gate and what came to it."""

    name: str
    passed: bool
    value: float | None
    limit: float | None
    says: str


def figures(counts: Mapping[str, int]) -> dict[str, float | None]:
    """What gates look at, from the counts of a version: ``coverage, rejected, contradicted`` (shares) and ``length``
    (characters a text); null where there is nothing to count.

    >>> figures({"rows": 9, "failed": 1, "characters": 900})["coverage"]
    0.9
    """
    rows, failed = counts.get("rows", 0), counts.get("failed", 0)
    true, false = counts.get("sentences_supported", 0), counts.get("sentences_contradicted", 0)
    return {
        "coverage": rows / (rows + failed) if rows + failed else None,
        "rejected": failed / (rows + failed) if rows + failed else None,
        "contradicted": false / (true + false) if true + false else None,
        "length": counts.get("characters", 0) / rows if rows else None,
    }


def pass_gates(
    counts: Mapping[str, int], before: Mapping[str, int] | None, settings: GateSettings, *further: Gate
) -> tuple[bool, list[dict[str, Any]]]:
    """Whether a version may be published, and each gate's word.

    Args:
        counts: of the version: ``rows, failed, characters, sentences_*``.
        before: those of the current version; None: there is none.
        settings: the limits.
        further: gates that look at more than counts.
    """
    mine, theirs = figures(counts), figures(before) if before else {}
    gates = [
        _least("coverage", mine["coverage"], settings.coverage, "of users with a usable event have a text"),
        _most("rejected", mine["rejected"], settings.rejected, "of users with a usable event failed"),
        _most("contradicted", mine["contradicted"], settings.contradicted, "of checkable sentences are contradicted"),
    ]
    earlier = theirs.get("contradicted")
    if earlier is not None and mine["contradicted"] is not None and settings.contradicted_rise is not None:
        limit = earlier + settings.contradicted_rise
        gates.append(_most("contradicted_rise", mine["contradicted"], limit, f"contradicted, {earlier:.2%} before"))
    length = theirs.get("length")
    if length and mine["length"] is not None and settings.length is not None:
        ratio = mine["length"] / length
        inside = settings.length <= ratio <= 1 / settings.length
        says = f"texts are {mine['length']:.0f} characters long, {length:.0f} before"
        gates.append(Gate("length", inside, ratio, settings.length, says))
    if before and before.get("rows") and settings.users_lost is not None:
        lost = 1 - counts.get("rows", 0) / before["rows"]
        gates.append(
            _most("users_lost", max(lost, 0.0), settings.users_lost, "of the earlier version's users are gone")
        )
    gates += further
    return all(gate.passed for gate in gates), [asdict(gate) for gate in gates]


def _most(name: str, value: float | None, limit: float | None, what: str) -> Gate:
    if value is None or limit is None:
        return Gate(name, True, value, limit, f"{name}: nothing to compare")
    return Gate(name, value <= limit, value, limit, f"{value:.2%} {what}, at most {limit:.2%} allowed")


def _least(name: str, value: float | None, limit: float | None, what: str) -> Gate:
    if value is None or limit is None:
        return Gate(name, value is not None or limit is None, value, limit, f"{name}: there is nobody to write for")
    return Gate(name, value >= limit, value, limit, f"{value:.2%} {what}, at least {limit:.2%} wanted")
