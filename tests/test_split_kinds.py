"""The splits by the last events and by a column, and what must hold of every kind of split."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackrec.data.log import Log
from trackrec.data.split import Split, SplitSettings, count_cold_start, split_log
from trackrec.errors import LogError

Event = tuple[str, int, int, str]
"""User, item, time and part."""


def make_log(events: list[Event], part: bool = True) -> Log:
    columns = {"user_id": pl.String, "item_id": pl.Int64, "timestamp": pl.Int64, "part": pl.String}
    table = pl.DataFrame(events, schema=columns, orient="row").with_columns(rating=pl.lit(4.0))
    items = pl.DataFrame({"item_id": list(range(10)), "title": [f"T{i}" for i in range(10)]})
    return Log.checked(table if part else table.drop("part"), items, where="a made-up log")


def events_of(split: Split) -> tuple[list[int], list[int]]:
    return split.histories["event_id"].to_list(), split.examples["event_id"].to_list()


def test_leave_last_takes_exactly_the_last() -> None:
    log = make_log([("u", k, 10 * k, "") for k in range(6)])
    split = split_log(log, SplitSettings(kind="leave_last", min_history=2, max_history=3, last_events=2))
    assert events_of(split) == ([1, 2, 3], [4, 5])
    assert split.histories["position"].to_list() == [0, 1, 2]
    assert split.examples["recent_event_ids"].to_list() == [[0, 1, 2, 3], [0, 1, 2, 3, 4]]


def test_leave_last_in_a_burst_leaves_the_twins_out() -> None:
    """Events 2, 3 and 4 are of one second: 4 is the example, and its twins are in no history."""
    log = make_log([("u", k, time, "") for k, time in enumerate([1, 2, 5, 5, 5])])
    split = split_log(log, SplitSettings(kind="leave_last", min_history=2))
    assert events_of(split) == ([0, 1], [4])
    assert split.examples["recent_event_ids"].to_list() == [[0, 1]]
    assert split.counts["left_out_not_before_examples"] == 2


def test_leave_last_counts_who_is_left_out_and_what_is_cold() -> None:
    log = make_log([("u", 1, 1, ""), ("u", 2, 2, ""), ("u", 3, 9, ""), ("v", 2, 1, ""), ("w", 3, 9, "")])
    split = split_log(log, SplitSettings(kind="leave_last", min_history=2))
    assert split.counts == {
        "users_in_log": 3,
        "dropped_short_history": 2,
        "dropped_without_examples": 0,
        "users": 1,
        "histories": 2,
        "examples": 1,
        "left_out_not_before_examples": 0,
        "cold_users": 2,
        "cold_items": 1,  # item 3, which nobody touched before second 9
        "examples_of_cold_items": 1,
    }


def test_an_item_is_cold_until_somebody_has_touched_it() -> None:
    log = make_log([("u", 1, 1, ""), ("u", 2, 2, ""), ("u", 3, 9, ""), ("v", 3, 8, "")])
    split = split_log(log, SplitSettings(kind="leave_last", min_history=2))
    assert count_cold_start(log.interactions, split.histories, split.examples) == {
        "cold_users": 1,
        "cold_items": 0,
        "examples_of_cold_items": 0,
    }


def test_a_column_says_what_is_an_example() -> None:
    parts = ["train", "History", " train ", "test", "train", "EXAMPLE"]
    log = make_log([("u", k, 10 * k, part) for k, part in enumerate(parts)])
    split = split_log(log, SplitSettings(kind="column", min_history=2, max_history=2))
    # Event 4 is called history, but it is not before the first example.
    assert events_of(split) == ([1, 2], [3, 5])
    assert split.counts["left_out_not_before_examples"] == 1
    assert split.examples["recent_event_ids"].to_list() == [[0, 1, 2], [0, 1, 2, 3, 4]]


def test_a_column_may_leave_users_without_examples_or_history() -> None:
    events = [("u", k, k, "train" if k < 3 else "test") for k in range(4)]
    events += [("bare", k, k, "train") for k in range(4)]
    events += [("new", k, k, "test") for k in range(4)]
    split = split_log(make_log(events), SplitSettings(kind="column", min_history=2))
    assert split.users.to_list() == ["u"]
    assert (split.counts["dropped_without_examples"], split.counts["dropped_short_history"]) == (1, 1)


def test_a_column_that_is_missing_or_says_something_else() -> None:
    chosen = SplitSettings(kind="column", min_history=1)
    with pytest.raises(LogError, match=r"have no column part .* expected one that says history, train, example, test"):
        split_log(make_log([("u", 1, 1, "")], part=False), chosen)
    with pytest.raises(LogError, match=r"part of 1 interactions says 'valid' \(first: event 1\): expected history"):
        split_log(make_log([("u", 1, 1, "train"), ("u", 2, 2, "valid")]), chosen)


bursts = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 9),
        st.sampled_from([0, 1, 1, 1, 2, 3, 3, 3, 3, 4, 5, 5, 9]),
        st.sampled_from(["train", "history", "test", "example"]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(
    events=bursts,
    kind=st.sampled_from(["kar", "temporal", "leave_last", "column"]),
    recent=st.integers(0, 4),
    most=st.integers(2, 6),
    last=st.integers(1, 4),
)
def test_nothing_sees_its_own_time_or_later(events: list[Event], kind: str, recent: int, most: int, last: int) -> None:
    chosen = SplitSettings(kind=kind, min_history=2, max_history=most, recent=recent, last_events=last)  # type: ignore[arg-type]
    log = make_log(events)
    try:
        split = split_log(log, chosen)
    except LogError:
        split = None
    times = dict(log.interactions.select("event_id", "timestamp").iter_rows())
    kept = [] if split is None else split.users.to_list()
    for user in {event[0] for event in events}:
        mine = log.interactions.filter(pl.col("user_id") == user).sort("timestamp", "event_id")
        if kind in ("leave_last", "column"):
            rows = mine.rows(named=True)
            if kind == "leave_last":
                wanted = rows[-last:]
            else:
                wanted = [row for row in rows if row["part"] in ("test", "example")]
            start = min((row["timestamp"] for row in wanted), default=99)
            past = [row for row in rows if row not in wanted and row["timestamp"] < start]
            assert (user in kept) == (bool(wanted) and len(past) >= 2)
        if split is None or user not in kept:
            continue
        history = split.histories.filter(pl.col("user_id") == user)
        examples = split.examples.filter(pl.col("user_id") == user)
        if kind in ("leave_last", "column"):
            assert history["event_id"].to_list() == [row["event_id"] for row in past[-most:]]
            assert examples["event_id"].to_list() == [row["event_id"] for row in wanted]
        assert history["position"].to_list() == list(range(history.height))
        assert 2 <= history.height <= most
        assert history["timestamp"].is_sorted()
        assert max(history["timestamp"]) < min(examples["timestamp"])
        for example in examples.iter_rows(named=True):
            assert all(times[event] < example["timestamp"] for event in example["recent_event_ids"])
            before = mine.filter(pl.col("timestamp") < example["timestamp"]).tail(recent)
            assert example["recent_event_ids"] == before["event_id"].to_list()
