"""Where a log comes from: the registry of sources, by the name that a recipe gives them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from trackrec.data.log import Log
from trackrec.data.movielens import read_movielens_100k
from trackrec.errors import RecipeError
from trackrec.settings import Settings

Reader = Callable[[Path | None], Log]
"""Reads a folder (None: the source's own place, if it has one) into a checked log."""

SOURCES: dict[str, Reader] = {"movielens-100k": read_movielens_100k}
"""A new source is a reader in a file of its own and a line here."""


class SourceSettings(Settings):
    """Which log is read."""

    source: str = "movielens-100k"
    """The name of the source: movielens-100k."""
    folder: Path | None = None
    """The folder with the source's files. Empty: the embedded asset, fetched on first use."""


def read_log(settings: SourceSettings) -> Log:
    """The log that the settings name.

    Raises:
        RecipeError: there is no source of that name.
        LogError: the source's files cannot be used.
    """
    if settings.source not in SOURCES:
        near = difflib.get_close_matches(settings.source, SOURCES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise RecipeError(f"unknown source {settings.source!r}: expected one of {', '.join(SOURCES)}{hint}")
    return SOURCES[settings.source](settings.folder)
