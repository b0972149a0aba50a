"""A table whose columns are known, with what was counted over all its rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.columns import Columns, bare, find_columns
from trackrec.data.ids import MISSING_IDS, id_facts, is_whole, nested_value, plain_id, read_ids
from trackrec.data.impressions import explode_shown
from trackrec.data.numbers import THOUSANDS, find_number_form, number_facts, read_number
from trackrec.data.table import SHORT_ROW, Table
from trackrec.data.times import SAMPLE, Times, find_times, time_facts
from trackrec.errors import LogError

log = logging.getLogger("trackrec.data")

ID_COLUMNS = {"interactions": ("user_id", "item_id"), "items": ("item_id",), "users": ("user_id",)}
_ROLES = {"user_id": "user", "item_id": "item"}
_AMOUNTS = ("rating", "quantity")
SIGNAL = "signal_"
"""Before the name of a signal (``columns.signals``)."""
_TRIED = "tried_"
_OWN_NAMES = {
    "user_id",
    "item_id",
    "rating",
    "timestamp",
    "quantity",
    "event",
    "part",
    "title",
    "year",
    "genres",
    "creator",
    "shown",
    "shown_clicked",
    "clock",
}
_PEEKED = 10_000


@dataclass(frozen=True)
class MappedTable:
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
    decimal: str = ""
    """``columns.decimal``."""

    @classmethod
    def of(cls, name: str, table: Table, mapping: ColumnMapping, *, catalogue: bool = False) -> MappedTable:
        """Name the columns and count.

        Args:
            name: interactions, items or users.
            table: the open table.
            mapping: what the user says of its columns.
            catalogue: there is a table of items.

        Raises:
            LogError: a needed column is not found, or the file cannot be read.
        """
        columns = columns_of(name, table, mapping, catalogue=catalogue)
        log.info("%s: %s", table.where, columns)
        renamed = {old: f"{new}_" if (new := bare(old)) in _OWN_NAMES else new for old in columns.attributes}
        roles = [
            pl.col(column).alias(f"{role}_id" if role in ("user", "item") else role)
            for role, column in columns.roles.items()
        ] + [pl.col(column).alias(f"{SIGNAL}{bare(column)}") for column in columns.signals]
        texts = {column for column in ID_COLUMNS[name] if columns.roles[_ROLES[column]] in table.texts}
        with table.reading():
            short = [SHORT_ROW] if SHORT_ROW in table.frame.collect_schema() else []
            frame = table.frame.select(*roles, *(pl.col(old).alias(new) for old, new in renamed.items()), *short)
            if "shown" in columns.roles:
                frame = explode_shown(frame, frame.collect_schema(), where=table.where)
                texts.discard("item_id")
            if short and name != "interactions":  # a value of it may stand in another column's place
                keys = [*ID_COLUMNS[name], SHORT_ROW]
                frame = frame.with_columns(pl.when(~pl.col(SHORT_ROW)).then(pl.exclude(keys)).name.keep())
            frame, schema, facts = _counted(_scalars(frame, name, table.where), name, keep=texts)
        return cls(table, columns, frame, schema, tuple(renamed.values()), facts, mapping.decimal)

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
        """The column as Float64, in whichever form its numbers are written.

        Raises:
            LogError: they may have two forms.
        """
        if self.schema[column] == pl.String:
            name = self.columns.roles.get(column, column.removeprefix(SIGNAL))
            form = find_number_form(column, self.facts, self.decimal, where=self.table.where, name=name)
            return read_number(column, form).alias(column)
        return pl.col(column).cast(pl.Float64, strict=False)

    @property
    def signals(self) -> list[str]:
        """The frame's columns that hold signals."""
        return [name for name in self.schema if name.startswith(SIGNAL)]

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
        words = pl.col("timestamp").cast(pl.String).str.strip_chars()
        present = pl.col("timestamp").is_not_null() & ~words.is_in(MISSING_IDS)
        sample = self.collect(self.frame.select("timestamp").filter(present).head(SAMPLE))["timestamp"]
        if len(sample) == 0:
            raise LogError(
                f"{where}: the column {name!r} holds no time at all; if the log has no times, set columns.timestamp "
                "to '-': the order of a user's interactions is then drawn, and nothing that depends on time means "
                "anything; or set columns.row_order_as_time if the rows are in the order in which things happened"
            )
        return find_times("timestamp", self.facts, sample, given, where=where, name=name)


def _scalars(frame: pl.LazyFrame, name: str, where: str) -> pl.LazyFrame:
    """The frame with bytes as text (so old writers of Parquet store it) and columns without any type as empty text.

    Raises:
        LogError: ids, times or numbers are lists or objects.
    """
    schema = frame.collect_schema()
    one_value = [*ID_COLUMNS[name], *(("timestamp", *_AMOUNTS) if name == "interactions" else ())]
    for column in one_value:
        if column in schema and schema[column].is_nested():
            raise LogError(nested_value(column, str(schema[column]), where))
    roles = [column for column in (*one_value, "title", "genres", "creator", "event") if column in schema]
    return frame.with_columns(
        pl.col(column).cast(pl.String) for column in roles if schema[column] in (pl.Binary, pl.Null)
    )


def columns_of(name: str, table: Table, mapping: ColumnMapping, *, catalogue: bool) -> Columns:
    """What a table's columns are taken for; its first rows are looked at where names do not tell."""

    def peek(names: Sequence[str]) -> pl.DataFrame:
        with table.reading():
            rows: pl.DataFrame = table.frame.select(names).head(_PEEKED).collect()
            return rows

    def distinct(column: str) -> pl.Series:
        with table.reading():
            values = table.frame.select(pl.col(column).unique().head(_PEEKED)).collect(engine="streaming")
            return values.to_series()

    return find_columns(
        name, table.names, mapping, where=table.where, catalogue=catalogue, peek=peek, parts=table.parts,
        distinct=distinct,
    )  # fmt: skip


def whole_in_all(column: str, parts: Mapping[str, MappedTable], counts: dict[str, int]) -> bool:
    """Whether an id is a whole number in every table; where it is in some alone, those are counted as made text."""
    found: dict[str, bool] = {}
    for name, part in parts.items():
        if column in ID_COLUMNS[name]:
            text = part.columns.roles[_ROLES[column]] in part.table.texts
            found[name] = is_whole(column, part.schema[column], part.facts, text=text, where=part.table.where)
            counts[f"{column}s_with_spaces_in_{name}"] = part.facts[f"{column}_with_spaces"]
            counts[f"{column}s_as_lists_or_objects_in_{name}"] = part.facts[f"{column}_objects"]
    if not all(found.values()):
        counts |= {f"{column}s_made_text_in_{name}": parts[name].facts["rows"] for name, yes in found.items() if yes}
    return all(found.values())


def _counted(frame: pl.LazyFrame, name: str, keep: set[str]) -> tuple[pl.LazyFrame, pl.Schema, dict[str, Any]]:
    """The frame, its schema, and what was counted; columns of text whose values are all plain numbers are numbers.

    Most columns are plain, and then one pass with one cast for each is enough. The others stay text and are looked
    at in all their odd forms in a second pass.

    Args:
        frame: one table with its columns named by role.
        name: interactions, items or users.
        keep: columns that are text even where they look like numbers.
    """
    schema = frame.collect_schema()
    plain: dict[str, tuple[pl.Expr, pl.Expr]] = {}
    amounts = [column for column in schema if column in _AMOUNTS or column.startswith(SIGNAL)]
    for column in (*ID_COLUMNS[name], *([*amounts, "timestamp"] if name == "interactions" else ())):
        if schema.get(column) == pl.String and column not in keep:
            number = pl.col(column).cast(pl.Float64 if column in amounts else pl.Int64, strict=False)
            is_plain = plain_id(column) if column in ID_COLUMNS[name] else number.is_not_null()
            if column in amounts:  # 1.200 is a number, but perhaps another one
                is_plain &= ~pl.col(column).str.contains(THOUSANDS)
            plain[column] = number, (pl.col(column).is_not_null() & ~is_plain).sum().alias(f"{column}_odd")
    tried = frame.with_columns(number for number, _ in plain.values())
    typed = tried.collect_schema()
    odd = [count for _, count in plain.values()]
    probe = frame.with_columns(number.name.prefix(_TRIED) for number, _ in plain.values())
    names = {column: _TRIED + column if column in plain else column for column in schema}
    wanted = _facts(name, typed, names)
    if SHORT_ROW in schema:
        wanted.append(pl.col(SHORT_ROW).sum().alias("short_rows"))
    facts = probe.select(pl.len().alias("rows"), *odd, *wanted).collect(engine="streaming").row(0, named=True)
    left = [column for column in plain if facts[f"{column}_odd"]]
    if left:
        again = _facts(name, schema, {column: column for column in left})
        facts |= frame.select(again).collect(engine="streaming").row(0, named=True)
    frame = frame.with_columns(number for column, (number, _) in plain.items() if column not in left)
    return frame, frame.collect_schema(), facts


def _facts(name: str, schema: pl.Schema, places: Mapping[str, str]) -> list[pl.Expr]:
    """The aggregates to count of those columns that have a place, which is the name that their values have now."""
    wanted: list[pl.Expr] = []
    for column in ID_COLUMNS[name]:
        if column in places:
            wanted += id_facts(column, schema[column])
    if name == "interactions":
        amounts = [column for column in schema if column in _AMOUNTS or column.startswith(SIGNAL)]
        wanted += [fact for column in amounts if column in places for fact in number_facts(column, schema[column])]
        if "timestamp" in places and not schema["timestamp"].is_temporal():
            wanted += time_facts("timestamp", schema["timestamp"], places["timestamp"])
    return wanted


_SHOWN = 3


def number_notes(part: MappedTable, columns: list[str]) -> list[str]:
    """In words, for the data card; nothing of columns whose values are all plain numbers.

    Args:
        part: the table.
        columns: those of its frame that hold amounts: rating, quantity, signals.

    Raises:
        LogError: a column holds values, and none of them is a number.
    """
    notes = []
    for column in columns:
        if part.schema[column] != pl.String:
            continue
        name = part.columns.roles.get(column, column.removeprefix(SIGNAL))
        form = find_number_form(column, part.facts, part.decimal, where=part.table.where, name=name)
        if form.told:
            notes.append(f"numbers in {name} are read so: {form.told}")
        text = pl.col(column).str.strip_chars()
        none = read_number(column, form).is_null() & ~text.is_in(MISSING_IDS)
        odd = part.collect(
            part.frame.select(
                none.sum().alias("number"),
                (~text.is_in(MISSING_IDS)).sum().alias("present"),
                text.filter(none).unique(maintain_order=True).head(_SHOWN).implode().alias("some"),
            )
        ).row(0, named=True)
        if not odd["number"]:
            continue
        some = ", ".join(repr(str(each)[:30]) for each in odd["some"])
        if odd["number"] == odd["present"] and column != "quantity":
            raise LogError(
                f"{part.table.where}: {name!r} holds no number at all, but {some}: write numbers there, or, if these "
                f"are words for what somebody did or thought, name it in columns.event in place of "
                f"columns.{'signals' if column.startswith(SIGNAL) else 'rating'}, with a weight for each in "
                "columns.event_weights"
            )
        notes.append(f"what is no number in {name} ({odd['number']:,} of them, such as {some}) counts as missing")
    return notes
