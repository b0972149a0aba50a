"""The comparison's section on cold start: where the primary contrasts come from."""

from __future__ import annotations

from collections.abc import Sequence

from research.report.contrasts import TITLES, Row
from trackrec.report.blocks import Note, Plot, Plots, Section, Table
from trackrec.report.plots import PlotPoint, forest

KINDS = {"item_seen": "item met", "user_seen": "user's events", "scored": "scored by V:"}
_WORDS = (
    "Each primary contrast on the examples whose item the training of their fold met so often as a target, and on "
    "those whose user has so many events in the history. A bucket that is empty, or in which the metric is undefined, "
    "has no figure. Arms with the score of a validator that read a part of the examples: on those, and on the others. "
    "These are looks into the contrasts above, not further claims: no p value, no correction."
)


def cold_start_section(rows: Sequence[Row]) -> Section:
    """Plots of the difference from no text in AUC, and all rows as a table.

    Args:
        rows: "breakdown" of compare.json.
    """
    plots = []
    for model, recent in dict.fromkeys((row["model"], row["recent"]) for row in rows):
        spots = {
            f"{KINDS[row['by']]} {row['bucket']}": PlotPoint(row["difference"], row["lower"], row["upper"])
            for row in rows
            if (row["model"], row["recent"]) == (model, recent)
            and (row["arm"], row["against"]) == ("final round", "no text")
            and row["metric"] == "auc"
            and row["difference"] is not None
        }
        if spots:
            name = f"{model}, {recent} events in view"
            drawn = forest(f"{name}, by how much was known", spots, "difference in AUC")
            plots.append(Plot(drawn, f"{name}: the final round against no text."))
    head = ("contrast", "known", "metric", "difference", "users", "examples")
    lines = [
        (
            f"{row['model']}, {row['recent']} events: {row['arm']} less {row['against']}",
            f"{KINDS[row['by']]} {row['bucket']}",
            TITLES[row["metric"]],
            _told(row),
            f"{row['users']:,}",
            f"{row['examples']:,}",
        )
        for row in rows
    ]
    table = Table(f"All {len(lines)} rows by how much was known", head, lines, folded=True)
    return Section("cold", "New items, new users", "Cold start", [Note(_WORDS), Plots(plots), table])


def _told(row: Row) -> str:
    if row["difference"] is None:
        return "–"
    ends = "" if row["lower"] is None else f" [{row['lower']:+.4f}, {row['upper']:+.4f}]"
    return f"{row['difference']:+.4f}{ends}"
