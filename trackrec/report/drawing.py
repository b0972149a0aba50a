"""From a matplotlib figure to SVG that stands in the page and takes its colours from it, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 4.8
"""Inches. A phone shows it at about its own size, so that the letters can be read."""
INK, MUTED, GRID, ACCENT, GOOD, BAD = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05", "#0a0b06"
SERIES = tuple(f"#0a0c0{digit}" for digit in range(6))
"""Stand-ins: the page's stylesheet decides which colour each of them is (``--ink``, ``--series-0``, ...)."""
MARKERS = ("o", "s", "^", "D", "v", "P")

_VARIABLES = dict(
    zip((INK, MUTED, GRID, ACCENT, GOOD, BAD), ("ink", "muted", "grid", "accent", "good", "bad"), strict=True)
) | {colour: f"series-{index}" for index, colour in enumerate(SERIES)}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
}


class Drawing:
    """A figure on the way to SVG: draw on ``axes`` inside ``with``, then take ``svg``.

    Args:
        label: what it shows, for those who cannot see it; also tells this drawing's ids from those of the others.
        height: inches.
        panels: axes below one another, sharing the horizontal one.
    """

    def __init__(self, label: str, height: float = 2.7, panels: int = 1) -> None:
        self.label, self.svg = label, ""
        self._context = rc_context({**_STYLE, "svg.hashsalt": label})
        self._size, self._panels = (WIDTH, height), panels

    def __enter__(self) -> Drawing:
        self._context.__enter__()
        self.figure = Figure(figsize=self._size, layout="constrained")
        self.panels: Sequence[Axes] = self.figure.subplots(self._panels, 1, sharex=True, squeeze=False)[:, 0].tolist()
        self.axes = self.panels[0]
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None:
                buffer = io.StringIO()
                self.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
                self.svg = themed(buffer.getvalue(), self.label)
        finally:
            self._context.__exit__(None, None, None)


def themed(svg: str, label: str) -> str:
    """Matplotlib's SVG file as an element of a page: no header, no links, colours by name, a label to be read out."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    box = re.search(r'viewBox="([^"]+)"', svg)
    label = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    head = f'<svg role="img" aria-label="{label}" viewBox="{box.group(1) if box else "0 0 1 1"}">'
    svg = re.sub(r"<svg[^>]*>", lambda _: head, svg, count=1)
    for stand_in, name in _VARIABLES.items():
        svg = svg.replace(stand_in, f"var(--{name})")
    return svg.strip()
