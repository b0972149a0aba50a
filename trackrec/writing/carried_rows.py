"""Whose text is still good: users whose rows in an earlier version a new one takes over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from trackrec.data.log_updates import RefreshSettings, list_refresh
from trackrec.writing.place import Place
from trackrec.writing.shard_file import known_part, read_shard
from trackrec.writing.version_plan import VersionPlan

NEEDED = ["user_id", "history", "expires"]
"""The columns of an earlier version's shard that tell whose row stays; vectors, which are most of it, do not."""

SENTENCE_COUNTS = "sentences_"
"""What a shard's counts of sentences by their verdict begin with."""

_EVENT = ("item_id", "rating", "timestamp")


@dataclass(frozen=True)
class CarriedRows:
    """What of a shard is taken over from the version before."""

    users: pl.DataFrame
    """``user_id`` of those whose rows stay."""
    is_all: bool = False
    """Whether these are all rows that there were."""
    counts: dict[str, int] = field(default_factory=dict)
    """Characters and sentences of the shard as it was."""
    version: str = ""
    """The version before."""
    shard: dict[str, Any] = field(default_factory=dict)
    """What it says of the shard."""

    @classmethod
    def find(cls, place: Place, plan: VersionPlan, name: str, histories: pl.DataFrame, newest: int) -> CarriedRows:
        """What stays of a shard; nothing, if the plan takes over from no version.

        Args:
            place, plan: of the version in the making.
            name: of the shard.
            histories: the shard's histories as they are now.
            newest: the newest time in the log, in seconds.
        """
        if plan.base is None:
            return cls(histories.clear().select("user_id"))
        before = known_part(place, plan.base, name)
        base = read_shard(place, plan.base, before, NEEDED)
        users = unchanged_users(base, histories, newest, plan.started, plan.settings.refresh)
        counts = {key: n for key, n in before["counts"].items() if key.startswith(("characters", SENTENCE_COUNTS))}
        return cls(users, users.height == base.height, counts, plan.base, before)

    def rows(self, place: Place, schema: pl.Schema) -> pl.DataFrame:
        """The rows that stay."""
        if self.users.is_empty():
            return pl.DataFrame(schema=schema)
        rows = read_shard(place, self.version, self.shard)
        return rows.join(self.users, on="user_id", how="semi", maintain_order="left").cast(schema)


def unchanged_users(
    base: pl.DataFrame, histories: pl.DataFrame, newest: int, started: int, settings: RefreshSettings
) -> pl.DataFrame:
    """The users whose rows in an earlier version of a shard stay as they are.

    A row stays if its user is still in the log, the text has not expired, no event is gone from within the history, and
    what is new is not enough (see ``list_refresh``).

    Args:
        base: the shard as it was: the columns ``NEEDED``.
        histories: the shard's histories as they are now.
        newest: the newest time in the log, in seconds.
        started: when this job began, in seconds.
        settings: how much is enough.

    Returns:
        ``user_id``.
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
    return base.filter(still & (pl.col("expires").is_null() | (pl.col("expires") > started))).select("user_id")


def _with_ids(events: pl.DataFrame) -> pl.DataFrame:
    """With an ``event_id`` that the same event has in both tables; of several alike, each has its own."""
    turn = pl.int_range(pl.len()).over("user_id", *_EVENT)
    return events.with_columns(pl.struct(*_EVENT, turn.alias("turn")).hash(seed=7).alias("event_id"))
