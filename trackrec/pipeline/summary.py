"""What a finished run says in the terminal: one table, and how wide its intervals are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trackrec.metrics.intervals import FEWEST_USERS
from trackrec.metrics.rows import MetricRow, read_metrics

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


_VERY_WIDE = 1_000
"""Columns of a terminal in which nothing wraps."""


def print_summary(folder: Path, console: Console) -> None:
    """Print the figures of ranker users and the differences that matter."""
    rows = [row for row in read_metrics(folder / "metrics.json") if row.role == "ranker"]
    table = _table(rows, stacked=False)
    wished = console.measure(table, options=console.options.update(width=_VERY_WIDE)).maximum
    fits = wished <= console.width
    console.print(table if fits else _table(rows, stacked=True))
    for line in verdict(rows):
        console.print(escape(line), highlight=False)


def verdict(rows: Sequence[MetricRow]) -> list[str]:
    """What the differences in AUC show, and what so few users cannot tell, each in a sentence."""
    found = [row for row in rows if row.metric == "auc_difference" and row.low is not None and row.high is not None]
    enough = [row for row in found if row.users >= FEWEST_USERS]
    sure = [row for row in enough if row.low > 0 or row.high < 0]  # type: ignore[operator]
    rest = [row for row in found if row not in sure]
    told = [
        f"{_in_words(row.note.partition(';')[0])}: {_interval(row, signed=True)} AUC, {row.users} users" for row in sure
    ]
    lines = [
        "Shown: " + "; ".join(told) + "."
        if told
        else "Nothing is shown: every interval holds zero, or stands on too few users."
    ]
    if rest:
        lines.append("Too few users to tell: " + "; ".join(_in_words(row.note.partition(";")[0]) for row in rest) + ".")
    return [*lines, "Intervals are over users, for the one G and V that were trained."]


def _table(rows: list[MetricRow], stacked: bool) -> Table:
    """Who predicts how well; ``stacked`` puts intervals below their figures, for narrow terminals."""
    table = Table(title="Ranker users, on whom nothing was tuned (95% intervals over users)")
    for column in ("who predicts", "round", "AUC", "GAUC", "LogLoss", "users"):
        left = column == "who predicts"
        table.add_column(column, justify="left" if left else "right", no_wrap=not left)
    for arm, words in ARMS.items():
        for number in sorted({row.round for row in rows if row.arm == arm}, key=lambda value: value or 0):
            mine = {row.metric: row for row in rows if row.arm == arm and row.round == number}
            if "auc" in mine:
                figures = [_interval(mine.get(name)) for name in ("auc", "gauc", "log_loss")]
                if stacked:
                    figures = [figure.replace(" [", "\n[") for figure in figures]
                table.add_row(words, "" if number is None else str(number), *figures, str(mine["auc"].users))
    return table


def _in_words(note: str) -> str:
    """A note with the arms called as in the table."""
    return re.sub("|".join(ARMS), lambda found: ARMS[found[0]], note)


def _interval(row: MetricRow | None, signed: bool = False) -> str:
    if row is None or row.value is None:
        return "-"
    sign = "+" if signed else ""
    text = f"{row.value:{sign}.3f}"
    return text if row.low is None or row.high is None else f"{text} [{row.low:{sign}.3f}, {row.high:{sign}.3f}]"
