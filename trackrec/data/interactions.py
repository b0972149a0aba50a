"""The interactions of a table: ids, ratings (or what stands for them) and times, and why a row cannot be used."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trackrec.data.column_mapping import NO_COLUMN, ColumnMapping
from trackrec.data.feedback import mix_bits
from trackrec.data.ids import MISSING_IDS, read_ids
from trackrec.data.log import stable_hash
from trackrec.data.mapped_table import ID_COLUMNS, MappedTable, number_notes
from trackrec.data.table import SHORT_ROW
from trackrec.data.times import clock_seconds, in_another_unit, read_times
from trackrec.errors import LogError

if TYPE_CHECKING:
    from trackrec.data.tabular import TablesSettings

log = logging.getLogger("trackrec.data")

_DAY = 86_400


@dataclass
class ReadReport:
    """What was found while a log was read."""

    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What was not sure, in words."""


def read_interactions(
    part: MappedTable, whole: Mapping[str, bool], settings: TablesSettings, found: ReadReport
) -> pl.DataFrame:
    """user_id, item_id, rating, timestamp, signals, and the reason why a row is ``unusable``."""
    rows = part.collect(plain_interactions(part, whole, settings, found))
    if settings.columns.row_order_as_time:
        rows = rows.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("timestamp"))
    if has_no_times(settings.columns):
        rows = with_drawn_times(rows)
    return without_repeated(rows, settings)


def has_no_times(mapping: ColumnMapping) -> bool:
    """The user says that there are none, and that the order of the rows is none either."""
    return mapping.timestamp == NO_COLUMN and not mapping.row_order_as_time


def with_drawn_times(rows: pl.DataFrame) -> pl.DataFrame:
    """Times drawn by a hash of user, item and how often that pair came before: the same whatever the rows' order.

    The hashes are those of ``stable_hash``, so that no version of a library draws another order.
    """
    again = rows.select(pl.int_range(pl.len()).over("user_id", "item_id")).to_series().to_numpy().astype(np.uint64)
    user, item = (_hashes(rows[name]) for name in ("user_id", "item_id"))
    keys = mix_bits(user ^ mix_bits(item + again))
    return rows.with_columns(pl.Series("timestamp", keys).rank("ordinal").cast(pl.Int64))


def _hashes(ids: pl.Series) -> NDArray[np.uint64]:
    distinct = ids.unique()
    hashes = pl.DataFrame(
        {"id": distinct, "hash": pl.Series([stable_hash(name) for name in distinct], dtype=pl.UInt64)}
    )
    joined = ids.alias("id").to_frame().join(hashes, on="id", how="left", nulls_equal=True, maintain_order="left")
    return joined["hash"].to_numpy()


def plain_interactions(
    part: MappedTable, whole: Mapping[str, bool], settings: TablesSettings, found: ReadReport
) -> pl.LazyFrame:
    """The same, not yet read; each row is made of its own row in the file alone."""
    columns, rating, reasons = settings.columns, pl.lit(1.0), []
    found.notes += number_notes(part, [name for name in ("rating", "quantity", *part.signals) if name in part.schema])
    if "rating" in part.schema and "event" in part.schema:
        raise LogError(
            f"{part.table.where} has both a rating ({part.columns.roles['rating']!r}) and kinds of events "
            f"({part.columns.roles['event']!r}): expected one of them; set the other one in columns to '-'"
        )
    if part.signals:
        rating = _weighted_sum(part, columns)
    elif "rating" in part.schema:
        rating = part.number("rating")
        if columns.zero_is_no_rating:
            reasons.append(pl.when(rating == 0).then(pl.lit("rating_zero")))
        if columns.no_rating:
            reasons.append(pl.when(rating.is_in(list(columns.no_rating))).then(pl.lit("rating_that_says_none")))
    elif "event" in part.schema:
        rating = _weights(part, columns)
        reasons.append(pl.when(rating.is_null()).then(pl.lit("event_without_weight")))
        rating = rating.fill_null(0.0)  # so that this is the reason which is told
    else:
        found.counts["rows_without_ratings_taken_as_1"] = part.facts["rows"]
    if "quantity" in part.schema:
        quantity = part.number("quantity")
        reasons.append(pl.when(quantity.is_null()).then(pl.lit("without_quantity")))
        reasons.append(pl.when(quantity <= 0).then(pl.lit("quantity_not_positive")))
    if SHORT_ROW in part.schema:
        # What is missing may have stood anywhere in the row, so that what follows it may be in the wrong column.
        reasons.append(pl.when(pl.col(SHORT_ROW)).then(pl.lit("too_few_fields")))
    seconds, odd = _seconds(part, settings, found)
    ids = [read_ids(name, part.schema[name], whole=whole[name]) for name in ID_COLUMNS["interactions"]]
    unusable = pl.coalesce(*reasons, odd)
    wanted = [*ids, rating.alias("rating"), seconds.alias("timestamp"), unusable.cast(pl.String).alias("unusable")]
    wanted += [part.number(name).alias(name) for name in part.signals]
    if columns.row_order_as_time:
        found.counts["times_from_the_order_of_rows"] = part.facts["rows"]
        log.warning("%s: the order of its rows stands for time, as row_order_as_time says", part.table.where)
    elif has_no_times(columns):
        found.counts["times_drawn_since_the_log_has_none"] = part.facts["rows"]
    return part.frame.select(*wanted, *(["part"] if "part" in part.schema else []))


def without_repeated(rows: pl.DataFrame, settings: TablesSettings) -> pl.DataFrame:
    """With rows that repeat an earlier one marked as unusable, if the settings say so."""
    if settings.repeated_rows == "drop":
        repeated = pl.when(~row_hash().is_first_distinct()).then(pl.lit("repeated_row"))
        rows = rows.with_columns(pl.coalesce("unusable", repeated).alias("unusable"))
    return rows


def row_hash() -> pl.Expr:
    """A number for each row's content: rows that are alike have the same, and others, to all likelihood, have not."""
    return pl.struct("user_id", "item_id", "rating", "timestamp").hash()


def _weighted_sum(part: MappedTable, mapping: ColumnMapping) -> pl.Expr:
    """The sum of the signals by their weights; null where a row has none of them."""
    weights = dict(zip(part.signals, mapping.signals.values(), strict=True))
    values = {name: part.number(name) for name in weights}
    some = pl.any_horizontal(value.is_not_null() for value in values.values())
    return pl.when(some).then(
        pl.sum_horizontal(values[name].fill_null(0.0) * weight for name, weight in weights.items())
    )


def _weights(part: MappedTable, mapping: ColumnMapping) -> pl.Expr:
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


def _seconds(part: MappedTable, settings: TablesSettings, found: ReadReport) -> tuple[pl.Expr, pl.Expr]:
    """The times, and why one cannot be used though it can be read."""
    if "timestamp" not in part.schema:
        return pl.lit(None, pl.Int64), pl.lit(None, pl.String)
    dtype = part.schema["timestamp"]
    times = part.times(settings.columns.timestamp_format)
    found.counts[times.count] = part.facts["rows"]
    if times.kind == "seconds" and part.facts.get("timestamp_small", 0) * 2 > part.facts["rows"]:
        found.notes.append(
            f"the times in {part.columns.roles['timestamp']} are small numbers, taken as seconds from a beginning of "
            "the log's own; if they are days, or a spreadsheet's, write them as dates"
        )
    if times.kind == "serial":
        found.notes.append(
            f"the times in {part.columns.roles['timestamp']} are taken as days since 1899-12-30, as spreadsheets count"
        )
    if dtype == pl.Float32:
        found.notes.append(
            f"the times in {part.columns.roles['timestamp']} are Float32, which tells no moments apart that are less "
            "than two minutes from each other; save them as whole numbers"
        )
    seconds = read_times("timestamp", dtype, times)
    if dtype == pl.String:
        found.notes += _what_is_no_time(part, seconds)
    if "clock" in part.schema:
        seconds = seconds + clock_seconds("clock", part.schema["clock"])
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


def _what_is_no_time(part: MappedTable, seconds: pl.Expr) -> list[str]:
    """In words, the texts that are no times in the form that most have."""
    text = pl.col("timestamp").str.strip_chars()
    none = seconds.is_null() & ~text.is_in(MISSING_IDS)
    some = text.filter(none).unique(maintain_order=True).head(3).implode().alias("some")
    number, texts = part.collect(part.frame.select(none.sum().alias("number"), some)).row(0)
    if not number:
        return []
    such = ", ".join(repr(each[:40]) for each in texts)
    name = part.columns.roles["timestamp"]
    return [f"what is no time in {name} in the form that most have ({number:,} of them, such as {such}) is left out"]


def _midnight(day: datetime.date) -> float:
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()
