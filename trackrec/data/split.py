"""The split within each user: a history to write from, and examples after it to predict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import Field, model_validator

from trackrec.data.feedback import FeedbackSettings, label_events
from trackrec.data.log import Log
from trackrec.data.roles import NO_FOLD, Role, RoleSettings, assign_roles
from trackrec.errors import LogError
from trackrec.settings import LATER, Settings


def count_cold_start(interactions: pl.DataFrame, histories: pl.DataFrame, examples: pl.DataFrame) -> dict[str, int]:
    """How much of a split no history, or no earlier interaction of anybody, can help with.

    Args:
        interactions: ``Log.interactions``.
        histories: ``Split.histories``.
        examples: ``Split.examples``.

    Returns:
        ``cold_users``: users of the log without a history. ``cold_items``: items of examples that nobody had touched
        strictly before the example's time; ``examples_of_cold_items``: how many such examples there are.
    """
    first = interactions.group_by("item_id").agg(pl.col("timestamp").min().alias("first"))
    cold = examples.select("item_id", "timestamp").join(first, on="item_id", how="left")
    cold = cold.filter(pl.col("first").is_null() | (pl.col("first") >= pl.col("timestamp")))
    return {
        "cold_users": interactions["user_id"].n_unique() - histories["user_id"].n_unique(),
        "cold_items": cold["item_id"].n_unique(),
        "examples_of_cold_items": cold.height,
    }


__all__ = ["NO_FOLD", "Role", "RoleSettings", "Split", "SplitSettings", "assign_roles", "split_log"]

_RECENT = {"recent_event_ids": "event_id", "recent_item_ids": "item_id", "recent_ratings": "rating"}
_PARTS = {"history": False, "train": False, "example": True, "test": True}
"""What the column ``part`` may say of an interaction (in any case), and whether that makes it an example."""
DRAWN = "times_drawn_since_the_log_has_none"
"""A count of logs whose order is drawn."""
_AT_RANDOM = {"random": "kar", "leave_k_out": "leave_last"}
_EXAMPLE_COLUMNS = ("user_id", "event_id", "item_id", "rating", "timestamp", "label", *_RECENT)


class SplitSettings(Settings):
    """How a user's interactions are cut into history and examples."""

    kind: Literal["kar", "temporal", "leave_last", "column", "random", "leave_k_out"] = "kar"
    """kar: each user's first half is the history. temporal: what lies before one moment, the same for everybody.
    leave_last: each user's last ``last_events`` are the examples. column: the interactions' column ``part`` says it
    (history or train, example or test). random and leave_k_out: kar and leave_last for logs without times, whose order
    is drawn (``columns.timestamp: "-"``)."""
    like_threshold: float = Field(default=4.0, ge=-1e6)
    """A rating of at least this is a like (label 1): 4 on MovieLens, 5 on Amazon Books. ``feedback`` has other ways."""
    max_history: int = Field(default=30, ge=1)
    """The most interactions that a history holds."""
    min_history: int = Field(default=5, ge=1)
    """The fewest; users with fewer before their examples are left out and counted."""
    recent: int = Field(default=10, ge=0)
    """How many interactions before an example a recommender sees as the user's recent behaviour."""
    temporal_quantile: float = Field(default=0.8, gt=0, lt=1)
    """temporal alone: the share of all interactions that lies before the cut-off."""
    last_events: int = Field(default=1, ge=1)
    """leave_last alone: how many of a user's interactions, the last ones in time, are examples."""
    new_items: Annotated[float, LATER] = Field(default=0.0, ge=0, lt=1)
    """Share of the catalogue, drawn by a hash of seed and item, that counts as never seen before: nobody's history, no
    count and no training example holds these items, and figures on them stand beside those on all items."""

    @model_validator(mode="after")
    def _ordered(self) -> SplitSettings:
        if self.min_history > self.max_history:
            raise ValueError(f"min_history is {self.min_history}, expected at most max_history ({self.max_history})")
        return self


@dataclass(frozen=True)
class Split:
    """Histories and examples of the users that can have both."""

    histories: pl.DataFrame
    """``user_id, position`` Int32 (0 is the oldest) ``, event_id, item_id, rating, timestamp, label`` Int8."""
    examples: pl.DataFrame
    """``user_id, event_id, item_id, rating, timestamp, label`` Int8 ``, recent_event_ids, recent_item_ids,
    recent_ratings``: lists of equal length, oldest first, of the user's last interactions before the example's time.
    With sampled negatives (``add_negatives``) also ``sampled`` Boolean: true where nobody interacted."""
    counts: dict[str, int] = field(default_factory=dict)
    """Users and rows kept, and users left out by reason (``dropped_...``). leave_last and column also count
    ``left_out_not_before_examples`` (rows of kept users that are no example and that no history may hold, since they
    are not strictly before all of the user's examples) and what is cold (``count_cold_start``)."""
    cutoff: int | None = None
    """temporal: the time (seconds) from which on all is future, for everybody's data. Other kinds: None."""

    @property
    def users(self) -> pl.Series:
        """The ids of the split's users, sorted."""
        return self.histories["user_id"].unique().sort()


def split_log(
    log: Log, settings: SplitSettings, feedback: FeedbackSettings | None = None, cutoff: int | None = None
) -> Split:
    """Cut each user's interactions, sorted by time (ties by event_id), into a history and examples.

    kar: the boundary lies after the first half, or after ``max_history`` interactions if that is earlier. "Before" is
    strict: if the boundary falls among interactions of one time, it moves back to the last change of time, or, if that
    leaves fewer than ``min_history``, on to the next one. The history is the last ``max_history`` interactions before
    the boundary; all after it are examples. Users without such a boundary are left out and counted.

    temporal: the same with one boundary in time for all users, the ``temporal_quantile`` of all timestamps.

    leave_last: the last ``last_events`` interactions are the examples, the history comes from those strictly before
    the first of them in time.

    column: examples are the rows whose ``part`` says example or test, the history comes from those that it calls
    history or train and that lie strictly before the user's first example in time.

    In every kind the ``recent_...`` lists are taken from all of the user's interactions strictly before the example's
    time, other examples among them.

    Args:
        log: what people did.
        settings: how it is cut.
        feedback: what counts as a like; None: a rating of ``settings.like_threshold``. Under ``implicit`` all are
            likes (but see ``like_weight``); ``trackrec.data.feedback.add_negatives`` adds the others.
        cutoff: temporal alone: the moment, where ``log`` is a part of a log; None: found from the log.

    Raises:
        LogError: no user is left; or the kind is column, and ``part`` is missing or says something else.

    Source:
        Xi et al., "Towards Open-World Recommendation with Knowledge Augmentation from Large Language Models" (KAR),
        section on datasets; there without the strictness in time.
    """
    settings = _without_times(settings, log)
    events = _with_places(log.interactions.sort("user_id", "timestamp", "event_id"))
    counts = {"users_in_log": events["user_id"].n_unique()}
    if settings.kind == "kar":
        events = events.with_columns(_kar_boundary(settings).alias("boundary"))
        counts["dropped_without_boundary"] = events.filter(pl.col("boundary").is_null())["user_id"].n_unique()
        events = _cut_at_boundary(events)
    elif settings.kind == "temporal":
        if cutoff is None:
            quantile = events["timestamp"].quantile(settings.temporal_quantile, interpolation="higher")
            assert quantile is not None, "a checked log is never empty"
            cutoff = int(quantile)
        before = (pl.col("timestamp") < cutoff).sum().over("user_id").cast(pl.Int64)
        events = _cut_at_boundary(events.with_columns(before.alias("boundary")))
    elif settings.kind == "leave_last":
        last = pl.col("place") >= pl.col("length") - settings.last_events
        events = _cut_before_examples(events.with_columns(last.alias("example"), pl.lit(True).alias("may_be_past")))
    else:
        events = _cut_before_examples(_marked_by_part(events))
    past, any_example = pl.col("past").sum().over("user_id"), pl.col("example").any().over("user_id")
    if settings.kind != "kar":
        short = past < settings.min_history
        users = events.select("user_id", short.alias("short"), (~short & ~any_example).alias("bare")).unique("user_id")
        counts["dropped_short_history"] = int(users["short"].sum())
        counts["dropped_without_examples"] = int(users["bare"].sum())
    events = events.filter((past >= settings.min_history) & any_example)
    if events.is_empty():
        raise LogError(
            f"the split leaves none of {counts['users_in_log']} users: expected users with at least "
            f"{settings.min_history} interactions and a later one after them in time; lower min_history or change kind"
        )
    newest = pl.col("past").cum_sum(reverse=True).over("user_id") <= settings.max_history
    histories = events.filter(pl.col("past") & newest).select(
        "user_id",
        pl.int_range(pl.len(), dtype=pl.Int32).over("user_id").alias("position"),
        "event_id",
        "item_id",
        "rating",
        "timestamp",
    )
    feedback = feedback or FeedbackSettings()
    examples = _examples_with_recent(events, settings.recent)
    examples = label_events(examples, histories, feedback, settings.like_threshold).select(*_EXAMPLE_COLUMNS)
    histories = label_events(histories, histories, feedback, settings.like_threshold)
    counts |= {"users": histories["user_id"].n_unique(), "histories": histories.height, "examples": examples.height}
    if settings.kind in ("leave_last", "column"):
        counts["left_out_not_before_examples"] = events.filter(~pl.col("past") & ~pl.col("example")).height
        counts |= count_cold_start(log.interactions, histories, examples)
    return Split(
        histories=histories, examples=examples, counts=counts, cutoff=cutoff if settings.kind == "temporal" else None
    )


def _without_times(settings: SplitSettings, log: Log) -> SplitSettings:
    """The kinds that need no time, as the ones that they are on a drawn order."""
    drawn = DRAWN in log.counts
    if settings.kind == "temporal" and drawn:
        raise LogError(
            "the log has no times, so that nothing lies before a moment: expected split.kind random or leave_k_out"
        )
    if settings.kind not in _AT_RANDOM:
        return settings
    if not drawn:
        raise LogError(
            f"split.kind is {settings.kind}, but the log has times: histories would hold what came after examples. "
            "Expected kar, temporal or leave_last; or columns.timestamp '-', if the times mean nothing"
        )
    return settings.model_copy(update={"kind": _AT_RANDOM[settings.kind]})


def _with_places(events: pl.DataFrame) -> pl.DataFrame:
    """Adds ``place`` (among the user's events) ``, length`` (how many these are) and ``first_of_time`` (the place of
    the first one at the same time), Int64. The events are sorted by user and time; the runs are found in one pass.
    """
    row = np.arange(events.height)
    new_user = events.select((pl.col("user_id") != pl.col("user_id").shift()).fill_null(True)).to_series().to_numpy()
    new_time = new_user | (np.diff(events["timestamp"].to_numpy(), prepend=0) != 0)
    begin = np.maximum.accumulate(np.where(new_user, row, 0))
    first = np.maximum.accumulate(np.where(new_time, row, 0))
    sizes = np.diff(np.append(np.flatnonzero(new_user), events.height))
    return events.with_columns(
        pl.Series("place", row - begin),
        pl.Series("length", np.repeat(sizes, sizes)),
        pl.Series("first_of_time", first - begin),
    )


def _cut_at_boundary(events: pl.DataFrame) -> pl.DataFrame:
    """Adds ``past`` and ``example``: before and from the user's ``boundary`` on; neither where that is null."""
    before = (pl.col("place") < pl.col("boundary")).fill_null(False)
    return events.with_columns(before.alias("past"), (~before & pl.col("boundary").is_not_null()).alias("example"))


def _cut_before_examples(events: pl.DataFrame) -> pl.DataFrame:
    """Adds ``past``: rows that may be it and lie strictly before the user's first example in time."""
    first = pl.when("example").then("timestamp").min().over("user_id")
    # Without any example all of it is past: the user is then counted as one without examples.
    before = (pl.col("timestamp") < first).fill_null(True)
    return events.with_columns((pl.col("may_be_past") & ~pl.col("example") & before).alias("past"))


def _marked_by_part(events: pl.DataFrame) -> pl.DataFrame:
    """Adds ``example`` and ``may_be_past`` by what the column ``part`` says."""
    if "part" not in events.columns:
        raise LogError(
            f"split.kind is column, but the interactions have no column part (found {', '.join(events.columns[:5])}): "
            f"expected one that says {', '.join(_PARTS)}; map it, or choose another kind of split"
        )
    said = pl.col("part").str.strip_chars().str.to_lowercase()
    strange = events.filter(~said.is_in(list(_PARTS)) | said.is_null())
    if strange.height:
        found = strange["part"].unique().sort()
        raise LogError(
            f"the column part of {strange.height} interactions says {', '.join(repr(value) for value in found[:5])} "
            f"(first: event {strange['event_id'][0]}): expected {', '.join(_PARTS)}; rename or leave out these rows"
        )
    example = said.is_in([name for name, is_example in _PARTS.items() if is_example])
    return events.with_columns(example.alias("example"), (~example).alias("may_be_past"))


def _kar_boundary(settings: SplitSettings) -> pl.Expr:
    """How many of the user's interactions lie before the boundary; null if there is no usable one.

    A boundary before the interaction at place p is usable if that one is the first of its time.
    """
    usable = (pl.col("place") == pl.col("first_of_time")) & (pl.col("place") >= settings.min_history)
    wanted = pl.min_horizontal(pl.col("length") // 2, pl.lit(settings.max_history, pl.Int64))
    back = pl.when(usable & (pl.col("place") <= wanted)).then("place").max().over("user_id")
    onward = pl.when(usable & (pl.col("place") > wanted)).then("place").min().over("user_id")
    return pl.coalesce(back, onward)


def _examples_with_recent(events: pl.DataFrame, recent: int) -> pl.DataFrame:
    """The examples with the lists of the user's last ``recent`` interactions strictly before each one's time.

    In the sorted table these are neighbours, so one gather serves all rows: linear in time and memory.
    """
    row = np.flatnonzero(events["example"].to_numpy())
    examples = events[row]
    first = examples["first_of_time"].to_numpy()
    end = row - (examples["place"].to_numpy() - first)
    length = np.minimum(first, recent)
    offsets = np.concatenate([[0], np.cumsum(length)])
    small = np.int32 if max(offsets[-1], events.height) < 2**31 else np.int64  # half the memory, where they fit
    gather = np.arange(offsets[-1], dtype=small)
    gather += np.repeat((end - length - offsets[:-1]).astype(small), length)
    places = pl.Series(gather).cast(pl.UInt32 if small is np.int32 else pl.UInt64)
    bounds = pl.Series(offsets).to_arrow()  # pa.array would import pandas first, which takes a second
    lists = []
    for name, source in _RECENT.items():
        values = events[source].gather(places).to_arrow()
        lists.append(pl.Series(name, pa.LargeListArray.from_arrays(bounds, values)))
    return examples.with_columns(lists)
