"""The general source: interactions, and where there are such, items and users, from tables of any usual form."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import polars as pl

from trackrec.data.catalogues import (
    items_described,
    read_genres,
    read_title,
    read_year,
    title_counts,
)
from trackrec.data.columns import ColumnMapping, Columns, find_columns
from trackrec.data.ids import read_ids
from trackrec.data.log import Log
from trackrec.data.role_table import ID_COLUMNS, RoleTable, whole_in_all
from trackrec.data.table import SHORT_ROW, Table, TableSettings
from trackrec.data.tables import open_table
from trackrec.data.times import in_another_unit, read_times
from trackrec.errors import LogError
from trackrec.settings import Settings

log = logging.getLogger("trackrec.data")

_DAY = 86_400


class TablesSettings(Settings):
    """A log in tables of one's own."""

    interactions: TableSettings = TableSettings()
    """Who did what when: the one table that is needed."""
    items: TableSettings = TableSettings()
    """The catalogue. Without it, items are what the interactions say of them, at least their ids."""
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
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:
        return make_log(open_tables(settings, Path(scratch)), settings, where=_place(settings))


def read_shown(settings: TablesSettings) -> tuple[Log, list[Columns]]:
    """The log, and what each table's columns were taken for; every table is opened once."""
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:
        tables = open_tables(settings, Path(scratch))
        columns = [
            find_columns(name, table.names, settings.columns, where=table.where, catalogue="items" in tables)
            for name, table in tables.items()
        ]
        return make_log(tables, settings, where=_place(settings)), columns


def guess_columns(settings: TablesSettings) -> list[Columns]:
    """What each table's columns are taken for, to be shown before anything is read."""
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:
        tables = open_tables(settings, Path(scratch))
        return [
            find_columns(name, table.names, settings.columns, where=table.where, catalogue="items" in tables)
            for name, table in tables.items()
        ]


def make_log(tables: Mapping[str, Table], settings: TablesSettings, *, where: str) -> Log:
    """The log of open tables.

    Args:
        tables: interactions, and perhaps items and users.
        settings: how to read them; what it says of files is not looked at.
        where: the source in words, for messages.
    """
    catalogue = "items" in tables
    parts = {name: RoleTable.of(name, table, settings.columns, catalogue=catalogue) for name, table in tables.items()}
    counts: dict[str, int] = {}
    for name in ("items", "users"):
        if name in parts and parts[name].facts.get("short_rows"):
            counts[f"{name}_rows_with_too_few_fields"] = parts[name].facts["short_rows"]
    whole = {column: whole_in_all(column, parts, counts) for column in ID_COLUMNS["interactions"]}
    acts = parts["interactions"]
    rows = _interactions(acts, whole, settings, counts)
    items = items_of(parts, rows.lazy(), whole, settings.columns, counts)
    users = None
    if "users" in parts:
        kept = ["user_id", *parts["users"].attributes]
        users = parts["users"].collect(parts["users"].ids(whole)).select(kept)
    checked = Log.checked(rows, items, users, where=where)
    return dataclasses.replace(checked, counts=checked.counts | counts | odd_counts(checked, where))


def open_tables(settings: TablesSettings, scratch: Path) -> dict[str, Table]:
    """The tables that are given, by name; ``scratch`` must live until they have been read."""
    if not settings.interactions.given:
        raise LogError("no interactions are given: name their file in tables.interactions, such as ratings.csv")
    given = {"interactions": settings.interactions, "items": settings.items, "users": settings.users}
    return {name: open_table(table, scratch) for name, table in given.items() if table.given}


def _place(settings: TablesSettings) -> str:
    return settings.interactions.path or "the query for interactions"


def _interactions(
    part: RoleTable, whole: Mapping[str, bool], settings: TablesSettings, counts: dict[str, int]
) -> pl.DataFrame:
    """user_id, item_id, rating, timestamp, and the reason why a row is ``unusable``."""
    rows = part.collect(plain_interactions(part, whole, settings, counts))
    if settings.columns.row_order_as_time:
        rows = rows.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("timestamp"))
    return without_repeated(rows, settings)


def plain_interactions(
    part: RoleTable, whole: Mapping[str, bool], settings: TablesSettings, counts: dict[str, int]
) -> pl.LazyFrame:
    """The same, not yet read; each row is made of its own row in the file alone."""
    reasons = []
    if "rating" in part.schema and "event" in part.schema:
        raise LogError(
            f"{part.table.where} has both a rating ({part.columns.roles['rating']!r}) and kinds of events "
            f"({part.columns.roles['event']!r}): expected one of them; set the other one in columns to '-'"
        )
    if "rating" in part.schema:
        rating = part.number("rating")
        if settings.columns.zero_is_no_rating:
            reasons.append(pl.when(rating == 0).then(pl.lit("rating_zero")))
    elif "event" in part.schema:
        rating = _weights(part, settings.columns)
        reasons.append(pl.when(rating.is_null()).then(pl.lit("event_without_weight")))
        rating = rating.fill_null(0.0)  # so that this is the reason which is told
    else:
        rating = pl.lit(1.0)
        counts["rows_without_ratings_taken_as_1"] = part.facts["rows"]
    if "quantity" in part.schema:
        quantity = part.number("quantity")
        reasons.append(pl.when(quantity.is_null()).then(pl.lit("without_quantity")))
        reasons.append(pl.when(quantity <= 0).then(pl.lit("quantity_not_positive")))
    if SHORT_ROW in part.schema:
        # What is missing may have stood anywhere in the row, so that what follows it may be in the wrong column.
        reasons.append(pl.when(pl.col(SHORT_ROW)).then(pl.lit("too_few_fields")))
    seconds, odd = _seconds(part, settings, counts)
    ids = [read_ids(name, part.schema[name], whole=whole[name]) for name in ID_COLUMNS["interactions"]]
    unusable = pl.coalesce(*reasons, odd)
    wanted = [*ids, rating.alias("rating"), seconds.alias("timestamp"), unusable.cast(pl.String).alias("unusable")]
    if settings.columns.row_order_as_time:
        counts["times_from_the_order_of_rows"] = part.facts["rows"]
        log.warning("%s: the order of its rows stands for time, as row_order_as_time says", part.table.where)
    return part.frame.select(*wanted, *(["part"] if "part" in part.schema else []))


def without_repeated(rows: pl.DataFrame, settings: TablesSettings) -> pl.DataFrame:
    """With rows that repeat an earlier one marked as unusable, if the settings say so."""
    if settings.repeated_rows == "drop":
        repeated = pl.when(~_row_hash().is_first_distinct()).then(pl.lit("repeated_row"))
        rows = rows.with_columns(pl.coalesce("unusable", repeated).alias("unusable"))
    return rows


def _row_hash() -> pl.Expr:
    """A number for each row's content: rows that are alike have the same, and others, to all likelihood, have not."""
    return pl.struct("user_id", "item_id", "rating", "timestamp").hash()


def _weights(part: RoleTable, mapping: ColumnMapping) -> pl.Expr:
    """What each event weighs by its kind (case and spaces do not count); null for kinds without a weight."""
    kind = pl.col("event").cast(pl.String).str.strip_chars().str.to_lowercase()
    weights = {name.strip().lower(): weight for name, weight in mapping.event_weights.items()}
    if not weights:
        kinds = part.collect(part.frame.select(kind.drop_nulls().unique())).to_series().sort()
        raise LogError(
            f"{part.table.where}: {mapping.event!r} is the kind of event, but no kind has a weight: expected "
            f"columns.event_weights, such as {{view: 1, purchase: 5}}; the kinds are {', '.join(kinds[:8])}"
        )
    return kind.replace_strict(weights, default=None, return_dtype=pl.Float64)


def _seconds(part: RoleTable, settings: TablesSettings, counts: dict[str, int]) -> tuple[pl.Expr, pl.Expr]:
    """The times, and why one cannot be used though it can be read."""
    if "timestamp" not in part.schema:
        return pl.lit(None, pl.Int64), pl.lit(None, pl.String)
    dtype = part.schema["timestamp"]
    times = part.times(settings.columns.timestamp_format)
    counts[times.count] = part.facts["rows"]
    seconds = read_times("timestamp", dtype, times)
    today = time.time() if settings.latest_day is None else _midnight(settings.latest_day)
    reason = (
        pl.when(seconds == 0)
        .then(pl.lit("zero_timestamp"))
        .when(in_another_unit("timestamp", dtype, times))
        .then(pl.lit("timestamp_in_another_unit"))
        .when(seconds >= int(today) + _DAY)
        .then(pl.lit("future_timestamp"))
    )
    return seconds, reason


def _midnight(day: datetime.date) -> float:
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()


def _described(part: RoleTable, whole: Mapping[str, bool]) -> pl.LazyFrame:
    """item_id, title, year, genres as they came, creator and attributes, as far as they are there."""
    wanted = []
    for name, read in (("title", read_title), ("year", lambda column: read_year(column, part.schema[column]))):
        wanted += [read(name)] if name in part.schema else []
    if "creator" in part.schema:
        wanted.append(pl.col("creator"))
    ids = read_ids("item_id", part.schema["item_id"], whole=whole["item_id"])
    genres = ["genres"] if "genres" in part.schema else []
    return part.frame.select(ids, *wanted, *genres, *part.attributes)


def items_of(
    parts: Mapping[str, RoleTable],
    rows: pl.LazyFrame,
    whole: Mapping[str, bool],
    mapping: ColumnMapping,
    counts: dict[str, int],
) -> pl.DataFrame:
    """The catalogue: the table of items, or what the interactions (``rows``: with their ids) say of them."""
    if "items" in parts:
        part = parts["items"]
        return _finished(part.collect(_described(part, whole)), mapping, counts)
    return _items_of_interactions(parts["interactions"], rows, whole, mapping, counts)


def _items_of_interactions(
    part: RoleTable, rows: pl.LazyFrame, whole: Mapping[str, bool], mapping: ColumnMapping, counts: dict[str, int]
) -> pl.DataFrame:
    described = _described(part, whole)
    if described.collect_schema().names() == ["item_id"]:
        ids = rows.select(pl.col("item_id").drop_nulls().unique().sort()).collect(engine="streaming")
        return _finished(ids, mapping, counts)
    with part.table.reading():
        items, found = items_described(described)
    several = found["items_with_several_titles"]
    if "title" in part.columns.guessed and several * 2 > found["items_with_several_rows"]:
        log.warning(
            "%s: the column %r differs between rows of one item (%d items), so it is not taken for the item's title",
            part.table.where, part.columns.roles["title"], several,
        )  # fmt: skip
        items, several = items.drop("title"), 0
    items = _finished(items, mapping, counts)
    counts["kept_items_with_several_titles"] = several
    return items


def _finished(items: pl.DataFrame, mapping: ColumnMapping, counts: dict[str, int]) -> pl.DataFrame:
    if "genres" in items.columns:
        items = items.with_columns(read_genres(items["genres"], mapping.genre_separator))
    if "title" not in items.columns:
        counts["kept_items_titled_by_their_id"] = items["item_id"].drop_nulls().n_unique()
        items = items.with_columns(pl.col("item_id").cast(pl.String).alias("title"))
    counts |= title_counts(items)
    return items


def odd_counts(checked: Log, where: str) -> dict[str, int]:
    """What a run may stumble over, though it can be read."""
    rows = checked.interactions
    hashed = rows.lazy().select("user_id", _row_hash().alias("row"))
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
