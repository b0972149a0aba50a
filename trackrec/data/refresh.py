"""Whose history changed so much that a text written from the earlier one is out of date."""

from __future__ import annotations

import polars as pl
from pydantic import Field

from trackrec.settings import Settings

_DAY = 86_400

REASONS = ("no_reccot", "new_items", "share", "age")
"""Why a user is listed, the first that holds."""


class RefreshSettings(Settings):
    """How much must have changed. A user whose history is the same is never listed; one condition is enough."""

    new_items: int = Field(default=5, ge=1)
    """So many interactions in the history that were not in it before."""
    share: float = Field(default=0.25, gt=0, le=1)
    """They make up at least this share of the history as it is now."""
    max_age_days: float | None = Field(default=None, ge=0)
    """Days from the newest interaction that the RecCoT was written from to the newest of the whole log; counts only
    where the history changed at all. Null: age does not matter."""
    without_reccot: bool = True
    """Whether users of whom there are new interactions, and who have a history but no RecCoT yet, are listed too."""


def list_refresh(
    before: pl.DataFrame,
    now: pl.DataFrame,
    written: pl.Series,
    touched: pl.Series,
    newest: int,
    settings: RefreshSettings,
) -> pl.DataFrame:
    """The users to write for anew.

    Args:
        before: the histories that the RecCoTs were written from: ``user_id, event_id, timestamp``.
        now: the histories as they are now, with the same ``event_id`` for the same interaction.
        written: users who have a RecCoT.
        touched: users of whom there are new interactions.
        newest: the time of the log's newest interaction, in seconds.
        settings: how much must have changed.

    Returns:
        ``user_id, reason`` (see ``REASONS``) ``, new_items`` Int64 (interactions that were not in the history before)
        ``, share`` Float64 ``, age_days`` Float64 (null without a RecCoT) ``, events`` Int64 (in the history now), by
        user. Users without a history now are not listed: there is nothing to write from.
    """
    old = before.select("user_id", "event_id", known=pl.lit(True))
    current = now.select("user_id", "event_id").join(old, on=["user_id", "event_id"], how="left")
    each = current.group_by("user_id").agg(
        pl.col("known").is_null().sum().cast(pl.Int64).alias("new_items"), pl.len().cast(pl.Int64).alias("events")
    )
    ends = before.group_by("user_id").agg(pl.col("timestamp").max().alias("end"))
    has = pl.col("user_id").is_in(written.implode())
    each = each.join(ends, on="user_id", how="left").with_columns(
        has.alias("has"),
        (pl.col("new_items") / pl.col("events")).alias("share"),
        pl.when(has).then((newest - pl.col("end")) / _DAY).alias("age_days"),
    )
    changed = pl.col("has") & (pl.col("new_items") > 0)
    old_enough = pl.lit(False) if settings.max_age_days is None else pl.col("age_days") >= settings.max_age_days
    missing = pl.lit(settings.without_reccot) & ~pl.col("has") & pl.col("user_id").is_in(touched.implode())
    reason = (
        pl.when(missing).then(pl.lit("no_reccot"))
        .when(changed & (pl.col("new_items") >= settings.new_items)).then(pl.lit("new_items"))
        .when(changed & (pl.col("share") >= settings.share)).then(pl.lit("share"))
        .when(changed & old_enough).then(pl.lit("age"))
    )  # fmt: skip
    listed = each.with_columns(reason.alias("reason")).filter(pl.col("reason").is_not_null())
    return listed.select("user_id", "reason", "new_items", "share", "age_days", "events").sort("user_id")
