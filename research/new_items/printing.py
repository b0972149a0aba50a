"""The study in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from research.printing import print_by_items


def print_study(rows: Sequence[dict[str, Any]], say: Any) -> None:
    """The study as a table in the terminal, one for all items and one for new ones."""
    over = {"over means": "over_means", "over genres": "over_genres"}
    print_by_items(rows, say, "what is seen", over, digits=4)


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
