"""No feature knows its target's time or later: whatever happens then may change, and the features stay as they were."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import patch

import polars as pl
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from trackrec.data.log import Log
from trackrec.errors import TrackRecError
from trackrec.pipeline import dataset
from trackrec.pipeline.dataset import Dataset, prepare
from trackrec.progress import Reporter
from trackrec.rankers.examples import ItemTable, RatingScale, build_examples
from trackrec.recipe import make_recipe
from trackrec.run import Run

ITEMS = pl.DataFrame({"item_id": range(8), "title": [f"T{item}" for item in range(8)]})
USERS = range(8)
FEATURES = ("item_id", "recent_event_ids", "recent_item_ids", "recent_ratings", "raters", "likes")
SCALE = RatingScale.fit(pl.Series([1.0, 2.0, 3.0, 4.0, 5.0]))

event = st.tuples(st.integers(0, 7), st.integers(1, 5))
"""An item and a rating; users and times are laid out so that few logs are too small for all roles."""
logs = st.lists(
    st.lists(st.tuples(event, st.sampled_from([0, 0, 1, 1, 2])), min_size=6, max_size=8),
    min_size=len(USERS),
    max_size=len(USERS),
)


def log_of(people: list[list[tuple[tuple[int, int], int]]]) -> Log:
    """Each user's events with the pauses between them; a pause of 0 is a burst."""
    rows = []
    for user, events in enumerate(people):
        time = user % 3
        for place, ((item, rating), pause) in enumerate(events):
            time += pause
            rows.append((user, item, float(rating), time, "train" if place < len(events) // 2 else "test"))
    names = ["user_id", "item_id", "rating", "timestamp", "part"]
    return Log.checked(pl.DataFrame(rows, schema=names, orient="row"), ITEMS, where="a random log")


def changed(log: Log, since: int, user: int | None) -> Log:
    """The log with other ratings from a moment on, and other items after it, of one user or of everybody.

    The times stay, and so do the items of that very moment: the features of a target are those of its item.
    """
    mine = pl.lit(True) if user is None else pl.col("user_id") == user
    rows = log.interactions.with_columns(
        item_id=pl.when(mine & (pl.col("timestamp") > since)).then((pl.col("item_id") + 3) % 8).otherwise("item_id"),
        rating=pl.when(mine & (pl.col("timestamp") >= since)).then(6.0 - pl.col("rating")).otherwise("rating"),
    )
    return Log.checked(rows, ITEMS, where="a changed log")


def make_world(log: Log, kind: str) -> Dataset:
    recipe = make_recipe(
        {
            "roles": {"lm_users": 3, "lm_extra_users": 1, "lm_validation_users": 0, "ranker_folds": 2},
            "split": {"kind": kind, "min_history": 2, "max_history": 4, "recent": 3, "last_events": 2},
        }
    )
    with tempfile.TemporaryDirectory() as folder, patch.object(dataset, "read_log", lambda source: log):
        return prepare(recipe, Run(Path(folder), Reporter(), 17))


def tensors_of(examples: pl.DataFrame, items: ItemTable) -> dict[str, torch.Tensor]:
    """What a ranker is given, but for the label."""
    made = build_examples(examples, items, SCALE, recent=3, like_share=0.6)
    return {name: getattr(made, name) for name in ("item", "recent", "rating", "seen", "dense")}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(people=logs, kind=st.sampled_from(["kar", "temporal", "leave_last", "column"]), data=st.data())
def test_what_happens_from_a_targets_time_on_changes_none_of_its_features(
    people: list[list[tuple[tuple[int, int], int]]], kind: str, data: st.DataObject
) -> None:
    log = log_of(people)
    try:
        before = make_world(log, kind)
    except TrackRecError:  # too few users have a history and examples
        assume(False)
    target = before.examples.row(data.draw(st.integers(0, before.examples.height - 1)), named=True)
    since, user = target["timestamp"], target["user_id"]
    # Under temporal nothing of anybody, else nothing of the target's own user.
    other = changed(log, since, None if kind == "temporal" else user)
    after = make_world(other, kind)
    mine = pl.lit(True) if kind == "temporal" else pl.col("user_id") == user
    asked = mine & (pl.col("timestamp") <= since)
    old, new = (made.examples.filter(asked) for made in (before, after))
    assert target["event_id"] in old["event_id"]
    assert old["event_id"].to_list() == new["event_id"].to_list()
    assert old.select(FEATURES).equals(new.select(FEATURES))
    items = ItemTable.from_catalogue(before.items)
    tensors, others = tensors_of(old, items), tensors_of(new, items)
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
    histories = ("user_id", "position", "event_id", "item_id", "rating", "timestamp", "label", "expected")
    past = [made.histories.filter(mine).select(histories) for made in (before, after)]
    assert past[0].equals(past[1])
