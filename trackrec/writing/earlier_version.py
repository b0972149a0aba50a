"""What is asked for, and whether an earlier version's texts may be carried over into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from trackrec.errors import WriteError
from trackrec.writing.engine_pool import read_engines
from trackrec.writing.run_view import RunView
from trackrec.writing.version_plan import VersionPlan, WritingSettings
from trackrec.writing.versions import Versions
from trackrec.writing.writers import TEMPLATE, TORCH

_SEEN_IN_ROWS = ("checked", "raw_vectors")
"""Settings that show in each row."""


class WritingRequest(NamedTuple):
    """Who writes, from how much, and what makes the vectors: with ``auto`` put into names."""

    writer: str
    engines: list[dict[str, Any]]
    encoder: str
    max_history: int

    @classmethod
    def of(cls, settings: WritingSettings, run: RunView) -> WritingRequest:
        """What some settings mean for a run."""
        writer = settings.writer
        if writer == "auto":
            writer = TORCH if run.generator is not None else TEMPLATE
        engines = [] if writer in (TEMPLATE, TORCH) else read_engines(Path(writer))
        encoder = run.recipe.encoder if settings.encoder == "auto" else settings.encoder
        return cls(writer, engines, encoder, settings.max_history or run.recipe.split.max_history)


def find_earlier_version(
    versions: Versions, run: RunView, asked: WritingRequest, settings: WritingSettings
) -> VersionPlan:
    """The plan of the current version, from which unchanged texts are taken.

    Args:
        versions: those of the target.
        run: what is written from now.
        asked: how it is written.
        settings: how many shards are asked for (None: as many as there were), and what rows hold.

    Raises:
        WriteError: there is none, or its texts are not what would be written now.
    """
    url, current = versions.place.url, versions.current()
    if current is None:
        raise WriteError(f"{url} has nothing published to carry texts over from: write it in full first")
    base = versions.plan(current)
    if base is None:
        raise WriteError(f"version {current} at {url} has no plan.json: write in full")
    changed = sorted(
        name
        for name in set(run.fingerprint) | set(base.run_fingerprint)
        if base.run_fingerprint.get(name) != run.fingerprint.get(name)
    )
    if changed:
        raise WriteError(
            f"{', '.join(changed)} of the run {run.folder} is not what version {current} was written with: its texts "
            "cannot be carried over: write in full, without --only changed"
        )
    wanted = asked._asdict() | {"shards": base.shards if settings.shards is None else settings.shards}
    had = {name: getattr(base, name) for name in wanted}
    for name in _SEEN_IN_ROWS:
        wanted[name], had[name] = getattr(settings, name), getattr(base.settings, name)
    for name, value in wanted.items():
        if had[name] != value:
            raise WriteError(
                f"{name} is {value!r}, but version {current} was written with {had[name]!r}: expected the "
                "same under --only changed, or a full write"
            )
    return base


def same_decade(versions: Versions, plan: VersionPlan) -> None:
    """Refuse a catalogue whose middle decade, which texts speak of, is not that of the base.

    Raises:
        WriteError: it has moved.
    """
    base = versions.plan(plan.base) if plan.base else None
    if base is not None and base.middle_decade != plan.middle_decade:
        raise WriteError(
            f"new items moved the middle decade from {base.middle_decade} to {plan.middle_decade}, and texts "
            "speak of it: write in full, without --only changed"
        )
