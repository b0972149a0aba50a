"""Which log is read: the part ``source`` of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from trackrec.data.sources.registry import SOURCES, TABLES
from trackrec.data.tabular import TablesSettings
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
