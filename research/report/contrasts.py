"""The contrasts of a comparison: how one is told, which of those named before the run hold, and their table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trackrec.metrics.intervals import FEWEST_USERS
from trackrec.report.blocks import NO_BREAK, Note, Section, Table

Row = dict[str, Any]
TITLES = {"auc": "AUC", "gauc": "GAUC", "log_loss": "LogLoss", "ndcg_3": "NDCG@3", "ndcg_7": "NDCG@7"} | {
    "map_3": "MAP@3",
    "map_7": "MAP@7",
    "calibration_error": "calibration error",
}
LOWER_IS_BETTER = {"log_loss", "calibration_error"}
_CAPTION = (
    "The final round less the other, with its 95% interval and as a share of the other. "
    "Holds: the final round is better, after Holm's correction."
)
_HOLDS = {"better": "yes", "no difference shown": "no", "worse": "no: worse"}


def verdict(row: Row) -> str:
    """Whether a difference holds with its whole family in mind (Holm's p below 0.05), in a few words.

    >>> verdict({"metric": "auc", "difference": 0.002, "p_holm": 0.01})
    'better'
    """
    if row["p_holm"] is None:
        few = row.get("users") is not None and row["users"] < FEWEST_USERS
        return "too few users" if few else "undefined"
    if row["p_holm"] >= 0.05:
        return "no difference shown"
    return "better" if (row["difference"] > 0) != (row["metric"] in LOWER_IS_BETTER) else "worse"


def told(row: Row, digits: int = 4) -> str:
    """A difference with its interval: ``+0.0040 [+0.0030, +0.0050]``."""
    if row["lower"] is None:
        return "undefined"
    return f"{row['difference']:+.{digits}f} [{row['lower']:+.{digits}f}, {row['upper']:+.{digits}f}]"


def relative(row: Row) -> str:
    """A difference as a share of the value that it is the difference from.

    >>> relative({"difference": 0.03, "against_value": 0.6})
    '+5.00%'
    """
    if row["difference"] is None or not row["against_value"]:
        return "–"
    return f"{row['difference'] / row['against_value']:+.2%}"


def with_spread(row: Row, digits: int = 4) -> str:
    """An arm's value with its standard deviation over the seeds of training, where there are several."""
    deviation = row.get("deviation")
    return f"{row['value']:.{digits}f}" + ("" if deviation is None else f" ± {deviation:.{digits}f}")


def of_all_items(rows: Iterable[Row]) -> list[Row]:
    """The contrasts on all items; comparisons of before 0.2.0 have no others."""
    return [row for row in rows if row.get("items", "all") == "all"]


def in_view(row: Row) -> str:
    """What a contrast's model saw, and on which items it is judged: ``din, 3 events on new items``."""
    return f"{row['model']}, {row['recent']} events{_on_items(row)}"


def _on_items(row: Row) -> str:
    items = row.get("items", "all")
    return "" if items == "all" else f" on {items} items"


def primary_rows(rows: Iterable[Row]) -> list[Row]:
    """The contrasts named before the run."""
    return [row for row in rows if row["family"] == "primary"]


def primary_section(told_of: dict[str, Any]) -> Section:
    """The verdict in words, and the contrasts named before the run as a table: what they are less of stands on top."""
    rows = primary_rows(told_of["rows"])
    others = list(dict.fromkeys(row["against"] for row in rows))
    found = {(row["model"], in_view(row), row["metric"], row["against"]): row for row in rows}
    lines = []
    models = [row["model"] for row in rows]
    for model, seen, metric in sorted(dict.fromkeys(key[:3] for key in found), key=lambda key: models.index(key[0])):
        line = [seen, TITLES[metric]]
        for other in others:
            row = found.get((model, seen, metric, other))
            line += ["–", "–"] if row is None else [_in_a_cell(row), _HOLDS.get(verdict(row), verdict(row))]
        lines.append(line)
    head = ("model, in view", "metric", *(name for other in others for name in (f"less {other}", "holds")))
    table = Table(_CAPTION, head, lines)
    return Section("verdict", "Does the RecCoT help?", "Verdict", [*(Note(line) for line in in_words(told_of)), table])


def _in_a_cell(row: Row) -> str:
    return f"{told(row)} {relative(row)}".replace(" ", NO_BREAK)


def in_words(told_of: dict[str, Any]) -> list[str]:
    """How many of the contrasts named before the run hold, which do not, and how many of the others hold."""
    rows = primary_rows(told_of["rows"])
    answers: dict[str, list[Row]] = {}
    for row in rows:
        answers.setdefault(verdict(row), []).append(row)
    better = len(answers.get("better", []))
    sentence = f"{better} of the {len(rows)} contrasts named before the run hold after Holm's correction"
    for answer, words in (
        ("no difference shown", "no difference is shown in"),
        ("worse", "the RecCoT is worse in"),
        ("too few users", f"nothing is claimed with fewer than {FEWEST_USERS} users in"),
        ("undefined", "undefined are"),
    ):
        if mine := answers.get(answer):
            sentence += f"; {words} " + ("all" if len(mine) == len(rows) else f"{len(mine)}: {_named(mine)}")
    lines = [f"{sentence}."]
    others = [row for row in told_of["rows"] if row["family"] == "other"]
    held = sum(verdict(row) in ("better", "worse") for row in others)
    if others:
        lines.append(f"Of the {len(others)} other contrasts {held} hold.")
    for family, size in told_of["families"].items():
        if size["smallest_p_holm"] >= 0.05:
            lines.append(
                f"With so few draws no p of the {size['contrasts']} {family} contrasts can fall below "
                f"{size['smallest_p_holm']:.2f} after Holm: take more (comparison.draws)."
            )
    return lines


def _named(rows: list[Row]) -> str:
    """Contrasts by name, those that differ in the metric alone together."""
    names: dict[str, list[str]] = {}
    for row in rows:
        name = f"{row['model']} with {row['recent']} events in view over {row['against']}{_on_items(row)}"
        names.setdefault(name, []).append(TITLES[row["metric"]])
    return ", ".join(f"{name} ({', '.join(metrics)})" for name, metrics in names.items())
