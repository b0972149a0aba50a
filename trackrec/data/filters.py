"""Which part of a log is used: a window of dates, how active users are, and the k-core of users and items."""

from __future__ import annotations

import datetime
import logging
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from trackrec.data.log import Log
from trackrec.errors import LogError
from trackrec.settings import Settings

logger = logging.getLogger("trackrec.data")

FILTERS = ("dates", "activity", "core")
"""The filters, in the order in which they are applied."""


class FilterSettings(Settings):
    """What of the log is used. The filters come after the join with the catalogue: dates, activity, then the core."""

    since: datetime.date | None = None
    """The first day (UTC) whose interactions count. Empty: from the beginning."""
    until: datetime.date | None = None
    """The day (UTC) from which on interactions no longer count. Empty: to the end."""
    min_events: int = Field(default=0, ge=0)
    """Fewest interactions of a user within the dates; users with fewer are left out."""
    max_events: int | None = Field(default=None, ge=1)
    """Most interactions of a user within the dates; users with more (shared accounts, machines) are left out."""
    user_core: int = Field(default=0, ge=0)
    """Every user keeps at least so many different items. Users and items below go until none is left to go."""
    item_core: int = Field(default=0, ge=0)
    """Every item keeps at least so many different users, together with ``user_core``."""

    @model_validator(mode="after")
    def _possible(self) -> FilterSettings:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError(f"since is {self.since}, expected a day before until ({self.until})")
        if self.max_events is not None and self.min_events > self.max_events:
            raise ValueError(f"min_events is {self.min_events}, expected at most max_events ({self.max_events})")
        return self


def filter_log(log: Log, settings: FilterSettings) -> Log:
    """The part of a log that the settings keep, with counts of what each filter removed.

    Rows keep their order and their ``event_id``. If any filter is set, ``items`` and ``users`` keep those that have an
    interaction left; otherwise the log comes back as it is.

    Returns:
        A log whose ``counts`` hold, for each filter that is set, ``dropped_rows_by_...``, ``dropped_users_by_...`` and
        ``dropped_items_by_...`` (``dates``, ``activity``, ``core``), and the new numbers of interactions, users and
        items; the other counts stay those of reading.

    Raises:
        LogError: no interaction is left; the message names the filter after which none was.
    """
    steps = {
        "dates": (settings.since, settings.until) != (None, None),
        "activity": settings.min_events > 1 or settings.max_events is not None,
        "core": max(settings.user_core, settings.item_core) > 1,
    }
    if not any(steps.values()):
        return log
    rows, counts = log.interactions, dict(log.counts)
    for name in FILTERS:
        if not steps[name]:
            continue
        kept = _keep(rows, name, settings)
        counts[f"dropped_rows_by_{name}"] = rows.height - kept.height
        for column, what in (("user_id", "users"), ("item_id", "items")):
            counts[f"dropped_{what}_by_{name}"] = rows[column].n_unique() - kept[column].n_unique()
        if kept.is_empty():
            raise LogError(_nothing_left(rows, name, settings))
        rows = kept
    items = log.items.join(rows.select("item_id").unique(), on="item_id", how="semi", maintain_order="left")
    users = log.users.join(rows.select("user_id").unique(), on="user_id", how="semi", maintain_order="left")
    counts |= {"interactions": rows.height, "items": items.height, "users": rows["user_id"].n_unique()}
    logger.info("filters keep %d of %d interactions", rows.height, log.interactions.height)
    return replace(log, interactions=rows, items=items, users=users, counts=counts)


def core_rows(pairs: pl.DataFrame, user_core: int, item_core: int) -> pl.Series:
    """Which rows lie in the core: the largest set in which every user has ``user_core`` different items, and every
    item ``item_core`` different users.

    There is exactly one such set (the union of two is one, too), so the order in which users and items go does not
    matter. A repeated pair counts once.

    Args:
        pairs: ``user_id`` and ``item_id``, one row an interaction.
        user_core: the fewest items of a user.
        item_core: the fewest users of an item.

    Returns:
        Boolean, one value a row.

    Example:
        >>> pairs = pl.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": [8, 9, 8, 9, 9]})
        >>> core_rows(pairs, user_core=2, item_core=2).to_list()
        [True, True, True, True, False]

    Source:
        Batagelj and Zaversnik, "An O(m) Algorithm for Cores Decomposition of Networks"; here for a graph of two sides.
    """
    codes = pairs.select(pl.col("user_id", "item_id").rank("dense").cast(pl.Int64) - 1)
    edges = codes.unique()
    sides = [(edges["user_id"].to_numpy(), user_core), (edges["item_id"].to_numpy(), item_core)]
    degrees = [np.bincount(ends) for ends, _ in sides]
    while len(sides[0][0]):
        low = np.zeros(len(sides[0][0]), dtype=np.bool_)
        for (ends, least), degree in zip(sides, degrees, strict=True):
            low |= degree[ends] < least
        if not low.any():
            break
        # Only what goes is counted in a round; what stays is not counted again.
        degrees = [
            degree - np.bincount(ends[low], minlength=len(degree))
            for (ends, _), degree in zip(sides, degrees, strict=True)
        ]
        sides = [(ends[~low], least) for ends, least in sides]
    inside = [_members(ends, len(degree)) for (ends, _), degree in zip(sides, degrees, strict=True)]
    users, items = (codes[name].to_numpy() for name in ("user_id", "item_id"))
    # An edge goes only with one of its ends, so a pair of two that stayed has stayed itself.
    return pl.Series("kept", inside[0][users] & inside[1][items])


def _members(ends: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    found = np.zeros(size, dtype=np.bool_)
    found[ends] = True
    return found


def _keep(rows: pl.DataFrame, name: str, settings: FilterSettings) -> pl.DataFrame:
    if name == "core":
        return rows.filter(core_rows(rows, settings.user_core, settings.item_core))
    if name == "activity":
        number = pl.len().over("user_id")
        most = rows.height if settings.max_events is None else settings.max_events
        return rows.filter(number.is_between(settings.min_events, most))
    kept = rows
    if settings.since is not None:
        kept = kept.filter(pl.col("timestamp") >= _seconds(settings.since))
    if settings.until is not None:
        kept = kept.filter(pl.col("timestamp") < _seconds(settings.until))
    return kept


def _seconds(day: datetime.date) -> int:
    """The first second of a day in UTC."""
    return (day - datetime.date(1970, 1, 1)).days * 86_400


def _nothing_left(rows: pl.DataFrame, name: str, settings: FilterSettings) -> str:
    """The message when a filter removes all: what was asked for, what there was, what to do."""
    if name == "dates":
        epoch = datetime.datetime(1970, 1, 1)
        ends = [epoch + datetime.timedelta(seconds=int(second)) for second in rows["timestamp"].sort()[[0, -1]]]
        return (
            f"the filters leave no interaction of {rows.height} between {settings.since or 'the beginning'} and "
            f"{settings.until or 'the end'}: expected some within {ends[0]:%Y-%m-%d} to {ends[1]:%Y-%m-%d}; "
            "change filters.since or filters.until"
        )
    if name == "activity":
        events = rows.group_by("user_id").len()["len"].sort()
        wanted = f"at least {settings.min_events}" + (f" and at most {settings.max_events}" * bool(settings.max_events))
        return (
            f"the filters leave none of {len(events)} users: expected some with {wanted} interactions, found users "
            f"with {events[0]} to {events[-1]}; change filters.min_events or filters.max_events"
        )
    return (
        f"the core of {rows['user_id'].n_unique()} users with at least {settings.user_core} items and "
        f"{rows['item_id'].n_unique()} items with at least {settings.item_core} users is empty; "
        "lower filters.user_core or filters.item_core"
    )
