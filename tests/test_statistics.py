"""Item statistics and the baseline, against numbers worked out by hand."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackrec.data.statistics import ItemStatistics, item_user_mean, smoothed_share


def interactions(rows: list[tuple[str, int, float]]) -> pl.DataFrame:
    table = pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.Int64, "rating": pl.Float64}, orient="row")
    return table.with_row_index("event_id").with_columns(pl.col("event_id").cast(pl.Int64).alias("timestamp"))


ROWS = [("a", 1, 5.0), ("b", 1, 4.0), ("c", 1, 1.0), ("a", 2, 2.0), ("b", 2, 5.0)]
STATISTICS = ItemStatistics.from_interactions(interactions(ROWS), like_threshold=4.0)


def ask(statistics: ItemStatistics, *pairs: tuple[str, int]) -> list[dict[str, object]]:
    schema = {"user_id": pl.String, "item_id": pl.Int64}
    return statistics.lookup(pl.DataFrame(pairs, schema=schema, orient="row")).to_dicts()


def test_a_stranger_hears_everybody() -> None:
    (row,) = ask(STATISTICS, ("z", 1))
    # 2 likes of 3, drawn by 5 ratings of the overall 3 of 5: (2 + 5 * 0.6) / (3 + 5).
    assert (row["raters"], row["likes"]) == (3, 2)
    assert row["mean_rating"] == pytest.approx(10 / 3)
    assert row["like_share_smoothed"] == pytest.approx(5 / 8)


def test_a_rater_hears_the_others_alone() -> None:
    (row,) = ask(STATISTICS, ("a", 1))
    # Without a: item 1 has 4 and 1 (1 like of 2); overall b likes two, c none: 2 of 3.
    assert (row["raters"], row["likes"], row["mean_rating"]) == (2, 1, 2.5)
    assert row["like_share_smoothed"] == pytest.approx((1 + 5 * 2 / 3) / 7)
    # Not a rater of item 2, but a source of the overall share, which is taken out as well: c leaves 3 of 4.
    assert ask(STATISTICS, ("c", 2))[0]["like_share_smoothed"] == pytest.approx((1 + 5 * 3 / 4) / 7)


def test_an_item_that_nobody_rated() -> None:
    (row,) = ask(STATISTICS, ("z", 99))
    assert (row["raters"], row["likes"], row["mean_rating"]) == (0, 0, None)
    assert row["like_share_smoothed"] == pytest.approx(0.6)
    alone = ItemStatistics.from_interactions(interactions([("a", 1, 5.0)]), like_threshold=4.0)
    assert ask(alone, ("a", 1))[0]["like_share_smoothed"] == 0.5


def test_rows_keep_their_order_and_other_columns() -> None:
    pairs = pl.DataFrame({"user_id": ["c", "a", "c"], "item_id": [2, 1, 2], "l": [7, 8, 9], "raters_note": ["x"] * 3})
    found = STATISTICS.lookup(pairs)
    assert found.columns == [*pairs.columns, "raters", "likes", "mean_rating", "like_share_smoothed"]
    assert found.select(pairs.columns).equals(pairs)
    assert found["raters"].to_list() == [2, 2, 2]
    assert found.schema["raters"] == found.schema["likes"] == pl.Int32


def test_a_rating_given_again_replaces_the_first() -> None:
    statistics = ItemStatistics.from_interactions(interactions([*ROWS, ("c", 1, 5.0)]), like_threshold=4.0)
    (row,) = ask(statistics, ("z", 1))
    assert (row["raters"], row["likes"]) == (3, 3)


@settings(max_examples=20, deadline=None)
@given(own=st.lists(st.tuples(st.integers(1, 3), st.sampled_from([1.0, 3.0, 5.0])), max_size=4))
def test_a_users_own_ratings_change_nothing_in_what_the_user_hears(own: list[tuple[int, float]]) -> None:
    others = [row for row in ROWS if row[0] != "a"]
    with_own = ItemStatistics.from_interactions(interactions(others + [("a", *row) for row in own]), 4.0)
    without = ItemStatistics.from_interactions(interactions(others), 4.0)
    for item in (1, 2, 3):
        assert ask(with_own, ("a", item))[0] == pytest.approx(ask(without, ("a", item))[0])


def test_shares_by_hand() -> None:
    assert smoothed_share([0, 10], [0, 10], 0.6, strength=5.0).tolist() == pytest.approx([0.6, 13 / 15])
    # Odds: 4 (item) x 3 (user) / 1.5 (overall) = 8.
    assert item_user_mean([0.8], [0.75], 0.6).tolist() == pytest.approx([8 / 9])
    assert item_user_mean([1.0, 0.0], [1.0, 0.0], 0.5).tolist() == [0.99, 0.01]


def test_baseline_finds_generous_users_and_good_items() -> None:
    histories = pl.DataFrame({"user_id": ["x"] * 10 + ["y"] * 10, "label": [1] * 9 + [0] * 1 + [1] * 1 + [0] * 9})
    pairs = pl.DataFrame({"user_id": ["x", "y", "z", "x"], "item_id": [1, 1, 1, 99]})
    found = STATISTICS.baseline(pairs, histories)
    generous, strict, unknown, unrated = found["probability"]
    assert generous > unknown > strict
    assert unknown == pytest.approx(5 / 8)  # nothing is known of the user: the item's share alone
    # Nothing is known of the item: the user's share alone, (9 + 5 * 0.6) / 15.
    assert unrated == pytest.approx(0.8)
    assert found.drop("probability").equals(pairs)
