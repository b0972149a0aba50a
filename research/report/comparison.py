"""The page and the table of a comparison: which differences hold, and how many events a RecCoT is worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as ConsoleTable

from research.report.cold_start import cold_start_section
from research.report.contrasts import (
    TITLES,
    Row,
    in_view,
    in_words,
    of_all_items,
    primary_rows,
    primary_section,
    relative,
    told,
    verdict,
    with_spread,
)
from trackrec.errors import RunError
from trackrec.report.blocks import Note, Plot, Plots, Section, Table
from trackrec.report.page import render_sections, write_page
from trackrec.report.plots import PlotPoint, by_round, forest

_WORDS = (
    "RecCoT: a short text on what a user likes, written from the history alone. AUC compares all examples, GAUC those "
    "of one user. Intervals: 95%, users drawn with replacement within folds, on the mean over trainings; they are "
    "conditional on the one generator that was trained. Behind ±: standard deviation over the seeds of training. "
    "p (Holm): corrected over the family, which is the primary contrasts or all others."
)


def read_comparison(folder: Path) -> dict[str, Any]:
    """What ``python -m research compare`` wrote into a run folder.

    Raises:
        RunError: nothing yet.
    """
    path = folder if folder.is_file() else folder / "compare.json"
    if not path.is_file():
        raise RunError(
            f"{folder} holds no compare.json: run `python -m research compare` on its recipe with --out {folder}"
        )
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def worth_in_events(rows: Sequence[Row], model: str, metric: str, final: str, without: str) -> float | None:
    """With no event in view, how many events the model without text would need to be as good as with the RecCoT.

    Read off the straight lines between the numbers of events that were tried; None where there is nothing to read off.
    """
    mine = [row for row in of_all_items(rows) if row["model"] == model and row["metric"] == metric]
    found = [row for row in mine if row["against"] == without]
    points = sorted((row["recent"], row["against_value"], row["value"]) for row in found if row["arm"] == final)
    if not points or points[0][0] != 0 or len(points) < 2:
        return None
    reached = points[0][2]
    for (left, low, _), (right, high, _) in pairwise(points):
        if low <= reached <= high and high > low:
            return float(left + (reached - low) / (high - low) * (right - left))
    return 0.0 if reached < points[0][1] else None


def write_comparison_page(folder: Path) -> Path:
    """Write ``report/comparison.html``: one file without scripts.

    Returns:
        Its path.
    """
    return write_page(folder / "report" / "comparison.html", comparison_page(read_comparison(folder)))


def comparison_page(told_of: dict[str, Any]) -> str:
    """The page as HTML."""
    rows = told_of["rows"]
    sections = [primary_section(told_of), _events(told_of), *_models(told_of)]
    if told_of.get("breakdown"):
        sections.append(cold_start_section(told_of["breakdown"]))
    if told_of["settings"]["search"]:
        sections.append(_chosen(told_of))
    sections.append(_everything(rows))
    line = (
        f"Seed {told_of['seed']}, final round {told_of['final_round']}; primary contrast: {told_of['primary']}, "
        "named before the run."
    )
    return render_sections(told_of["recipe"], line, sections, "TrackRec comparison", _WORDS)


def print_comparison(folder: Path, console: Console) -> None:
    """The primary contrasts as a table in the terminal, and in words which hold."""
    told_of = read_comparison(folder)
    table = ConsoleTable("model, in view", "against", "metric", "difference", "relative", "verdict")
    for row in primary_rows(told_of["rows"]):
        table.add_row(
            in_view(row),
            row["against"],
            TITLES[row["metric"]],
            told(row),
            relative(row),
            verdict(row),
        )
    console.print(table)
    for line in in_words(told_of):
        console.print(line, highlight=False, markup=False)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _chosen(told_of: dict[str, Any]) -> Section:
    """Which trial of the search the validation users chose, in how many folds."""
    trials = told_of["settings"]["search"]
    names = [", ".join(f"{key} {value}" for key, value in trial.items() if value is not None) for trial in trials]
    words = "; ".join(f"{place}: {name or 'the settings of the recipe'}" for place, name in enumerate(names, start=1))
    note = f"Tried for every model and arm, the best on each fold's validation users is tested. {words}."
    arms = list(dict.fromkeys(arm for found in told_of["chosen"].values() for arm in found))
    lines = []
    for cell, found in told_of["chosen"].items():
        counts = {arm: [found[arm].count(place) for place in range(len(trials))] for arm in found}
        lines.append([cell, *(" : ".join(map(str, counts[arm])) if arm in counts else "–" for arm in arms)])
    table = Table("Folds that chose each trial, in the order above", ("model, events", *arms), lines, folded=True)
    return Section("search", "What the search chose", "Search", [Note(note), table])


def _events(told_of: dict[str, Any]) -> Section:
    """The curve over the number of events in view, on all items."""
    rows = of_all_items(told_of["rows"])
    models = list(dict.fromkeys(row["model"] for row in rows if row["task"] == "ctr" and row["family"] == "primary"))
    plots, words = [], []
    for metric in ("gauc", "auc"):
        gains: dict[str, dict[int, PlotPoint]] = {}
        for row in primary_rows(rows):
            if row["metric"] == metric:
                name = f"{row['model']} against {row['against']}"
                spot = PlotPoint(row["difference"], row["lower"], row["upper"])
                gains.setdefault(name, {})[row["recent"]] = spot
        if gains:
            title = f"gain in {TITLES[metric]}"
            drawn = by_round(title, gains, {"no gain": 0.0}, title, across="recent events in view")
            plots.append(Plot(drawn, f"What the final round's RecCoT adds in {TITLES[metric]}."))
    for model in models:
        levels: dict[str, dict[int, PlotPoint]] = {}
        for row in rows:
            if row["model"] == model and row["metric"] == "auc" and row["arm"] == "final round":
                levels.setdefault("final round", {})[row["recent"]] = PlotPoint(row["value"])
                if row["against"] in ("no text", "another user's", "profile as numbers", "raw history"):
                    levels.setdefault(row["against"], {})[row["recent"]] = PlotPoint(row["against_value"])
        if levels:
            drawn = by_round(f"AUC of {model}", levels, {}, f"AUC of {model}", across="recent events in view")
            plots.append(Plot(drawn, f"How well {model} predicts with each text."))
        worth = worth_in_events(rows, model, "auc", "final round", "no text")
        if worth is not None:
            words.append(
                f"{model}: with no event in view the RecCoT is worth about {worth:.1f} events (AUC, no interval)."
            )
    notes = [Note(" ".join(words))] if words else []
    return Section("events", "How many events is a RecCoT worth?", "Events", [*notes, Plots(plots)])


_SHOWN = {"ctr": ("auc", "gauc"), "rerank": ("ndcg_3", "ndcg_7")}
"""What a model's plots show of each contrast."""


def _models(told_of: dict[str, Any]) -> list[Section]:
    """Each model's contrasts as plots: a row of them for each number of events in view, and for new and known items."""
    sections = []
    for model in dict.fromkeys(row["model"] for row in told_of["rows"]):
        mine = [row for row in told_of["rows"] if row["model"] == model]
        plots = []
        for seen in dict.fromkeys(in_view(row) for row in mine):
            for metric in _SHOWN[mine[0]["task"]]:
                shown = [row for row in mine if (in_view(row), row["metric"]) == (seen, metric)]
                spots = {
                    f"{row['arm']} less {row['against']}": PlotPoint(row["difference"], row["lower"], row["upper"])
                    for row in shown
                    if row["difference"] is not None
                }
                if spots:
                    drawn = forest(f"{seen}, {TITLES[metric]}", spots, f"difference in {TITLES[metric]}")
                    counts = f"{shown[0]['folds']} folds, {shown[0]['seeds']} seeds, {shown[0]['users']} users"
                    plots.append(Plot(drawn, f"{TITLES[metric]} of {seen}; {counts}."))
        sections.append(Section(model, model, model, [Plots(plots)]))
    return sections


def _everything(rows: Sequence[Row]) -> Section:
    head = ("contrast", "metric", "value", "difference", "relative", "p", "p (Holm)", "family", "verdict", "seeds")
    lines = [
        (
            f"{in_view(row)}: {row['arm']} less {row['against']}",
            TITLES[row["metric"]],
            with_spread(row),
            told(row),
            relative(row),
            _figure(row["p"]),
            _figure(row["p_holm"]),
            row["family"],
            verdict(row),
            str(row["seeds"]),
        )
        for row in rows
    ]
    return Section("all", "All contrasts", "All", [Table(f"All {len(lines)} contrasts", head, lines, folded=True)])
