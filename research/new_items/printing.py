"""The study in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def print_study(rows: Sequence[dict[str, Any]], say: Any) -> None:
    """The study as a table in the terminal, one for all items and one for new ones."""
    from rich.table import Table

    def told(value: Any) -> str:
        return "" if value is None else f"{value[0]:+.4f} [{value[1]:.4f}, {value[2]:.4f}]"

    for items in dict.fromkeys(row["items"] for row in rows):
        mine = [row for row in rows if row["items"] == items]
        title = f"{items} items: {mine[0]['users']} users, {mine[0]['examples']:,} examples"
        table = Table("what is seen", "metric", "value [95%]", "over means", "over genres", title=title)
        for row in mine:
            value = f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
            table.add_row(row["arm"], row["metric"], value, told(row.get("over_means")), told(row.get("over_genres")))
        say(table)


def print_spread(rows: Sequence[dict[str, Any]], say: Any) -> None:
    """How the figures on new items differ between draws of these, as a table in the terminal; nothing for one draw."""
    from rich.table import Table

    def told(value: Any) -> str:
        if value is None:
            return ""
        return f"{value['mean']:.4f} ± {value['deviation']:.4f} [{value['lowest']:.4f}, {value['highest']:.4f}]"

    if not rows:
        return
    title = f"new items, {rows[0]['draws']} draws: mean ± deviation [lowest, highest]"
    table = Table("what is seen", "metric", "value", "over means", "over genres", title=title)
    for row in rows:
        table.add_row(
            row["arm"], row["metric"], *(told(row.get(name)) for name in ("value", "over_means", "over_genres"))
        )
    say(table)
