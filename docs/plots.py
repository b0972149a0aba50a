"""Draws the picture of `docs/parts.md` from the tables in `docs/results`: `.venv/bin/python docs/plots.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

DOCS = Path(__file__).parent
ROUNDS = DOCS / "results" / "2026-11-26-lastfm-2k-cards"
PARTS = DOCS / "results" / "2026-11-26-parts"
BLUE, ORANGE = "#2563a8", "#c4621d"


def main() -> None:
    """Write `docs/images/parts.png`."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.5), layout="constrained")
    draw_rounds(left)
    draw_lengths(right)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e4e6ea", linewidth=0.8)
        axes.set_axisbelow(True)
    figure.savefig(DOCS / "images" / "parts.png", dpi=140)


def draw_rounds(axes: Axes) -> None:
    """AUC by round on Last.fm, a line a seed and set of items; what a teacher that tells all would reach."""
    arms = ["distilled", "round 1", "round 2"]
    for items, colour, said in (("known", BLUE, "artists in the log"), ("new", ORANGE, "artists nobody has played")):
        teacher = []
        for number, file in enumerate(sorted(ROUNDS.glob("read-4*.json"))):
            found = values(file, items)
            label = said if number == 0 else None
            axes.plot(
                range(len(arms)), [found[arm] for arm in arms], "o-", color=colour, alpha=0.8, markersize=4, label=label
            )
            teacher.append(found["teacher's"])
        axes.axhline(sum(teacher) / len(teacher), color=colour, linestyle=":", linewidth=1.2)
    axes.set_xticks(range(len(arms)), arms)
    axes.set_xlim(-0.2, 2.2)
    axes.set_ylabel("AUC of a judge outside")
    axes.set_title("Last.fm: rounds, three seeds\n(dotted: a teacher that leaves nothing out)", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def draw_lengths(axes: Axes) -> None:
    """AUC by words of the teacher's text on both logs."""
    for name, colour, said in (("lastfm", BLUE, "Last.fm"), ("movielens", ORANGE, "MovieLens-100K")):
        rows = read(PARTS / f"{name}-lengths.json")
        mine = [
            row for row in rows if row["items"] == "all" and row["metric"] == "auc" and row["arm"] != "another user's"
        ]
        points = sorted((row["words"] or 0.0, row["value"], row["low"], row["high"]) for row in mine)
        words, value, low, high = zip(*points, strict=True)
        axes.plot(words, value, "o-", color=colour, markersize=4, label=said)
        axes.fill_between(words, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel("words of the text (0: none)")
    axes.set_ylabel("AUC of a judge outside")
    axes.set_title("Length: the teacher's text on users\n(bands: 95% over users)", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def values(file: Path, items: str) -> dict[str, float]:
    """AUC by arm on a set of items."""
    return {row["arm"]: row["value"] for row in read(file) if row["items"] == items and row["metric"] == "auc"}


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of ``research read``."""
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["rows"]
    return rows


if __name__ == "__main__":
    main()
