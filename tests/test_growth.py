"""What grows with a catalogue's tags or with a history's length grows no faster than they do."""

from __future__ import annotations

import time

import numpy as np
import polars as pl

from trackrec.users.history_features import history_numbers


def test_numbers_of_genres_by_hand() -> None:
    """User 1 likes a (genre x) and not b (x, y): shift of x (.5 - .5) / 5, of y -.5 / 4; user 2 has c, of no genre."""
    items = pl.DataFrame({"item_id": ["a", "b", "c"], "genres": [["x"], ["x", "y", "y"], None]})
    rows = pl.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "c"], "label": [1, 0, 1]})
    found = history_numbers(rows, items)
    assert found.names[-4:] == ("shift:x", "part:x", "shift:y", "part:y")
    told = dict(found.table.select("user_id", "numbers").iter_rows())
    assert told[1][-4:] == [0.0, 1.0, -0.125, 0.5]
    assert told[2][-4:] == [0.0, 0.0, 0.0, 0.0]


def test_a_catalogue_of_items_without_genres_has_no_numbers_of_them() -> None:
    for genres in ([None, None], [[], []]):
        items = pl.DataFrame({"item_id": [1, 2], "genres": pl.Series(genres, dtype=pl.List(pl.String))})
        found = history_numbers(pl.DataFrame({"user_id": [1, 1], "item_id": [1, 2], "label": [1, 0]}), items)
        assert not [name for name in found.names if ":" in name]
        assert len(found.table["numbers"][0]) == len(found.names)


def test_twenty_five_thousand_genres_take_no_longer_than_a_breath() -> None:
    genres, users, rng = 25_000, 30, np.random.default_rng(0)
    of_item = np.array_split([f"g{number}" for number in range(genres)], 60)
    items = pl.DataFrame({"item_id": range(60), "genres": [part.tolist() for part in of_item]})
    rows = pl.DataFrame(
        {
            "user_id": np.repeat(np.arange(users), 20),
            "item_id": np.concatenate([rng.permutation(60)[:20] for _ in range(users)]),
            "label": rng.integers(0, 2, 20 * users),
        }
    )
    started = time.monotonic()
    found = history_numbers(rows, items)
    assert time.monotonic() - started < 60, "a join a genre took 444 s"
    assert len(found.names) == 2 * genres + 3
