"""How the trainings went: losses, how far the generator moved, and whether it learnt what it was paid for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from trackrec.metrics.rows import MetricRow
from trackrec.report.blocks import Block, Note, Plot, Plots, Section, Table, number, signed, with_interval
from trackrec.report.names import kind_name
from trackrec.report.plots import PlotPoint, Points, by_round, curves
from trackrec.report.run_data import RunData

RELIABILITY, HELD_OUT = "split_half_reliability", "held_out_preference_accuracy"
HEAD = ("V, round", "groups", "KL a text", "KL a token", "held-out accuracy", "pairs", "margin", "reliability")
CURVE_NAMES = {
    "": "loss",
    "none": "without RecCoT",
    "start": "before the rounds",
    "start-none": "before the rounds, without RecCoT",
}
CAVEAT = (
    "Intervals of held-out accuracy are 95%, over pairs: pairs of a user are not independent, so the true ones are "
    "wider still. All figures are conditional on the one G and V that were trained, and with few users they are rough."
)


def movement(facts: RunData) -> Section:
    """How reliable the rewards are, how far G moved, and whether it learnt them."""
    title, short = "Did the generator learn what it was paid for?", "Movement"
    rows = [row for kind in facts.kinds for turn in facts.rounds if (row := _row(facts, kind, turn))]
    if not rows:
        return Section("movement", title, short, [Note("No generator has been aligned.", "missing")])
    lead = (
        "KL(G(r) || G(r−1)), in nats, says how far a round moved the generator: near 0, nothing happened. Held-out "
        "preference accuracy: how often the new generator raises what V preferred, for users it was not aligned on; "
        "0.5 is chance. Split-half reliability: whether half of a user's targets rank the texts as the other half "
        "does, with as many likes in both; near 0, rewards are noise. It takes as given how much the user liked."
    )
    blocks: list[Block] = [Note(lead), Plots(list(_movement_plots(facts))), Table("Alignment by round", HEAD, rows)]
    check = facts.counts("check")
    if check.get("auc") is not None:
        told = f"AUC {number(check['auc'])}, the user's own share of likes {number(check.get('auc_user_share'))}"
        blocks.insert(1, Note(f"V0 before any alignment, on {check.get('users', '?')} LM validation users: {told}."))
    if len(facts.kinds) > 1:
        aligned = kind_name(facts.kinds[0])
        blocks.append(Note(f"The generator is aligned to the {aligned}; to the observer's feedback only as a trial."))
    return Section("movement", title, short, blocks, CAVEAT)


def losses(facts: RunData) -> Section:
    """Loss curves of every training job that recorded one."""
    title, short = "Losses", "Losses"
    plots = [plot for prefix, name, unit in _jobs(facts) if (plot := _loss_plot(facts, prefix, name, unit))]
    plots += [plot for kind in facts.kinds if (plot := _right_plot(facts, kind))]
    if not plots:
        return Section("losses", title, short, [Note("No training job has recorded a loss.", "missing")])
    blocks: list[Block] = [Plots(plots)]
    if any(stage.startswith("tune-ranker-") for stage in facts.manifests) and not dict(_curves(facts, "tune-ranker-")):
        blocks.append(Note("The ranker V records no loss by step."))
    return Section("losses", title, short, blocks)


def _row(facts: RunData, kind: str, turn: int) -> list[str]:
    """A line of the table of movement; empty if there is nothing to say."""
    counts = facts.counts(f"align-{kind}-{turn}")
    kl, held = counts.get("kl") or {}, counts.get("held_out") or {}
    accuracy, reliability = (facts.row(f"validator_{kind}", metric, turn) for metric in (HELD_OUT, RELIABILITY))
    if not counts and accuracy is None and reliability is None:
        return []
    recorded = facts.row("generator", "kl", turn) if kind == facts.kinds[0] else None
    return [
        f"{kind}, round {turn}",
        number(counts.get("groups")),
        number(kl.get("per_sequence", recorded.value if recorded else None)),
        number(kl.get("per_token"), 4),
        with_interval(accuracy, 2) if accuracy else number(held.get("accuracy"), 2),
        number(held.get("pairs")),
        signed(held.get("margin")),
        with_interval(reliability, 2),
    ]


def _movement_plots(facts: RunData) -> Iterator[Plot]:
    kl = _points(facts.rows("generator", "kl"))
    if kl:
        svg = by_round("KL by round", {"KL": kl}, {}, "KL(G(r) || G(r−1)), nats a text", from_zero=True)
        yield Plot(svg, "How far each round moved the generator, on LM validation users. No interval is computed.")
    for metric, name in ((HELD_OUT, "Held-out preference accuracy"), (RELIABILITY, "Split-half reliability")):
        found = {kind_name(kind): _points(facts.rows(f"validator_{kind}", metric)) for kind in facts.kinds}
        series = {kind: points for kind, points in found.items() if points}
        if series:
            held = metric == HELD_OUT
            svg = by_round(f"{name} by round", series, {"chance": 0.5} if held else {"noise": 0.0}, name)
            interval = "Bars: 95% intervals over pairs." if held else "No interval is computed."
            yield Plot(svg, f"{name} by round and kind of V. {interval}")


def _points(rows: list[MetricRow]) -> dict[int, PlotPoint]:
    known = [(row.round, row.value, row) for row in rows]
    return {
        turn: PlotPoint(value, row.low, row.high)
        for turn, value, row in known
        if turn is not None and value is not None
    }


def _jobs(facts: RunData) -> Iterator[tuple[str, str, str]]:
    """Prefix of the stages, name, unit of the loss."""
    yield "distil", "Distillation", "Nats a token of the teacher's texts"
    for kind in facts.kinds:
        yield f"align-{kind}-", f"Alignment to the {kind_name(kind)}", "Preference loss a user"
        yield f"tune-{kind}-", f"Tuning of the {kind_name(kind)}", "Nats an answer, first fold"


def _loss_plot(facts: RunData, prefix: str, name: str, unit: str) -> Plot | None:
    lines = {line: _finite([row.get("loss") for row in rows]) for line, rows in _curves(facts, prefix)}
    lines = {line: values for line, values in lines.items() if values.size}
    if not lines:
        return None
    return Plot(curves(f"Loss: {name}", lines, name), f"{unit}, by optimiser step. Bold: running mean.")


def _right_plot(facts: RunData, kind: str) -> Plot | None:
    lines = {
        line: _finite([row["preferences_right"] / row["pairs"] for row in rows if row.get("pairs")])
        for line, rows in _curves(facts, f"align-{kind}-")
    }
    lines = {line: values for line, values in lines.items() if values.size}
    if not lines:
        return None
    name = f"Preferences right, {kind_name(kind)}"
    told = "Share of a step's training pairs for which G has moved towards the chosen text. Bold: running mean."
    return Plot(curves(name, lines, name), told)


def _curves(facts: RunData, prefix: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Name and steps of each curve of the stages with this prefix; of a tuning, that of its first fold."""
    for stage in facts.manifests:
        if not stage.startswith(prefix):
            continue
        counts = facts.counts(stage)
        folds = [part for name, part in sorted(counts.items()) if name.startswith("fold-") and isinstance(part, dict)]
        rows = next((part["curve"] for part in (counts, *folds) if part.get("curve")), None)
        if rows:
            turn = stage.removeprefix(prefix)
            yield CURVE_NAMES.get(turn, f"round {turn}"), rows


def _finite(values: list[float | None]) -> Points:
    array = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return array[np.isfinite(array)]
