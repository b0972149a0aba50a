"""What a section of the page is made of, and how numbers are told."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from trackrec.metrics.intervals import FEWEST_USERS
from trackrec.metrics.rows import MetricRow

NO_BREAK = "\u00a0"
"""A space at which no line ends: an interval stays in one piece."""
Tone = Literal["good", "bad", "unclear", "plain"]


@dataclass(frozen=True)
class Note:
    """A paragraph; a missing one says what is not there, a warning what must not be overlooked."""

    text: str
    look: Literal["plain", "missing", "warning"] = "plain"
    kind: str = "note"


@dataclass(frozen=True)
class Table:
    """A table; the first column names the row, the others hold numbers."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    """Hidden behind its caption until it is asked for."""
    kind: str = "table"


@dataclass(frozen=True)
class Plot:
    """A drawing, with a caption that tells what it shows."""

    svg: str
    """Drawn by this package, its labels escaped: the only text that the page takes as it is."""
    caption: str
    kind: str = "plot"


@dataclass(frozen=True)
class Plots:
    """Drawings side by side where there is room."""

    plots: Sequence[Plot]
    kind: str = "plots"


@dataclass(frozen=True)
class Tile:
    """A question, its answer in a word or two, and the figure behind it."""

    question: str
    answer: str
    figure: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Tiles:
    """Tiles side by side where there is room."""

    tiles: Sequence[Tile]
    kind: str = "tiles"


@dataclass(frozen=True)
class Listing:
    """Long preformatted text, folded."""

    caption: str
    text: str
    kind: str = "listing"


@dataclass(frozen=True)
class Checked:
    """A sentence of a RecCoT, and what the user's history says of it."""

    text: str
    verdict: str
    why: str
    tone: Tone


@dataclass(frozen=True)
class Version:
    """One user's RecCoT of one round."""

    round: int
    text: str
    reward: str
    change: str
    tone: Tone
    sentences: Sequence[Checked] = ()
    """Its sentences with their verdicts; empty if nobody has judged them."""


@dataclass(frozen=True)
class Journey:
    """One user's history, and its RecCoT through the rounds."""

    title: str
    lead: str
    history: Table | None
    versions: Sequence[Version]
    why: Table | None = None
    """Items that were predicted, with what supported claims say for and against them; None: nobody has asked."""
    kind: str = "journey"


Block = Note | Table | Plots | Tiles | Listing | Journey


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    anchor: str
    title: str
    short: str
    """Its name in the list at the top."""
    blocks: Sequence[Block] = field(default_factory=list)
    caveat: str = ""
    """How its intervals are to be read."""


def caveat(rows: Sequence[MetricRow]) -> str:
    """How to read the intervals of some rows: over whom, and on what condition."""
    sizes = sorted({row.users for row in rows if row.low is not None and row.users})
    if not sizes:
        return ""
    users = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    width = "few, so the intervals are wide" if sizes[0] < 300 else "enough for moderate intervals"
    return (
        f"Brackets and bars are 95% intervals over users ({users} here: {width}). They are conditional on the one G "
        "and V that were trained: what another training run would give is not in them."
    )


def number(value: Any, digits: int = 3) -> str:
    """A number with so many decimals, or a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A difference, its sign always shown."""
    text = number(value, digits)
    return text if text == "–" or text.startswith("−") else f"+{text}"


def with_interval(row: MetricRow | None, digits: int = 3, form: Callable[[float | None, int], str] = number) -> str:
    """A metric with its interval, if it has one."""
    if row is None:
        return "–"
    if row.low is None or row.high is None:
        return form(row.value, digits)
    return f"{form(row.value, digits)} [{form(row.low, digits)},{NO_BREAK}{form(row.high, digits)}]"


def difference(row: MetricRow | None, digits: int = 3) -> str:
    """A difference with its interval, signs shown."""
    return with_interval(row, digits, signed)


def verdict(row: MetricRow) -> Tone:
    """What a difference's interval allows to say: better, worse, or nothing; nothing where few users were read."""
    if row.users < FEWEST_USERS:
        return "unclear"
    if row.low is not None and row.low > 0:
        return "good"
    if row.high is not None and row.high < 0:
        return "bad"
    return "unclear"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def spoken(name: str) -> str:
    """``users_within_noise`` as "users within noise"."""
    return name.replace("_", " ")
