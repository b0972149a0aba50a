"""Histories and examples, by hand and against a plain re-telling on made-up logs."""

from __future__ import annotations

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trackrec.data.log import Log
from trackrec.data.split import Split, SplitSettings, split_log
from trackrec.errors import LogError


def make_log(times: dict[str, list[int]]) -> Log:
    """One user per key with an interaction at each time; ratings 1 to 5 in turn, items 0, 1, 2 in turn."""
    rows = [(user, place % 3, 1.0 + place % 5, time) for user, ts in times.items() for place, time in enumerate(ts)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "rating", "timestamp"], orient="row")
    return Log.checked(table, pl.DataFrame({"item_id": [0, 1, 2], "title": ["A", "B", "C"]}), where="a made-up log")


def history_times(split: Split, user: str = "u") -> list[int]:
    return split.histories.filter(pl.col("user_id") == user)["timestamp"].to_list()


def example_times(split: Split, user: str = "u") -> list[int]:
    return split.examples.filter(pl.col("user_id") == user)["timestamp"].to_list()


def kar(**values: int) -> SplitSettings:
    return SplitSettings(**({"min_history": 2, "recent": 3} | values))  # type: ignore[arg-type]


def test_kar_takes_the_first_half() -> None:
    split = split_log(make_log({"u": [10, 20, 30, 40, 50]}), kar())
    assert history_times(split) == [10, 20]
    assert example_times(split) == [30, 40, 50]
    assert split.histories["position"].to_list() == [0, 1]
    assert split.histories["label"].to_list() == [0, 0]  # ratings 1 and 2
    assert split.examples["label"].to_list() == [0, 1, 1]  # ratings 3, 4 and 5
    assert split.examples["recent_event_ids"].to_list() == [[0, 1], [0, 1, 2], [1, 2, 3]]
    assert split.examples["recent_item_ids"].to_list() == [[0, 1], [0, 1, 2], [1, 2, 0]]
    assert split.examples["recent_ratings"].to_list() == [[1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]


def test_kar_history_is_at_most_max_history() -> None:
    split = split_log(make_log({"u": list(range(20))}), kar(max_history=4))
    assert history_times(split) == [0, 1, 2, 3]
    assert example_times(split) == list(range(4, 20))


def test_the_boundary_moves_back_to_a_change_of_time() -> None:
    split = split_log(make_log({"u": [1, 2, 3, 3, 3, 4]}), kar())
    assert (history_times(split), example_times(split)) == ([1, 2], [3, 3, 3, 4])
    # None of the three twins is in the past of another.
    assert split.examples["recent_event_ids"].to_list() == [[0, 1], [0, 1], [0, 1], [2, 3, 4]]


def test_the_boundary_moves_on_if_back_leaves_too_few() -> None:
    split = split_log(make_log({"u": [1, 3, 3, 3, 3, 4]}), kar(max_history=4))
    assert (history_times(split), example_times(split)) == ([3, 3, 3, 3], [4])
    assert split.histories["position"].to_list() == [0, 1, 2, 3]
    assert split.histories["event_id"].to_list() == [1, 2, 3, 4]  # ties by event, the oldest is cut


def test_users_without_a_boundary_are_counted() -> None:
    times = {"u": [1, 2, 3, 4], "same": [5, 5, 5, 5], "late": [5, 6, 6, 6], "one": [9]}
    split = split_log(make_log(times), kar())
    assert split.users.to_list() == ["u"]
    assert split.counts == {
        "users_in_log": 4,
        "dropped_without_boundary": 3,
        "users": 1,
        "histories": 2,
        "examples": 2,
    }


def test_time_decides_and_not_the_order_of_rows() -> None:
    split = split_log(make_log({"u": [40, 10, 30, 20]}), kar())
    assert split.histories["event_id"].to_list() == [1, 3]
    assert split.examples["event_id"].to_list() == [2, 0]


def test_a_repeated_item_stays_an_event_of_its_own() -> None:
    split = split_log(make_log({"u": [1, 2, 3, 4, 5, 6, 7, 8]}), kar())
    assert split.histories["item_id"].to_list() == [0, 1, 2, 0]


def test_temporal_has_one_cutoff_for_all() -> None:
    # Ten interactions in all, the cut-off is the eighth time or later: 80.
    times = {"a": [10, 20, 80, 90], "early": [30, 40], "late": [70, 100], "b": [50, 60]}
    chosen = SplitSettings(kind="temporal", min_history=2, temporal_quantile=0.75)
    split = split_log(make_log(times), chosen)
    assert split.cutoff == 80
    assert (history_times(split, "a"), example_times(split, "a")) == ([10, 20], [80, 90])
    assert split.counts["dropped_without_examples"] == 2  # early and b
    assert split.counts["dropped_short_history"] == 1  # late
    assert split.users.to_list() == ["a"]


def test_a_split_without_users_is_an_error() -> None:
    with pytest.raises(LogError, match="the split leaves none of 1 users: expected users with at least 5 interactions"):
        split_log(make_log({"u": [1, 2, 3]}), SplitSettings())


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ValidationError, match="min_history is 9, expected at most max_history"):
        SplitSettings(min_history=9, max_history=4)


logs = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.integers(0, 12), min_size=1, max_size=24), min_size=1, max_size=4
)


@settings(max_examples=80, deadline=None)
@given(times=logs, kind=st.sampled_from(["kar", "temporal"]), recent=st.integers(0, 4), most=st.integers(2, 8))
def test_nothing_at_or_after_a_target_is_seen(times: dict[str, list[int]], kind: str, recent: int, most: int) -> None:
    """Against a plain re-telling, user by user and example by example."""
    chosen = SplitSettings(kind=kind, min_history=2, max_history=most, recent=recent)  # type: ignore[arg-type]
    log = make_log(times)
    try:
        split = split_log(log, chosen)
    except LogError:
        split = None
    kept = set() if split is None else set(split.users.to_list())
    for user in times:
        events = log.interactions.filter(pl.col("user_id") == user).sort("timestamp", "event_id")
        if kind == "kar":
            boundaries = [
                place for place, (a, b) in enumerate(pairwise(events["timestamp"]), start=1) if a < b and place >= 2
            ]
            assert (user in kept) == bool(boundaries)
        if user not in kept:
            continue
        assert split is not None
        history = split.histories.filter(pl.col("user_id") == user)
        examples = split.examples.filter(pl.col("user_id") == user)
        assert 2 <= history.height <= most
        assert history["position"].to_list() == list(range(history.height))
        assert max(history["timestamp"]) < min(examples["timestamp"])
        if split.cutoff is not None:
            assert max(history["timestamp"]) < split.cutoff <= min(examples["timestamp"])
        # Nothing lies between history and examples, and everything after the history is an example.
        assert events["event_id"].to_list()[-examples.height - history.height :] == (
            history["event_id"].to_list() + examples["event_id"].to_list()
        )
        for example in examples.iter_rows(named=True):
            past = events.filter(pl.col("timestamp") < example["timestamp"]).tail(recent)
            assert example["recent_event_ids"] == past["event_id"].to_list()
            assert example["recent_item_ids"] == past["item_id"].to_list()
            assert example["recent_ratings"] == past["rating"].to_list()


@pytest.mark.slow
def test_movielens_100k_keeps_all_users() -> None:
    from trackrec.data.sources import SourceSettings, read_log

    log = read_log(SourceSettings())
    split = split_log(log, SplitSettings())
    assert split.counts == {
        "users_in_log": 943,
        "dropped_without_boundary": 0,
        "users": 943,
        "histories": 21_641,
        "examples": 78_359,
    }
    temporal = split_log(log, SplitSettings(kind="temporal"))
    assert temporal.users.len() == 108
