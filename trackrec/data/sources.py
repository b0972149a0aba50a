"""Where a log comes from: the registry of sources, by the name that a recipe gives them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from trackrec.assets import movielens_100k
from trackrec.data.amazon import VERSIONS, read_amazon
from trackrec.data.book_crossing import read_book_crossing
from trackrec.data.lastfm import read_lastfm_2k
from trackrec.data.log import Log
from trackrec.data.movielens import FILES, read_movielens_100k
from trackrec.data.movielens_family import CSV_FILES, DAT_FILES, read_movielens_csv, read_movielens_dat
from trackrec.data.tabular import TablesSettings, read_tables
from trackrec.errors import RecipeError
from trackrec.settings import Settings

TABLES = "tables"
"""The source that reads one's own tables; its settings are in ``tables``, not in a folder."""


@dataclass(frozen=True)
class Source:
    """A data set that is known by name: all that is said of it, but for what its reader does."""

    name: str
    """What ``source.source`` of a recipe calls it."""
    read: Callable[[Path], Log]
    """Reads the folder with its files into a checked log."""
    domain: str
    """Of the prompts that `trackrec data check` writes into its recipe, as in ``prompts.domain``."""
    feedback: Literal["graded", "implicit"]
    """graded: ratings say how an item was liked, so that some of them are dislikes. implicit: they only count how often
    it was used; every interaction is a like."""
    files: tuple[str, ...] = ()
    """The names of its files, so that a run notices a change in them; empty: all that are in the folder."""
    embedded: Callable[[], Path] | None = None
    """Gives the folder of the files that come with the package, fetched on first use; None: they do not."""

    def log(self, folder: Path | None) -> Log:
        """The log in a folder; None: the embedded one.

        Raises:
            RecipeError: there is no folder and nothing embedded.
            LogError: the files cannot be used.
        """
        if folder is not None:
            return self.read(folder)
        if self.embedded is None:
            raise RecipeError(f"the source {self.name!r} needs a folder: set source.folder to where its files are")
        return self.read(self.embedded())


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source("movielens-100k", read_movielens_100k, "movies", "graded", FILES, embedded=movielens_100k),
        *(Source(f"movielens-{size}", read_movielens_dat, "movies", "graded", DAT_FILES) for size in ("1m", "10m")),
        *(
            Source(f"movielens-{size}", read_movielens_csv, "movies", "graded", CSV_FILES)
            for size in ("20m", "25m", "32m", "latest")
        ),
        *(Source(f"amazon-{year}", partial(read_amazon, year=year), "products", "graded") for year in VERSIONS),
        Source("book-crossing", read_book_crossing, "books", "graded"),
        Source("lastfm-2k", read_lastfm_2k, "music", "implicit"),
    )
}
"""A new source is a reader in a file of its own and a record here."""


class SourceSettings(Settings):
    """Which log is read."""

    source: str = Field(
        "movielens-100k",
        description=f"The name of the source: {', '.join(SOURCES)}; or {TABLES}, for a log of one's own.",
    )
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
    return SOURCES[settings.source].log(settings.folder)
