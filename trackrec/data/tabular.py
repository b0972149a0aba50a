"""The general source: interactions, and where there are such, items and users, from tables of any usual form."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import polars as pl

from trackrec.data.catalogues import items_of
from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.columns import Columns
from trackrec.data.ids import explain_missing_ids
from trackrec.data.impressions import unnest
from trackrec.data.interactions import ReadReport, read_interactions, row_hash
from trackrec.data.log import Log
from trackrec.data.many_files import join_item_tables
from trackrec.data.mapped_table import ID_COLUMNS, MappedTable, columns_of, whole_in_all
from trackrec.data.open_table import open_table
from trackrec.data.table import Table, TableSettings
from trackrec.errors import LogError
from trackrec.settings import Settings

log = logging.getLogger("trackrec.data")


class TablesSettings(Settings):
    """A log in tables of one's own."""

    interactions: TableSettings = TableSettings()
    """Who did what when: the one table that is needed."""
    items: TableSettings = TableSettings()
    """The catalogue. Without it, items are what the interactions say of them, at least their ids."""
    more_items: tuple[TableSettings, ...] = ()
    """Further tables of items, joined to the first one by the item's id."""
    users: TableSettings = TableSettings()
    """What is known of the users."""
    columns: ColumnMapping = ColumnMapping()
    """Which column is what. Empty ones are guessed by name."""
    repeated_rows: Literal["keep", "drop"] = "keep"
    """Rows that repeat user, item, rating and time of an earlier one: kept as events, or left out; always counted."""
    latest_day: datetime.date | None = None
    """Interactions after this day are counted as bad. Null: tomorrow."""


def read_tables(settings: TablesSettings) -> Log:
    """The log that the settings name. The counts state what was found: the form of times, what was made text, ...

    Raises:
        LogError: a table cannot be read or used; the message says which, why, and what to do.
    """
    return read_shown(settings)[0]


def read_shown(settings: TablesSettings) -> tuple[Log, list[Columns]]:
    """The log, and what each table's columns were taken for."""
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:
        return _log_and_columns(open_tables(settings, Path(scratch)), settings, where=place_of(settings))


def guess_columns(settings: TablesSettings) -> list[Columns]:
    """What each table's columns are taken for, to be shown before anything is read."""
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:
        tables = open_tables(settings, Path(scratch))
        return [
            columns_of(name, table, settings.columns, catalogue="items" in tables) for name, table in tables.items()
        ]


def make_log(tables: Mapping[str, Table], settings: TablesSettings, *, where: str) -> Log:
    """The log of open tables.

    Args:
        tables: interactions, and perhaps items and users.
        settings: how to read them; what it says of files is not looked at.
        where: the source in words, for messages.
    """
    return _log_and_columns(tables, settings, where=where)[0]


def _log_and_columns(tables: Mapping[str, Table], settings: TablesSettings, *, where: str) -> tuple[Log, list[Columns]]:
    catalogue = "items" in tables
    parts = {name: MappedTable.of(name, table, settings.columns, catalogue=catalogue) for name, table in tables.items()}
    found = ReadReport()
    for name, part in parts.items():
        found.notes += [f"{name}: {note}" for note in (*part.table.notes, *part.columns.notes)]
        if name != "interactions" and (short := part.facts.get("short_rows")):
            found.counts[f"{name}_rows_with_too_few_fields"] = short
    whole = {column: whole_in_all(column, parts, found.counts) for column in ID_COLUMNS["interactions"]}
    rows = read_interactions(parts["interactions"], whole, settings, found)
    items = items_of(parts, rows.lazy(), whole, settings.columns, found)
    users = None
    if "users" in parts:
        kept = ["user_id", *parts["users"].attributes]
        users = parts["users"].collect(parts["users"].ids(whole)).select(kept)
    for column, table, known in (("item_id", "items", items), ("user_id", "users", users)):
        if table in parts and known is not None:
            file, drops = parts[table].table.where, table == "items"
            words = explain_missing_ids(column, rows, known, where=file, drops=drops)
            found.notes += [words] if words else []
    checked = Log.checked(rows, items, users, where=where)
    counts = checked.counts | found.counts | odd_counts(checked, where)
    return dataclasses.replace(checked, counts=counts, notes=tuple(found.notes)), [p.columns for p in parts.values()]


def open_tables(settings: TablesSettings, scratch: Path) -> dict[str, Table]:
    """The tables that are given, by name; ``scratch`` must live until they have been read."""
    if not settings.interactions.given:
        raise LogError("no interactions are given: name their file in tables.interactions, such as ratings.csv")
    given = {"interactions": settings.interactions, "items": settings.items, "users": settings.users}
    opened = {name: open_table(table, scratch) for name, table in given.items() if table.given}
    if more := [open_table(table, scratch) for table in settings.more_items]:
        of_items = [opened["items"], *more] if "items" in opened else more
        opened["items"] = join_item_tables(of_items, settings.columns)
    if settings.columns.nested:
        opened["interactions"] = unnest(opened["interactions"], settings.columns.nested)
    return opened


def place_of(settings: TablesSettings) -> str:
    """Where the interactions come from, in words."""
    return settings.interactions.path or "the query for interactions"


def odd_counts(checked: Log, where: str) -> dict[str, int]:
    """What a run may stumble over, though it can be read."""
    rows = checked.interactions
    hashed = rows.lazy().select("user_id", row_hash().alias("row"))
    users = hashed.group_by("user_id").agg(pl.len().alias("events"), pl.col("row").n_unique().alias("distinct"))
    each = users.collect(engine="streaming")
    ratings = rows["rating"].n_unique()
    if ratings == 1:
        log.warning("%s: every rating is %g, so likes cannot be told from dislikes", where, rows["rating"][0])
    return {
        "kept_repeated_rows": rows.height - int(each.select(pl.col("distinct").sum()).item()),
        "kept_negative_ratings": int((rows["rating"] < 0).sum()),
        "kept_users_with_one_event": int((each["events"] == 1).sum()),
        "distinct_ratings": ratings,
    }
