"""What a finished run says in the terminal: one table, and how wide its intervals are."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trackrec.metrics.probability import MetricRow, read_metrics

ARMS = {
    "user_share": "the user's own share of likes",
    "item_mean": "item mean",
    "item_user_mean": "item mean + user mean",
    "v_zero_shot": "V untuned",
    "v_without_reccot": "V tuned without any RecCoT",
    "v_placeholder": "V, RecCoT left out",
    "v_swapped": "V, another user's RecCoT",
    "v_own": "V with the RecCoT",
    "din_no_text": "DIN without text",
    "din_swapped": "DIN, another user's RecCoT",
    "din_own": "DIN with the RecCoT",
}


def print_summary(folder: Path, console: Console) -> None:
    """Print the figures of ranker users and the differences that matter."""
    rows = [row for row in read_metrics(folder / "metrics.json") if row.role == "ranker"]
    table = Table(title="Ranker users, on whom nothing was tuned (95% intervals over users)")
    for column in ("who predicts", "round", "AUC", "GAUC", "LogLoss", "users"):
        table.add_column(column, justify="left" if column == "who predicts" else "right")
    for arm, words in ARMS.items():
        for number in sorted({row.round for row in rows if row.arm == arm}, key=lambda value: value or 0):
            mine = {row.metric: row for row in rows if row.arm == arm and row.round == number}
            if "auc" in mine:
                figures = [_interval(mine.get(name)) for name in ("auc", "gauc", "log_loss")]
                table.add_row(words, "" if number is None else str(number), *figures, str(mine["auc"].users))
    console.print(table)
    for row in rows:
        if row.metric == "auc_difference":
            console.print(f"AUC, {escape(row.note)}: {_interval(row, signed=True)}", highlight=False)
    console.print("With few users the intervals are wide; they are conditional on the one G and V that were trained.")


def _interval(row: MetricRow | None, signed: bool = False) -> str:
    if row is None or row.value is None:
        return "-"
    sign = "+" if signed else ""
    text = f"{row.value:{sign}.3f}"
    return text if row.low is None or row.high is None else f"{text} [{row.low:{sign}.3f}, {row.high:{sign}.3f}]"
