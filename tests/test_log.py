"""The log's checks: what is kept, what is left out, and that every row is accounted for."""

from __future__ import annotations

import datetime
import logging

import numpy as np
import polars as pl
import pytest

from trackrec.data.log import Log, stable_hash
from trackrec.errors import LogError

ITEMS = pl.DataFrame({"item_id": [10, 11], "title": ["Amélie (2001)", "七人の侍"]})


def interactions(**columns: list[object]) -> pl.DataFrame:
    rows = {"user_id": [1, 1], "item_id": [10, 11], "rating": [5, 3], "timestamp": [100, 200]} | columns
    return pl.DataFrame(rows, strict=False)


def test_a_clean_log_keeps_everything_as_it_is() -> None:
    log = Log.checked(interactions(), ITEMS, where="here")
    assert log.interactions.schema == {
        "event_id": pl.UInt32,
        "user_id": pl.Int64,
        "item_id": pl.Int64,
        "rating": pl.Float64,
        "timestamp": pl.Int64,
    }
    assert log.interactions.rows() == [(0, 1, 10, 5.0, 100), (1, 1, 11, 3.0, 200)]
    assert log.items["title"].to_list() == ["Amélie (2001)", "七人の侍"]
    assert log.items["genres"].to_list() == [[], []]
    assert log.items.schema["year"] == pl.Int32
    assert log.users["user_id"].to_list() == [1]
    assert {name: n for name, n in log.counts.items() if n} == {"rows": 2, "interactions": 2, "items": 2, "users": 1}


def test_every_bad_row_is_counted_once_and_events_keep_their_row_number(caplog: pytest.LogCaptureFixture) -> None:
    bad = pl.DataFrame(
        {
            "user_id": ["a", None, "a", "a", "a", "a", "a", "a", "a", None],
            "item_id": [10, 10, None, 10, 10, 10, 10, 99, 11, None],
            "rating": ["4", "4", "4", "four", "inf", "4", "4", "4", "2.5", None],
            "timestamp": [1, 1, 1, 1, 1, -5, 881_250_949_000, 1, 0, None],
        }
    )
    with caplog.at_level(logging.WARNING, "trackrec.data"):
        log = Log.checked(bad, ITEMS, where="here")
    assert log.interactions.rows() == [(0, "a", 10, 4.0, 1), (8, "a", 11, 2.5, 0)]
    dropped = {name: n for name, n in log.counts.items() if name.startswith("dropped_") and n}
    assert dropped == {
        "dropped_without_user_id": 2,
        "dropped_without_item_id": 1,
        "dropped_without_rating": 1,
        "dropped_rating_not_finite": 1,
        "dropped_bad_timestamp": 2,
        "dropped_item_not_in_catalogue": 1,
    }
    assert log.counts["rows"] == log.counts["interactions"] + sum(dropped.values()) == 10
    assert "here: rows left out: bad_timestamp 2, item_not_in_catalogue 1" in caplog.text


def test_a_part_column_stays_and_others_do_not() -> None:
    log = Log.checked(interactions(part=["train", "test"], note=["a", "b"]), ITEMS, where="here")
    assert log.interactions.columns == ["event_id", "user_id", "item_id", "rating", "timestamp", "part"]
    assert log.interactions["part"].to_list() == ["train", "test"]


def test_a_repeated_pair_is_two_events() -> None:
    log = Log.checked(interactions(item_id=[10, 10]), ITEMS, where="here")
    assert log.interactions["event_id"].to_list() == [0, 1]
    assert log.counts["kept_repeated_pairs"] == 1


def test_items_and_users_without_or_with_repeated_ids() -> None:
    items = pl.DataFrame(
        {"item_id": [10, None, 10, 11], "title": ["first", "none", "second", None], "year": [1999.0] * 4}
    )
    users = pl.DataFrame({"user_id": [7, 7, None], "age": [1, 2, 3]})
    log = Log.checked(interactions(), items, users, where="here")
    assert log.items["title"].to_list() == ["first", "untitled"]
    assert log.items["year"].to_list() == [1999, 1999]
    assert log.users.rows() == [(7, 1)]
    assert log.counts["dropped_items_without_id"] == log.counts["dropped_items_with_repeated_id"] == 1
    assert log.counts["dropped_users_without_id"] == log.counts["dropped_users_with_repeated_id"] == 1
    assert log.counts["kept_items_without_title"] == 1
    assert log.counts["kept_user_without_attributes"] == 1  # user 1 acts, but the table knows 7 alone


def test_times_may_be_dates() -> None:
    time = [datetime.datetime(1970, 1, 2), datetime.datetime(1970, 1, 3)]
    log = Log.checked(interactions(timestamp=time), ITEMS, where="here")
    assert log.interactions["timestamp"].to_list() == [86_400, 172_800]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (interactions().drop("rating"), "the interactions of here have no column rating: expected user_id, item_id"),
        (interactions(user_id=[1.5, 2.5]), "hold user_id as Float64: expected integers or strings"),
        (interactions(item_id=["10", "11"]), "hold item_id as String and Int64: expected one type"),
        (interactions(rating=["a", "b"]), r"no usable interaction among 2 rows \(without_rating 2\)"),
        (interactions().clear(), "no usable interaction among 0 rows"),
        (interactions().with_columns(event_id=pl.lit(1)), "repeat an event_id"),
    ],
)
def test_a_log_that_cannot_be_used(rows: pl.DataFrame, message: str) -> None:
    with pytest.raises(LogError, match=message):
        Log.checked(rows, ITEMS, where="here")


def test_stable_hash_never_changes() -> None:
    # By `printf int:1 | b2sum -l 64`. Another value would give every user of every run another seed.
    assert stable_hash(1) == 17985548333338593500
    assert stable_hash("1") == 9748645260908440411
    assert stable_hash(np.int64(1)) == stable_hash(1)
    assert 0 <= stable_hash("ü") < 2**64
