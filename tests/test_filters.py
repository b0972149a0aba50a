"""Filters: the core against a naive loop, windows by hand, and counts that add up."""

from __future__ import annotations

import datetime
from collections import defaultdict

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trackrec.data.filters import FILTERS, FilterSettings, core_rows, filter_log
from trackrec.data.log import Log
from trackrec.errors import LogError

DAY = 86_400


def make_log(rows: list[tuple[str, int, int]]) -> Log:
    """User, item and time of each interaction; the catalogue holds items 0 to 19."""
    table = pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.Int64, "timestamp": pl.Int64}, orient="row")
    items = pl.DataFrame({"item_id": list(range(20)), "title": [f"T{i}" for i in range(20)]})
    return Log.checked(table.with_columns(rating=pl.lit(4.0)), items, where="a made-up log")


def naive_core(pairs: list[tuple[str, int]], user_core: int, item_core: int) -> list[bool]:
    """Takes one user or item out at a time, until every one left has enough."""
    left = set(pairs)
    while True:
        items, users = defaultdict(set), defaultdict(set)
        for user, item in left:
            items[user].add(item)
            users[item].add(user)
        gone = [user for user in items if len(items[user]) < user_core][:1]
        lost = [item for item in users if len(users[item]) < item_core][:1]
        if not gone and not lost:
            return [pair in left for pair in pairs]
        left = {(u, i) for u, i in left if u not in gone and i not in lost}


@settings(max_examples=300, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 6)), min_size=1, max_size=40),
    user_core=st.integers(0, 4),
    item_core=st.integers(0, 4),
)
def test_the_core_is_that_of_a_naive_loop(pairs: list[tuple[str, int]], user_core: int, item_core: int) -> None:
    table = pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")
    assert core_rows(table, user_core, item_core).to_list() == naive_core(pairs, user_core, item_core)


def test_a_chain_comes_undone_from_its_end() -> None:
    """User i has the items i and i + 1: only the two ends are below 2 at first, and in the end nothing is left."""
    chain = [(f"u{i:02}", item) for i in range(15) for item in (i, i + 1)]
    table = pl.DataFrame(chain, schema=["user_id", "item_id"], orient="row")
    assert not core_rows(table, 2, 2).any()
    ring = [*chain, ("u15", 15), ("u15", 0)]
    assert core_rows(pl.DataFrame(ring, schema=["user_id", "item_id"], orient="row"), 2, 2).all()


def test_a_repeated_pair_counts_once() -> None:
    table = pl.DataFrame({"user_id": ["a"] * 5 + ["b", "b"], "item_id": [1, 1, 1, 1, 1, 1, 2]})
    assert core_rows(table, 2, 0).to_list() == [False] * 5 + [True] * 2


def test_defaults_change_nothing() -> None:
    log = make_log([("a", 1, 5), ("b", 2, 6)])
    assert filter_log(log, FilterSettings()) is log
    assert filter_log(log, FilterSettings(user_core=1, item_core=1, min_events=1)) is log


def test_the_window_takes_its_first_day_and_not_its_last() -> None:
    log = make_log([("a", 1, DAY - 1), ("a", 2, DAY), ("b", 3, 3 * DAY - 1), ("b", 4, 3 * DAY)])
    chosen = FilterSettings(since=datetime.date(1970, 1, 2), until=datetime.date(1970, 1, 4))
    kept = filter_log(log, chosen)
    assert kept.interactions["event_id"].to_list() == [1, 2]
    assert kept.items["item_id"].to_list() == [2, 3]
    assert kept.counts["dropped_rows_by_dates"] == 2
    assert (kept.counts["dropped_users_by_dates"], kept.counts["dropped_items_by_dates"]) == (0, 2)
    assert (kept.counts["interactions"], kept.counts["items"], kept.counts["users"]) == (2, 2, 2)
    assert filter_log(log, FilterSettings(since=datetime.date(1970, 1, 4))).interactions["event_id"].to_list() == [3]


def test_activity_is_counted_within_the_dates() -> None:
    rows = [("few", 1, 0), *(("some", item, DAY) for item in range(3)), *(("many", item, DAY) for item in range(6))]
    log = make_log([*rows, ("few", 2, DAY), ("few", 3, DAY)])
    kept = filter_log(log, FilterSettings(min_events=3, max_events=5))
    assert kept.interactions["user_id"].unique().sort().to_list() == ["few", "some"]
    assert kept.users["user_id"].to_list() == ["few", "some"]
    later = filter_log(log, FilterSettings(min_events=3, max_events=5, since=datetime.date(1970, 1, 2)))
    assert later.users["user_id"].to_list() == ["some"]
    assert later.counts["dropped_users_by_activity"] == 2
    assert later.counts["dropped_rows_by_activity"] == 8


ROWS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 5), st.integers(0, 4 * DAY)), min_size=1, max_size=40
)


@settings(max_examples=150, deadline=None)
@given(
    rows=ROWS,
    days=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    bounds=st.tuples(st.integers(0, 3), st.integers(3, 12)),
    core=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_every_removed_row_is_counted_and_every_bound_holds(
    rows: list[tuple[str, int, int]], days: tuple[int, int], bounds: tuple[int, int], core: tuple[int, int]
) -> None:
    log = make_log(rows)
    since, until = datetime.date(1970, 1, days[0]), datetime.date(1970, 1, days[0] + days[1])
    chosen = FilterSettings(
        since=since,
        until=until,
        min_events=bounds[0],
        max_events=bounds[1],
        user_core=core[0],
        item_core=core[1],
    )
    # The same by hand, one filter after the other.
    left = [(k, *row) for k, row in enumerate(rows) if (days[0] - 1) * DAY <= row[2] < (days[0] + days[1] - 1) * DAY]
    number = {user: sum(row[1] == user for row in left) for _, user, _, _ in left}
    left = [row for row in left if bounds[0] <= number[row[1]] <= bounds[1]]
    stays = naive_core([(user, item) for _, user, item, _ in left], *core)
    expected = [row[0] for row, stay in zip(left, stays, strict=True) if stay]
    if not expected:
        with pytest.raises(LogError, match=r"filters"):
            filter_log(log, chosen)
        return
    kept = filter_log(log, chosen)
    assert kept.interactions["event_id"].to_list() == expected
    for what, column, before in (("rows", "event_id", log), ("users", "user_id", log), ("items", "item_id", log)):
        removed = sum(kept.counts.get(f"dropped_{what}_by_{name}", 0) for name in FILTERS)
        assert before.interactions[column].n_unique() - removed == kept.interactions[column].n_unique()
    assert set(kept.items["item_id"]) == set(kept.interactions["item_id"])
    assert set(kept.users["user_id"]) == set(kept.interactions["user_id"])


def test_a_filter_that_leaves_nothing_is_named() -> None:
    log = make_log([("a", 1, DAY), ("b", 2, 9 * DAY)])
    with pytest.raises(LogError, match=r"between 2001-01-01 and the end: expected some within 1970-01-02 to"):
        filter_log(log, FilterSettings(since=datetime.date(2001, 1, 1)))
    with pytest.raises(LogError, match=r"none of 2 users: expected some with at least 3 interactions"):
        filter_log(log, FilterSettings(min_events=3))
    with pytest.raises(LogError, match=r"2 items with at least 2 users is empty; lower filters\.user_core"):
        filter_log(log, FilterSettings(item_core=2))


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ValidationError, match="expected a day before until"):
        FilterSettings(since=datetime.date(2001, 1, 1), until=datetime.date(2001, 1, 1))
    with pytest.raises(ValidationError, match="min_events is 9, expected at most max_events"):
        FilterSettings(min_events=9, max_events=4)
