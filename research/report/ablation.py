"""The page and the table of an ablation: each variant against the recipe's own loop, and the checks on that loop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as ConsoleTable

from trackrec.errors import RunError
from trackrec.metrics.intervals import FEWEST_USERS
from trackrec.report.blocks import Block, Note, Plot, Plots, Section, Table, Tile, Tiles, duration, number, signed
from trackrec.report.page import render_sections, write_page
from trackrec.report.plots import PlotPoint, forest

Row = dict[str, Any]
METRICS = {
    "auc": "AUC",
    "gauc": "GAUC",
    "log_likelihood": "log-likelihood",
    "tokens": "tokens a RecCoT",
    "contradicted_share": "claims contradicted",
}
JUDGES = {
    "lm": "the recipe's validators (language model)",
    "ranker": "the recipe's validators (ranker)",
    "own": "each loop's own last validator",
    "text": "the texts themselves",
    "feedback": "validators that gave feedback",
    "last": "the last round's validator",
    "fresh": "a fresh validator",
}
_WORDS = (
    "A variant is the recipe's loop with one thing changed; what it shares with the recipe's own run is taken from "
    "there. All are judged on the same LM validation users. Intervals: 95%, users drawn with replacement, in pairs; "
    "they are conditional on one training of each loop. What another training would give shows in the variant "
    "other-draws, which differs from the recipe by chance alone. p (Holm): corrected over all that models judged."
)


def read_ablations(folder: Path) -> dict[str, Any]:
    """What ``python -m research ablate`` wrote into a run folder.

    Raises:
        RunError: nothing yet.
    """
    path = folder / "ablations.json"
    if not path.is_file():
        raise RunError(
            f"{folder} holds no ablations.json: run `python -m research ablate` on its recipe with --out {folder}"
        )
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def write_ablation_page(folder: Path) -> Path:
    """Write ``report/ablations.html``: one file without scripts.

    Returns:
        Its path.
    """
    return write_page(folder / "report" / "ablations.html", ablation_page(read_ablations(folder)))


def ablation_page(told_of: dict[str, Any]) -> str:
    """The page as HTML."""
    sections = [_check(check) for check in told_of["checks"]]
    sections += [_judged(told_of, judge) for judge in dict.fromkeys(row["judge"] for row in told_of["rows"])]
    sections.append(_cost(told_of["variants"]))
    line = (
        f"Seed {told_of['seed']}, {told_of['rounds']} rounds, {told_of['validation_users']} LM validation users, "
        f"{told_of['draws']} draws"
    )
    return render_sections(told_of["recipe"], line, sections, "TrackRec ablations", _WORDS)


def print_ablations(folder: Path, console: Console) -> None:
    """Each variant and check as a line in the terminal."""
    told_of = read_ablations(folder)
    if told_of["rows"]:
        table = ConsoleTable(
            title="Variants less the recipe's own loop [95% over LM validation users, one training each]"
        )
        columns = [("lm", "auc"), ("lm", "log_likelihood"), ("ranker", "auc"), ("own", "auc"), ("text", "tokens")]
        columns = [pair for pair in columns if any((row["judge"], row["metric"]) == pair for row in told_of["rows"])]
        table.add_column("variant")
        for judge, metric in columns:
            table.add_column(f"{METRICS[metric]} ({judge})", justify="right")
        for name in dict.fromkeys(row["variant"] for row in told_of["rows"]):
            mine = {(row["judge"], row["metric"]): row for row in told_of["rows"] if row["variant"] == name}
            table.add_row(name, *(told(mine.get(pair)).replace("[", "\\[") for pair in columns))
        console.print(table)
    for check in told_of["checks"]:
        table = ConsoleTable(title=check["question"])
        for column in ("gain", "judged by", "AUC", "log-likelihood"):
            table.add_column(column, justify="left" if column in ("gain", "judged by") else "right")
        for gain, judge, figures in _gains(check["rows"]):
            table.add_row(
                gain, judge, *(told(figures.get(name)).replace("[", "\\[") for name in ("auc", "log_likelihood"))
            )
        console.print(table)
        console.print(verdict(check), highlight=False)


def told(row: Row | None, digits: int = 4) -> str:
    """A difference with its interval: ``+0.0040 [+0.0030, +0.0050]``."""
    if row is None or row["difference"] is None:
        return "–"
    digits = 1 if row["metric"] == "tokens" else digits
    text = signed(row["difference"], digits)
    return text if row["lower"] is None else f"{text} [{signed(row['lower'], digits)}, {signed(row['upper'], digits)}]"


def verdict(check: Row) -> str:
    """What a check says, in a sentence; it claims no more than its intervals."""
    rows = {(row["judge"], row["gain"]): row for row in check["rows"] if row["metric"] == "log_likelihood"}
    last, whole = check["round"], f"round {check['round']} less round 0"
    if check["check"] == "fresh-v":
        gain, lost = rows["feedback", whole], rows["feedback less fresh", whole]
        gained = _side(gain) == "more"
        begins = f"By the validators that gave feedback round {last} gains {told(gain)} nats a target over round 0"
        ends = {
            "more": "a fresh one finds less" + (": part of the gain is a code between G and V" if gained else ""),
            "less": "a fresh one finds more",
            "unclear": "that a fresh one finds less is not shown",
        }[_side(lost)]
        return f"{begins}; {ends} (difference {told(lost)})." + ("" if gained else _NO_GAIN)
    gain, lost = rows["last", whole], rows["last", f"{whole}: whole less cut"]
    cut = rows["last", f"{whole}, cut to equal length"]
    gained = _side(gain) == "more"
    ends = {
        "more": "less than at whole length" + (": part of the gain is length" if gained else ""),
        "less": "more than at whole length",
        "unclear": "a difference from whole length is not shown",
    }[_side(lost)]
    return (
        f"Round {last} gains {told(gain)} nats a target over round 0, and {told(cut)} with both cut to equal length; "
        f"{ends} (difference {told(lost)})." + ("" if gained else _NO_GAIN)
    )


_NO_GAIN = " There is no gain shown that could be explained."


def _side(row: Row) -> str:
    if row["users"] < FEWEST_USERS:
        return "unclear"
    if row["lower"] is not None and row["lower"] > 0:
        return "more"
    return "less" if row["upper"] is not None and row["upper"] < 0 else "unclear"


def _gains(rows: Sequence[Row]) -> list[tuple[str, str, dict[str, Row]]]:
    """Gain, judge, and the rows of each metric."""
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        found.setdefault((row["gain"], row["judge"]), {})[row["metric"]] = row
    return [(gain, judge, figures) for (gain, judge), figures in found.items()]


def _check(check: Row) -> Section:
    shown = [(f"{gain} ({judge})", figures) for gain, judge, figures in _gains(check["rows"])]
    spots = {name: _spot(figures["log_likelihood"]) for name, figures in shown}
    lines = [[name, told(figures.get("auc")), told(figures.get("log_likelihood"))] for name, figures in shown]
    blocks: list[Block] = [Note(verdict(check))]
    if "mean_tokens" in check:
        tiles = [Tile(name, number(value, 1), "tokens, mean") for name, value in check["mean_tokens"].items()]
        blocks.append(Tiles(tiles))
    drawn = forest(check["question"], spots, "nats a target")
    users = check["rows"][0]["users"]
    blocks.append(Plots([Plot(drawn, f"Log-likelihood of the true labels, {users} LM validation users.")]))
    blocks.append(Table("All figures", ("gain (judged by)", "AUC", "log-likelihood"), lines, folded=True))
    return Section(check["check"], check["question"], check["check"], blocks)


def _judged(told_of: dict[str, Any], judge: str) -> Section:
    """One judge's differences of all variants."""
    rows = [row for row in told_of["rows"] if row["judge"] == judge]
    plots = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        spots = {
            row["variant"]: _spot(row) for row in rows if row["metric"] == metric and row["difference"] is not None
        }
        if spots:
            drawn = forest(f"{METRICS[metric]} by {judge}", spots, f"difference in {METRICS[metric]}")
            plots.append(Plot(drawn, f"{METRICS[metric]}: variant less recipe."))
    head = ("variant", "metric", "variant's", "recipe's", "difference", "p (Holm)")
    lines = [
        [
            f"{row['variant']}, against round {row['against_round']}",
            METRICS[row["metric"]],
            number(row["value"], 4),
            number(row["against_value"], 4),
            told(row),
            number(row["p_holm"]),
        ]
        for row in rows
    ]
    title = f"Judged by {JUDGES.get(judge, f'{judge} with the RecCoT as a feature')}"
    return Section(f"by-{judge}", title, f"By {judge}", [Plots(plots), Table("All figures", head, lines, folded=True)])


def _cost(variants: Sequence[Row]) -> Section:
    head = ("variant", "changed", "rounds", "its own time", "taken from the recipe's run", "cut off at the limit")
    lines = [
        [
            f"{row['variant']}: {row['question']}",
            ", ".join(row["changes"]),
            str(row["rounds"]),
            duration(row["seconds"]),
            f"{duration(row['shared_seconds'])} in {row['shared_stages']} stages",
            f"{row['unfinished']:.0%}",
        ]
        for row in variants
    ]
    blocks: list[Block] = [Table("What was changed, and what it cost", head, lines)]
    return Section(
        "variants", "The variants", "Variants", blocks if lines else [Note("No variant has been run.", "missing")]
    )


def _spot(row: Row) -> PlotPoint:
    return PlotPoint(row["difference"], row["lower"], row["upper"])
