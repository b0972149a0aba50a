"""Where a log comes from: the registry of sources, by the name that a recipe gives them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from trackrec.data.amazon import VERSIONS, read_amazon
from trackrec.data.book_crossing import read_book_crossing
from trackrec.data.lastfm import read_lastfm_2k
from trackrec.data.log import Log
from trackrec.data.movielens import read_movielens_100k
from trackrec.data.movielens_family import read_movielens_csv, read_movielens_dat
from trackrec.data.tabular import TablesSettings, read_tables
from trackrec.errors import RecipeError
from trackrec.settings import Settings

Reader = Callable[[Path | None], Log]
"""Reads a folder (None: the source's own place, if it has one) into a checked log."""

TABLES = "tables"
"""The source that reads one's own tables; its settings are in ``tables``, not in a folder."""


def _needs_folder(name: str, read: Callable[[Path], Log]) -> Reader:
    """A reader that has no place of its own."""

    def reader(folder: Path | None) -> Log:
        if folder is None:
            raise RecipeError(f"the source {name!r} needs a folder: set source.folder to where its files are")
        return read(folder)

    return reader


_IN_FOLDERS: dict[str, Callable[[Path], Log]] = {
    **{f"movielens-{size}": read_movielens_dat for size in ("1m", "10m")},
    **{f"movielens-{size}": read_movielens_csv for size in ("20m", "25m", "32m", "latest")},
    **{f"amazon-{year}": partial(read_amazon, year=year) for year in VERSIONS},
    "book-crossing": read_book_crossing,
    "lastfm-2k": read_lastfm_2k,
}

SOURCES: dict[str, Reader] = {"movielens-100k": read_movielens_100k} | {
    name: _needs_folder(name, read) for name, read in _IN_FOLDERS.items()
}
"""A new source is a reader in a file of its own and a line here."""


class SourceSettings(Settings):
    """Which log is read."""

    source: str = "movielens-100k"
    """The name of the source: movielens-100k, -1m, -10m, -20m, -25m, -32m or -latest; amazon-2014, -2018 or -2023;
    book-crossing; lastfm-2k; or tables, for a log of one's own."""
    folder: Path | None = None
    """The folder with the source's files. Empty: the embedded asset, fetched on first use (movielens-100k alone)."""
    tables: TablesSettings = TablesSettings()
    """The tables of the source "tables"."""

    @model_validator(mode="after")
    def _tables_are_named(self) -> SourceSettings:
        if self.tables.interactions.given and self.source != TABLES:
            raise ValueError(f"tables are given, but source is {self.source!r}: expected source: {TABLES}")
        return self

    @model_serializer(mode="wrap")
    def _without_empty_tables(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As it was before there were tables, so that the stages of earlier runs stay valid."""
        values: dict[str, Any] = written(self)
        if self.tables == TablesSettings():
            del values["tables"]
        return values


def read_log(settings: SourceSettings) -> Log:
    """The log that the settings name.

    Raises:
        RecipeError: there is no source of that name, or it needs a folder.
        LogError: the source's files cannot be used.
    """
    if settings.source == TABLES:
        return read_tables(settings.tables)
    if settings.source not in SOURCES:
        known = [*SOURCES, TABLES]
        near = difflib.get_close_matches(settings.source, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise RecipeError(f"unknown source {settings.source!r}: expected one of {', '.join(known)}{hint}")
    return SOURCES[settings.source](settings.folder)
