"""How well users' likes are predicted: V as recommender, what the RecCoT adds, DIN, and G under every V."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from trackrec.metrics.rows import MetricRow
from trackrec.report.blocks import Block, Note, Plot, Plots, Section, Table, caveat, difference, number, with_interval
from trackrec.report.names import METRICS, SHORT, arm_name, kind_name
from trackrec.report.plots import PlotPoint, by_round, forest, heat_map
from trackrec.report.run_data import Contrast, RunData

COUNTED = ("item_user_mean", "item_mean", "user_share")
V_ARMS = ("v_own", "v_swapped", "v_placeholder", "v_without_reccot", "v_zero_shot", *COUNTED)
DIN_ARMS = ("din_no_text", "din_swapped", "din_own")
LEVELS = ("v_without_reccot", "v_zero_shot", *COUNTED)
MISSING = "metrics.json is missing: the run has not come to its tests."


def recommender(facts: RunData) -> Section:
    """Metrics of G then V on ranker users, by round, with what they are compared with."""
    title, short = "V as recommender, round by round", "By round"
    rows = [row for arm in V_ARMS for row in _all_metrics(facts, arm)]
    if not rows:
        return Section("rounds", title, short, [Note(MISSING, "missing")])
    plots = [plot for metric in ("auc", "gauc", "log_loss") if (plot := _rounds_plot(facts, metric))]
    lead = (
        "On ranker users, whom nothing was tuned on: G(r) writes from the history, V(r) of the same round reads it and "
        "predicts. Higher AUC, GAUC and accuracy are better, lower LogLoss is. AUC also pays for knowing who likes "
        "much; GAUC looks within each user."
    )
    blocks: list[Block] = [Note(lead), Plots(plots), _metric_table(facts, V_ARMS, "Every arm, with 95% intervals")]
    if facts.promoted is not None:
        blocks.insert(
            1, Note(f"Promoted: round {facts.promoted} (ringed), chosen on LM validation users, never on these.")
        )
    return Section("rounds", title, short, blocks, caveat(rows))


def gains(facts: RunData) -> Section:
    """Paired differences of V with its RecCoT against all else."""
    title, short = "What V gains from the RecCoT", "Gain"
    pairs = [pair for metric in ("auc", "gauc") for pair in facts.contrasts(metric) if pair.arm.startswith("v_")]
    if not pairs:
        return Section("gains", title, short, [Note("No paired differences of V are recorded.", "missing")])
    lead = (
        "Differences on the very same examples, user by user. Against V without RecCoT: what the RecCoT is worth. "
        "Against another user's: whether it is this user that it tells of. Against round 0: what the rounds added to "
        "G and V together."
    )
    return Section("gains", title, short, [Note(lead), *_differences(pairs)], caveat([pair.row for pair in pairs]))


def ranker(facts: RunData) -> Section:
    """DIN with and without the RecCoT's vector."""
    title, short = "RecCoT as a feature of DIN", "DIN"
    rows = [row for arm in DIN_ARMS for row in _all_metrics(facts, arm)]
    if not rows:
        return Section("din", title, short, [Note("DIN has not been trained with and without RecCoT.", "missing")])
    pairs = [pair for metric in ("auc", "gauc") for pair in facts.contrasts(metric) if pair.arm.startswith("din_")]
    note = next((row.note for row in rows if row.note), "")
    lead = "An ordinary ranker on ranker users: the same examples, folds and seeds in every arm. " + (
        f"{note}." if note else ""
    )
    blocks = [
        Note(lead),
        _metric_table(facts, DIN_ARMS, "DIN by arm, with 95% intervals", rounds=False),
        *_differences(pairs),
    ]
    return Section("din", title, short, blocks, caveat(rows))


def matrix(facts: RunData) -> Section:
    """AUC of every generator under every validator."""
    title, short = "Every generator under every validator", "G × V"
    rows = [row for row in facts.metrics if row.arm == "matrix" and row.metric == "auc" and row.round is not None]
    cells = {(kind, row.round, v): row for row in rows for kind, v in _validator(row)}
    if not cells:
        return Section("matrix", title, short, [Note("The matrix has not been computed.", "missing")])
    lead = (
        "AUC on LM validation users. V changes from round to round, so generators are compared within a column, under "
        "the same V; the best of each is bold."
    )
    blocks: list[Block] = [Note(lead), Plots([_heat(kind, cells) for kind in dict.fromkeys(key[0] for key in cells)])]
    table = [
        [f"G{g}", f"V{v} ({kind})", with_interval(row)]
        for (kind, g, v), row in sorted(cells.items(), key=lambda c: str(c[0]))
    ]
    blocks.append(Table("The matrix with its intervals", ["generator", "validator", "AUC"], table, folded=True))
    return Section("matrix", title, short, blocks, caveat(rows))


def _all_metrics(facts: RunData, arm: str) -> list[MetricRow]:
    return [row for metric in METRICS for row in facts.rows(arm, metric) if row.value is not None]


def _metric_table(facts: RunData, arms: Iterable[str], caption: str, rounds: bool = True) -> Table:
    """A row an arm and round, a column a metric that any of them has; ``rounds``: name the round."""
    present = [metric for metric in METRICS if any(facts.row(arm, metric) for arm in arms)]
    rows = []
    for arm in arms:
        for turn in dict.fromkeys(row.round for row in _all_metrics(facts, arm)):
            found = {row.metric: row for row in _all_metrics(facts, arm) if row.round == turn}
            if found:
                rows.append(
                    [arm_name(arm, turn if rounds else None), *(with_interval(found.get(metric)) for metric in present)]
                )
    return Table(caption, ["arm", *(METRICS[metric] for metric in present)], rows)


def _rounds_plot(facts: RunData, metric: str) -> Plot | None:
    own = {
        row.round: _spot(row) for row in facts.rows("v_own", metric) if row.value is not None and row.round is not None
    }
    if not own:
        return None
    series = {SHORT["v_own"]: own}
    if metric == "log_loss":
        calibrated = facts.rows("v_own", "log_loss_calibrated")
        series["calibrated"] = {
            row.round: _spot(row) for row in calibrated if row.round is not None and row.value is not None
        }
    # The level of counting is left to the table where it would squeeze the rounds: LogLoss has no bounds.
    levels = {} if metric == "log_loss" else _levels(facts, metric)
    name = METRICS[metric]
    svg = by_round(
        f"{name} by round", {key: points for key, points in series.items() if points}, levels, name, facts.promoted
    )
    compared = " Dashed: arms that have no rounds." if levels else ""
    return Plot(svg, f"{name} of V with the user's own RecCoT, with 95% intervals.{compared}")


def _levels(facts: RunData, metric: str) -> dict[str, float]:
    found = {arm: facts.row(arm, metric) for arm in LEVELS}
    return {SHORT[arm]: row.value for arm, row in found.items() if row is not None and row.value is not None}


def _differences(pairs: list[Contrast]) -> list[Block]:
    """Forest plots of the paired differences, by metric, and their table."""
    plots = []
    for metric in ("auc", "gauc"):
        rows = {
            f"− {arm_name(pair.other, _other_round(pair), short=True)}": _spot(pair.row)
            for pair in pairs
            if pair.row.metric == f"{metric}_difference" and pair.row.value is not None
        }
        if rows:
            name = METRICS[metric]
            svg = forest(f"Paired differences of {name}", rows, f"{name} gained")
            plots.append(Plot(svg, f"{name}: own RecCoT less each other arm. Green or red: the interval excludes 0."))
    table = [[_contrast(pair), _metric(pair), difference(pair.row), number(pair.row.users)] for pair in pairs]
    return (
        [Plots(plots), Table("Paired differences", ["contrast", "metric", "gained", "users"], table)] if pairs else []
    )


def _contrast(pair: Contrast) -> str:
    """The two arms in words."""
    first, second = arm_name(pair.arm, pair.round, short=True), arm_name(pair.other, pair.other_round, short=True)
    return f"{first}, less {second}"


def _metric(pair: Contrast) -> str:
    name = pair.row.metric.removesuffix("_difference")
    return METRICS.get(name, name)


def _other_round(pair: Contrast) -> int | None:
    """The other arm's round where it is what sets the two apart."""
    return pair.other_round if pair.other == pair.arm else None


def _validator(row: MetricRow) -> list[tuple[str, int]]:
    match = re.search(r"validator=(\w+):(\d+)", row.note)
    return [(match.group(1), int(match.group(2)))] if match else []


def _heat(kind: str, cells: dict[tuple[str, int | None, int], MetricRow]) -> Plot:
    mine = {(g, v): row for (of, g, v), row in cells.items() if of == kind and g is not None}
    values = np.full((max(g for g, _ in mine) + 1, max(v for _, v in mine) + 1), np.nan)
    for (g, v), row in mine.items():
        values[g, v] = np.nan if row.value is None else row.value
    name = kind_name(kind)
    return Plot(
        heat_map(f"Matrix of generators and validators, {name}", values, f"AUC, {name}"),
        f"Rows: who wrote. Columns: the {name} of which round judged.",
    )


def _spot(row: MetricRow) -> PlotPoint:
    return PlotPoint(float("nan") if row.value is None else row.value, row.low, row.high)
