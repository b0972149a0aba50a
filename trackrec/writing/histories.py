"""The histories of one shard: each user's newest events up to now, labelled, and who has none that can be used."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import polars as pl

from trackrec.data.feedback import FeedbackSettings, label_events
from trackrec.data.interactions import without_repeated
from trackrec.data.log import Log
from trackrec.data.tabular import TablesSettings
from trackrec.errors import LogError
from trackrec.writing.run_view import EXPECTED

AFTER = "after_now"
"""Why an event is left out that the job's clock has not come to."""
NOTHING = "no_usable_event"
"""Why a user gets no text whose rows are all left out; the first row's own reason follows."""


@dataclass(frozen=True)
class ShardHistories:
    """What a shard's rows come to."""

    histories: pl.DataFrame
    """``user_id, position`` Int32 ``, item_id, rating, timestamp, label`` Int8 and, where known, ``expected``; by user,
    oldest first; at most ``max_history`` events a user, the newest."""
    users: pl.DataFrame
    """``user_id, events`` Int32 (usable ones in the log) ``, last_event`` Int64 (s)."""
    rejected: pl.DataFrame
    """``user_id, reason``: users of whom no row can be used."""
    counts: dict[str, int]
    """Rows, and those left out by reason."""


def histories_of(
    rows: pl.DataFrame,
    items: pl.DataFrame,
    feedback: FeedbackSettings,
    like_threshold: float,
    max_history: int,
    tables: TablesSettings,
    now: int,
) -> ShardHistories:
    """Make a shard's histories.

    Args:
        rows: ``user_id, item_id, rating, timestamp, unusable`` in the log's order, all rows of each user.
        items: the catalogue, with ``expected`` where it is known.
        feedback: what counts as a like.
        like_threshold: likewise.
        max_history: most events of a history.
        tables: whether repeated rows count.
        now: events after this second are left out.
    """
    rows = rows.with_row_index("event_id")
    late = pl.when(pl.col("timestamp") > now).then(pl.lit(AFTER))
    rows = without_repeated(rows.with_columns(pl.coalesce("unusable", late).alias("unusable")), tables)
    known = rows.filter(pl.col("user_id").is_not_null())
    plain = items.select("item_id", "title")
    logger, level = logging.getLogger("trackrec.data"), logging.getLogger("trackrec.data").level
    logger.setLevel(logging.ERROR)  # what is left out is counted, and told once for all shards
    try:
        checked = Log.checked(rows, plain, where="the shard")
        used, counts = checked.interactions, checked.counts
    except LogError:
        used, counts = None, {"rows": rows.height}
    finally:
        logger.setLevel(level)
    if used is None:
        empty = rows.clear().select("user_id", "item_id", "rating", "timestamp", "event_id")
        used = empty.with_columns(pl.col("rating").cast(pl.Float64), pl.col("timestamp").cast(pl.Int64))
    ordered = used.sort("user_id", "timestamp", "event_id")
    ordered = ordered.with_columns(
        pl.len().over("user_id").cast(pl.Int32).alias("events"), pl.int_range(pl.len()).over("user_id").alias("place")
    )
    first = (pl.col("events") - max_history).clip(0)
    newest = ordered.filter(pl.col("place") >= first)
    told = newest.select(
        "user_id", (pl.col("place") - first).cast(pl.Int32).alias("position"), "item_id", "rating", "timestamp"
    )
    labelled = label_events(told, told, feedback, like_threshold)
    if EXPECTED in items.columns:
        labelled = labelled.join(items.select("item_id", EXPECTED), on="item_id", how="left", maintain_order="left")
    users = ordered.group_by("user_id", maintain_order=True).agg(
        pl.col("events").first(), pl.col("timestamp").max().alias("last_event")
    )
    return ShardHistories(labelled, users, _without_events(known, users), counts)


def _without_events(rows: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    left = rows.join(users.select("user_id"), on="user_id", how="anti")
    each = left.group_by("user_id").agg(pl.col("unusable").drop_nulls().first().alias("why")).sort("user_id")
    told = pl.concat_str(pl.lit(NOTHING), pl.lit(": ") + pl.col("why"), ignore_nulls=True)
    return each.select("user_id", told.alias("reason"))
