"""The interaction log: three tables and the checks that every source's tables go through."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

import numpy as np
import polars as pl

from trackrec.errors import LogError

log = logging.getLogger("trackrec.data")

LATEST_TIMESTAMP = 4_102_444_800
"""Seconds from 1970 to 2100. What lies beyond is not in seconds (milliseconds, most often)."""

_NEEDED = {
    "interactions": ("user_id", "item_id", "rating", "timestamp"),
    "items": ("item_id", "title"),
    "users": ("user_id",),
}


def stable_hash(value: object) -> int:
    """A 64-bit number for an id that is the same in every process, machine and version; for per-user seeds.

    Example:
        >>> stable_hash(1) == stable_hash("1")
        False
    """
    if isinstance(value, np.generic):
        value = value.item()  # a number out of an array is the same id as one out of a table
    text = f"{type(value).__name__}:{value}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Log:
    """What people did, with what, and who they are. ``Log.checked`` makes one from any tables.

    ``user_id`` and ``item_id`` are Int64 or String, as they came.
    """

    interactions: pl.DataFrame
    """``event_id`` UInt32 (row in the source), ``user_id``, ``item_id``, ``rating`` Float64, ``timestamp`` Int64
    (seconds since 1970), in the source's order; if it came, also ``part`` String, for a split given by that
    column, and ``signal_...`` Float64, of which the rating was made."""
    items: pl.DataFrame
    """``item_id`` (unique), ``title`` String, ``year`` Int32 or null, ``genres`` List(String), and what else came."""
    users: pl.DataFrame
    """``user_id`` (unique) and what else came."""
    counts: dict[str, int]
    """Rows read, rows left out by reason (``dropped_...``), rows kept, and what was found odd but kept."""
    notes: tuple[str, ...] = ()
    """What reading it had to decide and was not sure of, in words, for the data card."""

    @classmethod
    def checked(
        cls, interactions: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame | None = None, *, where: str
    ) -> Log:
        """The log of these tables without the rows that cannot be used, each counted under its first reason.

        Args:
            interactions: at least user_id, item_id, rating, timestamp. A rating or time that is no number counts as
                missing. Without an event_id, the row number becomes it. With a column ``unusable``, the rows where it
                is not null are left out, and its text is their reason.
            items: at least item_id and title; year and genres are added empty if they are not there.
            users: at least user_id; None: the users of the interactions.
            where: the source in words or its path, for messages.

        Raises:
            LogError: a column is missing, ids have another type than integer or string, or no row is left.
        """
        tables = {"interactions": interactions, "items": items}
        if users is not None:
            tables["users"] = users
        for name, table in tables.items():
            missing = [column for column in _NEEDED[name] if column not in table.columns]
            if missing:
                raise LogError(
                    f"the {name} of {where} have no column {', '.join(missing)}: expected {', '.join(_NEEDED[name])}, "
                    f"found {', '.join(table.columns) or 'none'}"
                )
        counts: dict[str, int] = {}
        items = _checked_items(_with_plain_ids(items, ("item_id",), f"the items of {where}"), counts)
        interactions = _with_plain_ids(interactions, ("user_id", "item_id"), f"the interactions of {where}")
        _same_type("item_id", interactions, items, f"the interactions and the items of {where}")
        interactions = _checked_interactions(interactions, items, counts, where)
        if users is None:
            users = interactions.select("user_id").unique(maintain_order=True)
        else:
            users = _with_plain_ids(users, ("user_id",), f"the users of {where}")
            _same_type("user_id", interactions, users, f"the interactions and the users of {where}")
            users = _unique_by(users, "user_id", "users", counts)
            known = interactions["user_id"].is_in(users["user_id"].implode())
            counts["kept_user_without_attributes"] = interactions.filter(~known)["user_id"].n_unique()
        counts |= {"interactions": interactions.height, "items": items.height}
        counts["users"] = interactions["user_id"].n_unique()
        odd = {name: count for name, count in counts.items() if name.startswith("dropped_") and count}
        if odd:
            log.warning("%s: rows left out: %s", where, ", ".join(f"{name[8:]} {n}" for name, n in odd.items()))
        return cls(interactions=interactions, items=items, users=users, counts=counts)


def _with_plain_ids(table: pl.DataFrame, columns: tuple[str, ...], where: str) -> pl.DataFrame:
    """Ids as Int64 or String; any other type is an error rather than a guess."""
    for column in columns:
        dtype = table.schema[column]
        if dtype.is_integer():
            table = table.with_columns(pl.col(column).cast(pl.Int64))
        elif dtype in (pl.Categorical, pl.Enum):
            table = table.with_columns(pl.col(column).cast(pl.String))
        elif dtype != pl.String:
            raise LogError(f"{where} hold {column} as {dtype}: expected integers or strings; cast it before")
    return table


def _same_type(column: str, left: pl.DataFrame, right: pl.DataFrame, where: str) -> None:
    if left.schema[column] != right.schema[column]:
        raise LogError(
            f"{where} hold {column} as {left.schema[column]} and {right.schema[column]}: expected one type in both"
        )


def _unique_by(table: pl.DataFrame, column: str, name: str, counts: dict[str, int]) -> pl.DataFrame:
    """Without rows that have no id, and with the first row of each id."""
    with_id = table.filter(pl.col(column).is_not_null())
    unique = with_id.unique(column, keep="first", maintain_order=True)
    counts[f"dropped_{name}_without_id"] = table.height - with_id.height
    counts[f"dropped_{name}_with_repeated_id"] = with_id.height - unique.height
    return unique


def _checked_items(items: pl.DataFrame, counts: dict[str, int]) -> pl.DataFrame:
    items = _unique_by(items, "item_id", "items", counts)
    counts["kept_items_without_title"] = items["title"].null_count()
    year = pl.col("year") if "year" in items.columns else pl.lit(None)
    genres = pl.col("genres") if "genres" in items.columns else pl.lit(None)
    rest = [name for name in items.columns if name not in ("item_id", "title", "year", "genres")]
    return items.select(
        "item_id",
        pl.col("title").cast(pl.String).fill_null("untitled"),
        year.cast(pl.Int32, strict=False).alias("year"),
        genres.cast(pl.List(pl.String)).fill_null([]).alias("genres"),
        *rest,
    )


def _checked_interactions(
    interactions: pl.DataFrame, items: pl.DataFrame, counts: dict[str, int], where: str
) -> pl.DataFrame:
    if "event_id" not in interactions.columns:
        interactions = interactions.with_row_index("event_id")
    unusable = pl.col("unusable") if "unusable" in interactions.columns else pl.lit(None, pl.String)
    is_time = interactions.schema["timestamp"].is_temporal()
    time = pl.col("timestamp").dt.epoch("s") if is_time else pl.col("timestamp").cast(pl.Int64, strict=False)
    rows = interactions.select(
        pl.col("event_id").cast(pl.UInt32),
        "user_id",
        "item_id",
        pl.col("rating").cast(pl.Float64, strict=False),
        time.alias("timestamp"),
        unusable.alias("unusable"),
        *([pl.col("part").cast(pl.String)] if "part" in interactions.columns else []),
        *(pl.col(name).cast(pl.Float64, strict=False) for name in interactions.columns if name.startswith("signal_")),
    )
    if rows["event_id"].n_unique() != rows.height:
        raise LogError(f"the interactions of {where} repeat an event_id: expected one per row; leave the column out")
    reason = (
        pl.when(pl.col("user_id").is_null())
        .then(pl.lit("without_user_id"))
        .when(pl.col("item_id").is_null())
        .then(pl.lit("without_item_id"))
        .when(pl.col("rating").is_null())
        .then(pl.lit("without_rating"))
        .when(~pl.col("rating").is_finite())
        .then(pl.lit("rating_not_finite"))
        .when(pl.col("unusable").is_not_null())
        .then(pl.col("unusable"))
        .when(pl.col("timestamp").is_null() | ~pl.col("timestamp").is_between(0, LATEST_TIMESTAMP))
        .then(pl.lit("bad_timestamp"))
        .when(~pl.col("item_id").is_in(items["item_id"].implode()))
        .then(pl.lit("item_not_in_catalogue"))
    )
    reasons = rows.select(reason.alias("reason"))["reason"]
    found = dict(reasons.drop_nulls().value_counts().sort("reason").iter_rows())
    # Without bad rows there is nothing to copy, which counts with many millions of them.
    kept = (rows.filter(reasons.is_null()) if found else rows).drop("unusable")
    del reasons
    if kept.is_empty():
        why = ", ".join(f"{name} {count}" for name, count in found.items()) or "the table is empty"
        raise LogError(
            f"{where} has no usable interaction among {rows.height} rows ({why}): expected ids, finite ratings, "
            f"timestamps in whole seconds since 1970, and items that the catalogue holds{_remedy(found, rows, items)}"
        )
    counts["rows"] = rows.height
    counts |= {f"dropped_{name}": int(count) for name, count in found.items()}
    counts["kept_repeated_pairs"] = kept.height - _pairs(kept)
    return kept


def _remedy(found: dict[str, int], rows: pl.DataFrame, items: pl.DataFrame) -> str:
    """What may help where no row can be used."""
    worst = max(found, key=lambda name: found[name], default="")
    if worst in ("zero_timestamp", "bad_timestamp"):
        return (
            ". If the log has no times, set columns.timestamp to '-' (the order is then drawn) or "
            "columns.row_order_as_time (the rows are in the order in which things happened)"
        )
    if worst == "item_not_in_catalogue":
        one, other = rows["item_id"].drop_nulls().first(), items["item_id"].drop_nulls().first()
        return f". The interactions have items such as {one!r}, the catalogue such as {other!r}: is it the same column?"
    return ""


def _pairs(rows: pl.DataFrame) -> int:
    """How many pairs of user and item there are; user by user, which needs less memory than one set of all pairs."""
    items = rows.lazy().group_by("user_id").agg(pl.col("item_id").n_unique())
    return int(items.select(pl.col("item_id").sum()).collect(engine="streaming").item())
