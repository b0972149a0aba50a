"""New interactions: joined to a known log, the histories that come of it, and whose text is then out of date."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
from pydantic import Field

from trackrec.data.feedback import FeedbackSettings
from trackrec.data.filters import FilterSettings, filter_log
from trackrec.data.log import Log
from trackrec.data.split import SplitSettings, split_log
from trackrec.errors import LogError
from trackrec.settings import Settings

_ROW = ("user_id", "item_id", "rating", "timestamp")


def grow_log(log: Log, new: Log) -> tuple[Log, pl.Series]:
    """The log with new interactions after its own.

    New rows that the log holds already (the same user, item, rating and time: exports overlap) are left out and
    counted; rows that repeat within the new ones stay, as they do in any log. Items that only the new log knows join
    the catalogue; of the others the known description stays.

    Returns:
        The log, with ``event_id`` going on where it ended, and the users of whom there are new interactions, sorted.

    Raises:
        LogError: ids are numbers in one and text in the other.
    """
    known, rows = log.interactions, _same_ids(new.interactions, log.interactions)
    fresh = rows.sort("event_id").join(known.select(_ROW).unique(), on=_ROW, how="anti", maintain_order="left")
    first = int(known["event_id"].max()) + 1  # type: ignore[arg-type]
    fresh = fresh.with_columns((pl.int_range(pl.len()) + first).cast(pl.UInt32).alias("event_id"))
    items = _same_ids(new.items, log.items).join(log.items.select("item_id"), on="item_id", how="anti")
    counts = log.counts | {"new_rows": rows.height, "new_rows_known_before": rows.height - fresh.height}
    whole = replace(
        log,
        interactions=pl.concat([known, fresh], how="diagonal"),
        items=pl.concat([log.items, items], how="diagonal_relaxed"),
        counts=counts | {"interactions": known.height + fresh.height, "new_items": items.height},
    )
    return whole, fresh["user_id"].unique().sort()


def histories_after(
    log: Log, touched: pl.Series, before: pl.DataFrame, split: SplitSettings, feedback: FeedbackSettings,
    filters: FilterSettings,
) -> pl.DataFrame:  # fmt: skip
    """The histories of a grown log: those of touched users made anew, those of all others as they were.

    A user's history depends on that user's interactions alone, unless the split has one moment for everybody
    (temporal) or a core is asked for, which others' interactions can open: then all are made anew.

    Args:
        log: the grown log, not filtered.
        touched: users of whom there are new interactions.
        before: all histories of the log as it was before.
        split: how histories are cut.
        feedback: what counts as a like.
        filters: which part of the log is used.
    """
    if touched.is_empty():
        return before.sort("user_id", "position")
    of_all = split.kind == "temporal" or max(filters.user_core, filters.item_core) > 1
    mine = log if of_all else replace(log, interactions=log.interactions.filter(_among(touched)))
    rest = before.clear() if of_all else before.filter(~_among(touched))
    try:
        kept = filter_log(mine, filters)
        anew = split_log(kept, split.model_copy(update={"recent": 0}), feedback).histories
    except LogError:  # none of these users has a history; that of all would have been an error before
        anew = before.clear()
    return pl.concat([rest, anew.select(before.columns)]).sort("user_id", "position")


def _among(users: pl.Series) -> pl.Expr:
    return pl.col("user_id").is_in(users.implode())


def _same_ids(table: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Ids in the known type; numbers become text where the log has text."""
    for column in ("user_id", "item_id"):
        if column not in table.columns or column not in known.columns or table.schema[column] == known.schema[column]:
            continue
        if known.schema[column] != pl.String:
            raise LogError(
                f"the new interactions hold {column} as text (such as {table[column][0]!r}), but the log as whole "
                "numbers: expected the same ids in both"
            )
        table = table.with_columns(pl.col(column).cast(pl.String))
    return table


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
