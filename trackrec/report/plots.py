"""The drawings of the report: numbers in, SVG out."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from trackrec.report.drawing import ACCENT, BAD, GOOD, GRID, INK, MARKERS, MUTED, SERIES, Drawing

Points = NDArray[np.float64]
MAX_STEPS = 200
"""Longer curves are drawn as means over blocks of steps."""
_NAME_CHARACTERS = 34
"""Longest line of a row's name; a longer one would leave the drawing no room."""


@dataclass(frozen=True)
class PlotPoint:
    """A value with its interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


def by_round(
    label: str,
    series: Mapping[str, Mapping[int, PlotPoint]],
    levels: Mapping[str, float],
    axis: str,
    ringed: int | None = None,
    from_zero: bool = False,
    across: str = "round",
) -> str:
    """Values by round, or by another whole number, with their intervals.

    Args:
        label: what the drawing shows.
        series: name -> round -> value.
        levels: name -> a value that belongs to no round, drawn as a line across.
        axis: what the values are.
        ringed: the promoted round, which is ringed.
        from_zero: the values are amounts, so the vertical axis begins at 0.
        across: what the number along the horizontal axis is.
    """
    rounds = sorted({number for points in series.values() for number in points})
    with Drawing(label, 2.9) as drawing:
        axes = drawing.axes
        for index, (name, points) in enumerate(series.items()):
            x = np.array(sorted(points), dtype=float) + (index - (len(series) - 1) / 2) * 0.08
            spots = [points[number] for number in sorted(points)]
            y = np.array([spot.value for spot in spots])
            colour = SERIES[index % len(SERIES)]
            marker = MARKERS[index % len(MARKERS)]
            axes.plot(x, y, color=colour, marker=marker, markersize=5.5, label=name)
            axes.errorbar(x, y, yerr=_errors(spots), fmt="none", ecolor=colour, elinewidth=1.6)
            if index == 0 and ringed is not None and ringed in points:
                axes.plot(
                    x[sorted(points).index(ringed)], points[ringed].value, "o", markersize=12, mfc="none", mec=INK
                )
        for value in levels.values():
            axes.axhline(value, color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)))
        for name, height in _apart(levels, axes.get_ylim()).items():
            axes.annotate(
                name, (1.01, height), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=MUTED
            )  # fmt: skip
        axes.set_xlim(min(rounds, default=0) - 0.35, max(rounds, default=0) + 0.35)
        axes.set_xticks(rounds)
        axes.set_xlabel(across)
        axes.set_title(axis)
        axes.grid(axis="y")
        if from_zero:
            axes.set_ylim(0, axes.get_ylim()[1] * 1.08)  # room above for the highest mark
        if len(series) > 1:
            drawing.figure.legend(loc="outside lower left", ncols=3 if max(map(len, series)) < 20 else 2)
    return drawing.svg


def forest(label: str, rows: Mapping[str, PlotPoint], axis: str) -> str:
    """Differences with their intervals against zero, one row each, the first on top; long names take several lines."""
    names = [textwrap.fill(name, _NAME_CHARACTERS) for name in rows]
    heights = [0.2 + 0.14 * (name.count("\n") + 1) for name in names]
    ends = list(accumulate(heights))
    places = [end - height / 2 for end, height in zip(ends, heights, strict=True)]
    with Drawing(label, 0.85 + sum(heights)) as drawing:
        axes = drawing.axes
        axes.axvline(0, color=INK, linewidth=1)
        for place, spot in zip(places, rows.values(), strict=True):
            sure = spot.low is not None and spot.high is not None and not spot.low <= 0 <= spot.high
            colour = (GOOD if spot.value > 0 else BAD) if sure else ACCENT
            axes.errorbar(
                spot.value, place, xerr=_errors([spot]), color=colour, marker="o", markersize=6, elinewidth=2.2
            )  # fmt: skip
        axes.set_yticks(places, names)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(ends[-1] if ends else 1, 0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0.15)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(axis)
        axes.grid(axis="x")
    return drawing.svg


def heat_map(label: str, values: Points, title: str) -> str:
    """A matrix as shades with its numbers.

    Args:
        label: what the drawing shows.
        values: shape (generators, validators); NaN where there is none.
        title: stands above.
    """
    generators, validators = values.shape
    known = values[np.isfinite(values)]
    low, spread = (known.min(), max(float(np.ptp(known)), 1e-9)) if known.size else (0.0, 1.0)
    with Drawing(label, 1.0 + 0.5 * generators) as drawing:
        axes = drawing.axes
        for (g, v), value in np.ndenumerate(values):
            if np.isfinite(value):
                shade = 0.08 + 0.52 * (value - low) / spread
                axes.fill_between([v - 0.49, v + 0.49], g - 0.48, g + 0.48, color=ACCENT, alpha=shade, linewidth=0)
            text = f"{value:.3f}" if np.isfinite(value) else "–"
            best = bool(np.isfinite(value)) and value == np.nanmax(values[:, v])
            axes.text(v, g, text, ha="center", va="center", fontweight="bold" if best else "normal")
        axes.set_xticks(range(validators), [f"V{number}" for number in range(validators)])
        axes.set_yticks(range(generators), [f"G{number}" for number in range(generators)])
        axes.set_xlim(-0.5, max(validators, 2) - 0.5)
        axes.set_ylim(generators - 0.5, -0.5)
        axes.tick_params(length=0, labelcolor=INK)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_title(title)
    return drawing.svg


def histograms(label: str, parts: Mapping[str, Points], title: str, zero: bool) -> str:
    """One histogram a row over the same axis, with its median.

    Args:
        label: what the drawing shows.
        parts: name of the row -> values. The middle 98% of all of them are in view.
        title: stands above.
        zero: draw the line at 0.
    """
    everything = np.concatenate(list(parts.values()))
    low, high = np.quantile(everything, [0.01, 0.99])
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, 31)
    with Drawing(label, 0.7 + 0.75 * len(parts), panels=len(parts)) as drawing:
        for index, (axes, (name, values)) in enumerate(zip(drawing.panels, parts.items(), strict=True)):
            axes.hist(np.clip(values, low, high), edges.tolist(), color=SERIES[0], alpha=0.55, histtype="stepfilled")
            axes.axvline(float(np.median(values)), color=INK, linewidth=1.8)
            if zero:
                axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 2)))
            axes.set_yticks([])
            axes.set_ylabel(name, rotation=0, ha="right", va="center", color=INK)
            axes.spines["left"].set_visible(False)
            if index < len(parts) - 1:
                axes.tick_params(axis="x", length=0)
        drawing.axes.set_title(title)
    return drawing.svg


def curves(label: str, lines: Mapping[str, Points], title: str) -> str:
    """Something over the optimiser steps; a long curve as means over blocks of steps.

    Args:
        label: what the drawing shows.
        lines: name -> values in the order of the steps.
        title: stands above.
    """
    with Drawing(label) as drawing:
        axes = drawing.axes
        for index, (name, values) in enumerate(lines.items()):
            colour = SERIES[index % len(SERIES)]
            x, y = _blocks(values)
            axes.plot(
                x, y, color=colour, alpha=0.35 if y.size > 8 else 1, linewidth=1.1, label=None if y.size > 8 else name
            )
            if y.size > 8:
                axes.plot(x, _smooth(y), color=colour, label=name)
            if y.size == 1:
                axes.plot(x, y, "o", color=colour)
        axes.set_title(title)
        axes.set_xlabel("optimiser step")
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if len(lines) > 1:
            drawing.figure.legend(loc="outside lower left", ncols=4)
    return drawing.svg


def bars(label: str, values: Mapping[str, float], texts: Sequence[str], title: str) -> str:
    """Horizontal bars from zero, each with its value written at the end."""
    with Drawing(label, 0.55 + 0.27 * len(values)) as drawing:
        axes = drawing.axes
        drawn = axes.barh(range(len(values)), list(values.values()), height=0.62, color=SERIES[0])
        axes.bar_label(drawn, texts, padding=4, fontsize=8.5, color=INK)
        axes.set_yticks(range(len(values)), list(values))
        axes.tick_params(length=0)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xticks([])
        axes.set_ylim(len(values) - 0.5, -0.5)
        axes.margins(x=0.18)
        axes.spines["bottom"].set_visible(False)
        axes.spines["left"].set_color(GRID)
        axes.set_title(title)
    return drawing.svg


def _errors(spots: Sequence[PlotPoint]) -> Points | None:
    """Distances to the ends of the intervals, shape (2, spots); None if there is no interval at all."""
    if all(spot.low is None or spot.high is None for spot in spots):
        return None
    below = [0.0 if spot.low is None else max(0.0, spot.value - spot.low) for spot in spots]
    above = [0.0 if spot.high is None else max(0.0, spot.high - spot.value) for spot in spots]
    return np.array([below, above])


def _apart(levels: Mapping[str, float], limits: tuple[float, float]) -> dict[str, float]:
    """Heights for the names of some levels, moved so that they do not overprint each other."""
    gap = (limits[1] - limits[0]) * 0.075
    heights: dict[str, float] = {}
    last = -np.inf
    for name, value in sorted(levels.items(), key=lambda entry: entry[1]):
        last = max(value, last + gap)
        heights[name] = last
    return heights


def _blocks(values: Points) -> tuple[Points, Points]:
    """Steps (from 1) and values; means over blocks of equal length if there are more than `MAX_STEPS`."""
    size = -(-values.size // MAX_STEPS)
    starts = np.arange(0, values.size, size)
    means = np.array([np.nanmean(values[start : start + size]) for start in starts], dtype=np.float64)
    return np.asarray(starts + (size + 1) / 2, dtype=np.float64), means


def _smooth(values: Points) -> Points:
    """Running mean over about a tenth of the curve; at the ends over what is there."""
    width = max(3, values.size // 10)
    kernel = np.ones(width)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(values.size), kernel, "same")
