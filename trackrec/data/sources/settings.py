"""Which log is read: the part ``source`` of a recipe, and the files behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from trackrec.data.local_file import local_path
from trackrec.data.many_files import files_of
from trackrec.data.source_files import is_hidden
from trackrec.data.sources.registry import SOURCES, TABLES
from trackrec.data.tabular import TablesSettings
from trackrec.errors import LogError
from trackrec.settings import Settings


class SourceSettings(Settings):
    """Which log is read."""

    source: str = Field(
        "movielens-100k",
        description=f"The name of the source: {', '.join(SOURCES)}; or {TABLES}, for a log of one's own; or the import "
        "path of a reader of one's own, such as my_shop.sources:read.",
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


def source_files(settings: SourceSettings) -> dict[str, Path]:
    """The local files of a log, each by a name of its own.

    Files on the network and queries are left out: they are known by their address and text alone. So is an embedded
    log, whose name stands for one content.

    Raises:
        LogError: a file or folder is no longer there; the message names it.
    """
    if settings.source == TABLES:
        tables = settings.tables
        told = {"interactions": tables.interactions, "items": tables.items, "users": tables.users}
        files: dict[str, Path] = {}
        for name, table in told.items():
            if not table.path or local_path(table.path) is None:
                continue
            found = files_of(table.path)
            if not found:
                raise LogError(_gone(f"the table of {name}", Path(table.path)))
            files |= {name: found[0]} if len(found) == 1 else {f"{name}/{file}": file for file in found}
        return files
    if settings.folder is None or settings.source not in SOURCES:
        return {}
    if not settings.folder.is_dir():
        raise LogError(_gone("the folder", settings.folder))
    names = SOURCES[settings.source].files
    there = sorted(file for file in settings.folder.iterdir() if file.is_file() and not is_hidden(file.name))
    return {file.name: file for file in there if not names or file.name in names}


def _gone(what: str, path: Path) -> str:
    return (
        f"the log is not there: {what} {path} does not exist. Put it back where it was, or name another one in the "
        "recipe (source)"
    )
