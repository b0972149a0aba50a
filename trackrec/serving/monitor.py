"""``trackrec monitor``: is the version that is served still whole, fresh, true, near the one before, and of use?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from rich.console import Console
from rich.table import Table
from rich.text import Text
from scipy.stats import ks_2samp

from trackrec.errors import StoreError
from trackrec.serving.settings import changed
from trackrec.serving.usefulness import Usefulness, usefulness
from trackrec.settings import Settings
from trackrec.store.record import Stored
from trackrec.store.store import Store
from trackrec.store.summary import summarise


class Limits(Settings):
    """From where on a figure is an alert."""

    min_coverage: float = Field(default=0.95, ge=0, le=1)
    """Least share of people with a vector."""
    max_age_days: float = Field(default=30.0, ge=0)
    """Oldest median age of the texts."""
    max_expired: float = Field(default=0.05, ge=0, le=1)
    """Largest share of people whose text is too old to be served."""
    max_contradicted: float = Field(default=0.05, ge=0, le=1)
    """Largest share of the checkable sentences that the history contradicts."""
    max_contradicted_rise: float = Field(default=0.02, ge=0, le=1)
    """Largest rise of that share since the version before."""
    max_length_change: float = Field(default=0.25, ge=0)
    """Largest change of the median length, as a share of the one before."""
    max_people_lost: float = Field(default=0.1, ge=0, le=1)
    """Largest share of people by which a version may be smaller than the one before."""
    max_drift: float = Field(default=0.15, ge=0, le=1)
    """Largest Kolmogorov-Smirnov distance of a coordinate of the vectors from the version before, if it is no chance
    (p < 0.001 after Bonferroni's correction)."""
    min_gain: float = Field(default=-0.005, ge=-1, le=1)
    """Least gain in AUC by the text on the newest events; the alert is that the whole 95% interval lies below."""


def read_limits(changes: Sequence[str]) -> Limits:
    """The limits with some changed, see :func:`trackrec.serving.settings.changed`."""
    return changed(Limits, changes)


def drift(left: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """How far two samples of vectors lie apart.

    Args:
        left, right: samples, shape (vectors, components) each.

    Returns:
        The largest Kolmogorov-Smirnov distance of a coordinate, and its p-value times the number of coordinates (at
        most 1); None if a sample has fewer than 20 vectors, or they are of different lengths.
    """
    if min(len(left), len(right)) < 20 or len(left[0]) != len(right[0]):
        return None
    one, other = np.asarray(left), np.asarray(right)
    tests = [ks_2samp(one[:, place], other[:, place]) for place in range(one.shape[1])]
    worst = max(tests, key=lambda test: float(test.statistic))
    return float(worst.statistic), min(1.0, float(worst.pvalue) * len(tests))


def watch(store: Store, limits: Limits, against: str | None = None, run: Path | None = None) -> dict[str, Any]:
    """Measure the version that is served.

    Args:
        store: that serves it.
        limits: see :class:`Limits`.
        against: the version to compare with; None: the one before, if there is one.
        run: of a ranker and newer events; None: usefulness is not measured.

    Returns:
        ``time, version, against, checks`` (``name, value, says, found, limit, alert`` each), ``alerts`` (their number),
        ``usefulness``; numbers alone, nothing of anybody.

    Raises:
        StoreError: nothing is served, or there is no such version to compare with.
    """
    state = store.state()
    if state.current is None or state.table() is None:
        raise StoreError("the store serves no version: publish one first")
    other = state.previous if against is None else against
    if other is not None and state.table(other) is None:
        if against is not None:
            raise StoreError(f"the store holds no version {against!r} that is ready to be compared with")
        other = None
    now = summarise((Stored(value) for _, value in store.tables.scan(state.named(state.current).table)), store.clock())
    before = None if other is None else store.about(other)["summary"]
    checks = _own_checks(now, limits) + ([] if before is None else _comparisons(now, before, limits))
    use = None if run is None else usefulness(store, state.current, run)
    if use is not None:
        checks.append(_use_check(use, limits))
    return {
        "time": int(store.clock()),
        "version": state.current,
        "against": other,
        "checks": checks,
        "alerts": sum(check["alert"] for check in checks),
        "usefulness": None if use is None else use._asdict(),
    }


def print_findings(findings: dict[str, Any], console: Console) -> None:
    """As a table."""
    beside = "" if findings["against"] is None else f", beside {findings['against']}"
    table = Table(title=Text(f"Version {findings['version']}{beside}"))
    for column in ("check", "found", "limit", ""):
        table.add_column(column, justify="right" if column in ("found", "limit") else "left")
    for check in findings["checks"]:
        mark = "[bold red]alert[/bold red]" if check["alert"] else "fine"
        table.add_row(check["says"], check["found"], check["limit"], mark)
    console.print(table)


def exposition(findings: dict[str, Any], path: Path) -> None:
    """Write the figures for the textfile collector of Prometheus' node exporter, whole or not at all."""
    lines = ["# HELP trackrec_monitor A figure of the served version, by check.", "# TYPE trackrec_monitor gauge"]
    lines += [f'trackrec_monitor{{check="{one["name"]}"}} {one["value"]:.6g}' for one in findings["checks"]]
    lines += [
        "# HELP trackrec_monitor_alert 1 where the figure passed its limit.",
        "# TYPE trackrec_monitor_alert gauge",
    ]
    lines += [f'trackrec_monitor_alert{{check="{one["name"]}"}} {int(one["alert"])}' for one in findings["checks"]]
    lines += ["# HELP trackrec_monitor_time_seconds When it ran.", "# TYPE trackrec_monitor_time_seconds gauge"]
    lines += [f"trackrec_monitor_time_seconds {findings['time']}", ""]
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text("\n".join(lines), encoding="utf-8")
    os.replace(partial, path)


def _own_checks(now: dict[str, Any], limits: Limits) -> list[dict[str, Any]]:
    people = max(1, now["people"])
    coverage, expired = now["with_vector"] / people, now["expired"] / people
    least, most = limits.min_coverage, limits.max_expired
    checks = [
        _check(
            "coverage", coverage, "people with a vector", f"{coverage:.1%}", f"at least {least:.0%}", coverage < least
        ),
        _check(
            "expired", expired, "people whose text is too old", f"{expired:.1%}", f"at most {most:.0%}", expired > most
        ),
    ]
    if now["age_days"] is not None:
        age, oldest = now["age_days"]["p50"], limits.max_age_days
        found, limit = f"{age:.1f} days", f"at most {oldest:g} days"
        checks.append(_check("age_days", age, "median age of the texts", found, limit, age > oldest))
    if now["contradicted"] is not None:
        share, most = now["contradicted"], limits.max_contradicted
        says = "checkable sentences that the history contradicts"
        checks.append(_check("contradicted", share, says, f"{share:.2%}", f"at most {most:.0%}", share > most))
    return checks


def _comparisons(now: dict[str, Any], before: dict[str, Any], limits: Limits) -> list[dict[str, Any]]:
    checks = []
    if before.get("people"):
        lost, most = 1 - now["people"] / before["people"], limits.max_people_lost
        checks.append(_check("people_lost", lost, "fewer people", f"{lost:.1%}", f"at most {most:.0%}", lost > most))
    if now["contradicted"] is not None and before.get("contradicted") is not None:
        rise, most = now["contradicted"] - before["contradicted"], limits.max_contradicted_rise
        says = "rise of contradicted sentences"
        checks.append(_check("contradicted_rise", rise, says, f"{rise:+.2%}", f"at most {most:+.0%}", rise > most))
    if now["characters"] is not None and before.get("characters"):
        change = now["characters"]["p50"] / max(1.0, before["characters"]["p50"]) - 1
        says, most = "change of the median length", limits.max_length_change
        checks.append(_check("length_change", change, says, f"{change:+.1%}", f"within {most:.0%}", abs(change) > most))
    moved = drift(before.get("sample") or [], now["sample"])
    if moved is not None:
        distance, chance = moved
        says, found = "drift of the vectors (KS distance, worst coordinate)", f"{distance:.3f} (p {chance:.2g})"
        alert = distance > limits.max_drift and chance < 0.001
        checks.append(_check("drift", distance, says, found, f"at most {limits.max_drift:g}", alert))
    return checks


def _use_check(use: Usefulness, limits: Limits) -> dict[str, Any]:
    bounds = "" if use.low is None or use.high is None else f" ({use.low:+.4f} to {use.high:+.4f})"
    says = f"AUC by the text on the newest {use.events:,} events of {use.people:,} people"
    alert = use.high is not None and use.high < limits.min_gain
    return _check("gain", use.gain, says, f"{use.gain:+.4f}{bounds}", f"not below {limits.min_gain:+g}", alert)


def _check(name: str, value: float, says: str, found: str, limit: str, alert: bool) -> dict[str, Any]:
    return {"name": name, "value": float(value), "says": says, "found": found, "limit": limit, "alert": bool(alert)}
