"""Tables as tensors."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from trackrec.errors import RunError
from trackrec.rankers.examples import ItemTable, RatingScale, build_examples, item_statistics_features

ITEMS = pl.DataFrame(
    {"item_id": ["b", "a", "c"], "genres": [["X", "Y"], ["Y"], None], "year": [1990, 1980, None]},
)


def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user_id": [1, 1],
            "item_id": ["a", "c"],
            "label": [1, 0],
            "recent_item_ids": [["a", "b", "c"], []],
            "recent_ratings": [[1.0, 3.0, 5.0], []],
            "raters": [0, 15],
            "likes": [0, 15],
        },
        schema_overrides={"recent_item_ids": pl.List(pl.String), "recent_ratings": pl.List(pl.Float64)},
    )


def test_catalogue_rows_genres_and_unknown_years() -> None:
    table = ItemTable.from_catalogue(ITEMS)  # sorted: a, b, c
    assert table.rows(pl.Series(["c", "a"])).tolist() == [3, 1]
    assert table.genres.tolist() == [[0, 0], [0, 1], [0.5, 0.5], [0, 0]]
    assert table.years[0] == 0
    assert table.years[3] == 0
    assert 0 < table.years[1] < table.years[2]


def test_a_catalogue_may_have_neither_genres_nor_years() -> None:
    table = ItemTable.from_catalogue(ITEMS.select("item_id"))
    assert table.genres.shape == (4, 0)
    assert table.years.tolist() == [0, 0, 0, 0]


def test_unknown_items_are_refused_by_name() -> None:
    with pytest.raises(RunError, match="1 item ids are not in the catalogue, for example 'zz'"):
        ItemTable.from_catalogue(ITEMS).rows(pl.Series(["a", "zz"]))


def test_recent_events_are_the_last_ones_and_filled_up_behind() -> None:
    table = ItemTable.from_catalogue(ITEMS)
    examples = build_examples(frame(), table, RatingScale.fit(pl.Series([1.0, 3.0, 5.0])), recent=2)
    assert examples.item.tolist() == [1, 3]
    assert examples.recent.tolist() == [[2, 3], [0, 0]]
    assert examples.rating.tolist() == [[2, 3], [0, 0]]
    assert examples.seen.tolist() == [2, 0]
    assert examples.label.tolist() == [1.0, 0.0]
    assert examples.dense.shape == (2, 0)
    assert build_examples(frame(), table, RatingScale.fit(pl.Series([1.0])), recent=0).recent.shape == (2, 0)


def test_rating_scale_has_a_bucket_per_value_or_ten() -> None:
    scale = RatingScale.fit(pl.Series([5.0, 1.0, 3.0, 3.0]))
    assert scale.buckets == 4
    assert scale.rows(np.asarray([1.0, 3.0, 5.0, 9.0])).tolist() == [1, 2, 3, 3]
    assert RatingScale.fit(pl.Series(np.linspace(0, 1, 100))).buckets == 11


def test_item_statistics_by_hand() -> None:
    """15 likes of 15 with prior 1/2 of strength 5: share 17.5/20, odds 7; an item without raters gets (0, 0)."""
    features = item_statistics_features(frame(), like_share=0.5)
    assert np.allclose(features, [[0, 0], [np.log(7), np.log(16) / 5]])


def test_batches_cover_all_rows_in_the_order_given() -> None:
    examples = build_examples(frame(), ItemTable.from_catalogue(ITEMS), RatingScale.fit(pl.Series([1.0])), recent=1)
    parts = list(examples.batches(1, torch.tensor([1, 0])))
    assert [part.item.tolist() for part in parts] == [[3], [1]]
