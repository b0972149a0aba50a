"""The drawings of a data card: plain values in, SVG out."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.ticker import FuncFormatter, MaxNLocator

from trackrec.report.drawing import ACCENT, BAD, MUTED, Drawing

Counts = Sequence[Sequence[float]]
_MOST_LABELS = 6


def over_time(label: str, counts: Sequence[tuple[str, int]], period: str) -> str:
    """Interactions by day, week, ...: one bar each."""
    with Drawing(label) as drawing:
        axes = drawing.axes
        axes.bar(range(len(counts)), [number for _, number in counts], color=ACCENT, width=0.9)
        step = max(1, -(-len(counts) // _MOST_LABELS))
        places = range(0, len(counts), step)
        axes.set_xticks(places, [counts[place][0] for place in places], rotation=20, ha="right", fontsize=8)
        axes.set_title(f"interactions a {period}")
        _whole(drawing)
    return drawing.svg


def bars(label: str, names: Sequence[str], numbers: Sequence[int], title: str, axis: str, liked: Sequence[bool]) -> str:
    """A bar for each name; ``liked`` ones are drawn in the accent, others muted (empty: all in the accent)."""
    with Drawing(label) as drawing:
        axes = drawing.axes
        colours = [ACCENT if like else MUTED for like in liked] or ACCENT
        axes.bar(range(len(names)), numbers, color=colours, width=0.85)
        step = max(1, -(-len(names) // 12))
        axes.set_xticks(range(0, len(names), step), names[::step], fontsize=8)
        axes.set_xlabel(axis)
        axes.set_title(title)
        _whole(drawing)
    return drawing.svg


def by_rank(label: str, counts: Counts) -> str:
    """How often the items are touched, by rank, on logarithmic axes."""
    with Drawing(label) as drawing:
        axes = drawing.axes
        axes.plot([rank for rank, _ in counts], [number for _, number in counts], color=ACCENT)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for side in (axes.xaxis, axes.yaxis):
            side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.set_xlabel("rank of the item")
        axes.set_title("interactions of an item")
        axes.grid(axis="y")
    return drawing.svg


def lengths(label: str, counts: Counts, limit: int) -> str:
    """How many users have a history of each length; those at the limit stand out."""
    numbers = {int(length): int(number) for length, number in counts}
    with Drawing(label) as drawing:
        axes = drawing.axes
        for length, number in numbers.items():
            axes.bar(length, number, color=BAD if length >= limit else ACCENT, width=0.85)
        axes.set_xlabel("interactions in the history")
        axes.set_title("users by length of history")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _whole(drawing)
    return drawing.svg


def _whole(drawing: Drawing) -> None:
    drawing.axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    drawing.axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    drawing.axes.grid(axis="y")
