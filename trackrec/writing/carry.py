"""Whose text is still good: rows of an earlier version that a new one takes over."""

from __future__ import annotations

import polars as pl

from trackrec.data.refresh import RefreshSettings, list_refresh

_EVENT = ("item_id", "rating", "timestamp")


def unchanged_rows(
    base: pl.DataFrame, histories: pl.DataFrame, newest: int, started: int, settings: RefreshSettings
) -> pl.DataFrame:
    """The rows of an earlier version of a shard that stay as they are.

    A row stays if its user is still in the log, the text has not expired, no event is gone from within the history, and
    what is new is not enough (see ``list_refresh``).

    Args:
        base: the shard as it was.
        histories: the shard's histories as they are now.
        newest: the newest time in the log, in seconds.
        started: when this job began, in seconds.
        settings: how much is enough.
    """
    old = base.select("user_id", pl.col("history").alias("event")).explode("event", empty_as_null=False)
    old = _with_ids(old.unnest("event").drop("number"))
    now = _with_ids(histories.select("user_id", *_EVENT))
    users = now["user_id"].unique()
    listed = list_refresh(old, now, base["user_id"], users, newest, settings)
    begins = now.group_by("user_id").agg(pl.col("timestamp").min().alias("begin"))
    gone = old.join(now, on=["user_id", "event_id"], how="anti").join(begins, on="user_id")
    gone = gone.filter(pl.col("timestamp") > pl.col("begin"))
    # At the time where a history begins, an event may be gone because newer ones pushed it out: only if some are new.
    fresh = now.join(old, on=["user_id", "event_id"], how="anti")
    shorter = old.join(now, on=["user_id", "event_id"], how="anti").join(fresh, on="user_id", how="anti")
    changed = pl.concat([listed["user_id"], gone["user_id"], shorter["user_id"]]).unique()
    still = pl.col("user_id").is_in(users.implode()) & ~pl.col("user_id").is_in(changed.implode())
    return base.filter(still & (pl.col("expires").is_null() | (pl.col("expires") > started)))


def _with_ids(events: pl.DataFrame) -> pl.DataFrame:
    """With an ``event_id`` that the same event has in both tables; of several alike, each has its own."""
    turn = pl.int_range(pl.len()).over("user_id", *_EVENT)
    return events.with_columns(pl.struct(*_EVENT, turn.alias("turn")).hash(seed=7).alias("event_id"))
