"""Claims: what a sentence of a RecCoT says that a history can bear out or deny."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trackrec.checks.cue_patterns import Sign
from trackrec.checks.subjects import Subject

ClaimKind = Literal[
    "direction",
    "seen",
    "count",
    "size",
    "share",
    "portion",
    "average",
    "rating",
    "year",
    "comparison",
    "most",
    "even",
    "generosity",
    "often",
    "mixed",
    "fame",
    "cited",
    "entailed",
]


@dataclass(frozen=True)
class Claim:
    """One checkable statement.

    ``direction``: the subject is liked (``sign`` 1) or not, ``relative`` to the user's own share or plainly.
    ``seen``: it is in the history. ``count``: ``liked`` of ``rated`` (either may be missing). ``size``: so many are
    in the history (``rated``). ``share``: ``value`` of it is liked. ``portion``: ``value`` of the history is of this
    kind. ``average``, ``rating``: stars. ``year``: of a title. ``comparison``: liked more than ``other``. ``most``: the
    most frequent attribute. ``even``: no attribute stands out, with a
    ``bound`` only upwards (most) or downwards (least). ``generosity``: how easily the user is pleased, next to others.
    ``often``: the history has more of this kind than everybody's have. ``mixed``: it has more of no kind. ``fame``: how
    well known its items are. ``cited``: the events whose numbers the sentence gives bear it out.
    ``entailed``: an engine was asked whether the history bears it out.
    """

    kind: ClaimKind
    subject: Subject
    text: str
    """The words that make it."""
    sign: Sign = 1
    relative: bool = False
    liked: int | None = None
    rated: int | None = None
    value: float = 0.0
    tolerance: float = 0.0
    bound: Literal["", "least", "most"] = ""
    """The value is a lower or an upper bound."""
    other: Subject | None = None
    levels: tuple[int, ...] = ()
    """Of a generosity: the places in ``prompts.generosity.LEVELS`` that the words fit; of a fame: in
    ``users.consumption.FAME``."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a RecCoT and the claims in it."""

    text: str
    claims: tuple[Claim, ...]
    familiar: float = 1.0
    """Share of its words that were read."""
