"""A table whose columns are known, with what was counted over all its rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from trackrec.data.columns import ColumnMapping, Columns, find_columns
from trackrec.data.ids import id_facts, is_whole, read_ids
from trackrec.data.tables import Table
from trackrec.data.times import SAMPLE, Times, find_times, time_facts
from trackrec.errors import LogError

log = logging.getLogger("trackrec.data")

ID_COLUMNS = {"interactions": ("user_id", "item_id"), "items": ("item_id",), "users": ("user_id",)}
_ROLES = {"user_id": "user", "item_id": "item"}
_OWN_NAMES = {"user_id", "item_id", "rating", "timestamp", "quantity", "part", "title", "year", "genres", "creator"}


@dataclass(frozen=True)
class RoleTable:
    """One table with its columns renamed to what they are, not yet read, except for the counts."""

    table: Table
    columns: Columns
    frame: pl.LazyFrame
    """user_id, item_id, rating, timestamp, quantity, title, year, genres, creator, as far as there, and attributes."""
    schema: pl.Schema
    attributes: tuple[str, ...]
    """Their names in the frame; one that has the name of a role gets an underscore after it."""
    facts: dict[str, Any]
    """Counts over all rows, by which types, units and spellings are decided once for a whole column."""

    @classmethod
    def of(cls, name: str, table: Table, mapping: ColumnMapping, *, catalogue: bool = False) -> RoleTable:
        """Name the columns and count.

        Args:
            name: interactions, items or users.
            table: the open table.
            mapping: what the user says of its columns.
            catalogue: there is a table of items.

        Raises:
            LogError: a needed column is not found, or the file cannot be read.
        """
        columns = find_columns(name, table.names, mapping, where=table.where, catalogue=catalogue)
        log.info("%s: %s", table.where, columns)
        renamed = {
            attribute: f"{attribute}_" if attribute in _OWN_NAMES else attribute for attribute in columns.attributes
        }
        roles = [
            pl.col(column).alias(f"{role}_id" if role in ("user", "item") else role)
            for role, column in columns.roles.items()
        ]
        with table.reading():
            frame = table.frame.select(*roles, *(pl.col(old).alias(new) for old, new in renamed.items()))
            schema = frame.collect_schema()
            wanted = [pl.len().alias("rows")]
            for column in ID_COLUMNS[name]:
                wanted += id_facts(column, schema[column])
            if name == "interactions":
                wanted += _number_facts("rating", schema) + _number_facts("quantity", schema)
                if "timestamp" in schema and not schema["timestamp"].is_temporal():
                    wanted += time_facts("timestamp", schema["timestamp"])
            facts = frame.select(wanted).collect(engine="streaming").row(0, named=True)
        return cls(table, columns, frame, schema, tuple(renamed.values()), facts)

    def ids(self, whole: Mapping[str, bool]) -> pl.LazyFrame:
        """The frame with its ids in the type that they have in all tables."""
        ids = [name for name in whole if name in self.schema]
        return self.frame.with_columns(read_ids(name, self.schema[name], whole=whole[name]) for name in ids)

    def collect(self, frame: pl.LazyFrame) -> pl.DataFrame:
        """Read a frame that was made of this one."""
        with self.table.reading():
            table: pl.DataFrame = frame.collect(engine="streaming")
            return table

    def number(self, column: str) -> pl.Expr:
        """The column as Float64; a decimal comma is understood if it makes numbers of more values."""
        if self.schema[column] == pl.String:
            return _parsed(column, comma=self.facts[f"{column}_comma_True"] > self.facts[f"{column}_comma_False"])
        return pl.col(column).cast(pl.Float64, strict=False)

    def times(self, given: str) -> Times:
        """The form of the times.

        Args:
            given: the user's own format, or "".

        Raises:
            LogError: there is no time at all, or no form fits.
        """
        dtype, where = self.schema["timestamp"], self.table.where
        if dtype in (pl.Time, pl.Duration):
            raise LogError(f"{where} holds its times as {dtype}: expected a moment (date and time)")
        if dtype.is_temporal():
            return Times("dates")
        name = self.columns.roles["timestamp"]
        sample = self.collect(self.frame.select(pl.col("timestamp").drop_nulls()).head(SAMPLE))["timestamp"]
        if len(sample) == 0:
            raise LogError(f"{where}: the column {name!r} holds no time at all")
        return find_times("timestamp", self.facts, sample, given, where=where, name=name)


def whole_in_all(column: str, parts: Mapping[str, RoleTable], counts: dict[str, int]) -> bool:
    """Whether an id is a whole number in every table; where it is in some alone, those are counted as made text."""
    found: dict[str, bool] = {}
    for name, part in parts.items():
        if column in ID_COLUMNS[name]:
            text = part.columns.roles[_ROLES[column]] in part.table.texts
            found[name] = is_whole(column, part.schema[column], part.facts, text=text, where=part.table.where)
            counts[f"{column}s_with_spaces_in_{name}"] = part.facts[f"{column}_with_spaces"]
    if not all(found.values()):
        counts |= {f"{column}s_made_text_in_{name}": parts[name].facts["rows"] for name, yes in found.items() if yes}
    return all(found.values())


def _number_facts(column: str, schema: pl.Schema) -> list[pl.Expr]:
    if schema.get(column) != pl.String:
        return []
    return [_parsed(column, comma=comma).count().alias(f"{column}_comma_{comma}") for comma in (False, True)]


def _parsed(column: str, *, comma: bool) -> pl.Expr:
    text = pl.col(column).str.strip_chars()
    return (text.str.replace(",", ".", literal=True) if comma else text).cast(pl.Float64, strict=False)
