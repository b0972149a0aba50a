"""Figures of a study as tables in the terminal, one for each set of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def print_by_items(rows: Sequence[dict[str, Any]], say: Any, first: str, over: Mapping[str, str], digits: int) -> None:
    """A table for each set of items, a row an arm and metric.

    Args:
        rows: ``items, arm, metric, value, low, high, users, examples`` and, where known, differences as (value, low,
            high).
        say: prints a table.
        first: head of the column of arms.
        over: head of each further column -> the difference that it holds.
        digits: behind the point.
    """
    from rich.table import Table

    def difference(value: Any) -> str:
        return "" if value is None else f"{value[0]:+.{digits}f} [{value[1]:.{digits}f}, {value[2]:.{digits}f}]"

    for items in dict.fromkeys(row["items"] for row in rows):
        mine = [row for row in rows if row["items"] == items]
        title = f"{items} items: {mine[0]['users']} users, {mine[0]['examples']:,} examples"
        table = Table(first, "metric", "value [95%]", *over, title=title)
        for row in mine:
            value = f"{row['value']:.{digits}f} [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"
            table.add_row(row["arm"], row["metric"], value, *(difference(row.get(key)) for key in over.values()))
        say(table)
