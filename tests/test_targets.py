"""The drawing of targets."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackrec.data.targets import choose_targets, like_quota
from trackrec.errors import LogError


def examples(labels: dict[int, list[int]]) -> pl.DataFrame:
    rows = [(user, 100 * user + k, k, label) for user, values in labels.items() for k, label in enumerate(values)]
    schema = {"user_id": pl.Int64, "event_id": pl.UInt32, "item_id": pl.Int64, "label": pl.Int8}
    return pl.DataFrame(rows, schema=schema, orient="row")


MADE_UP = examples({1: [1] * 30 + [0] * 10, 2: [1] * 99 + [0], 3: [0] * 20, 4: [1, 0, 1]})


@pytest.mark.parametrize(
    ("likes", "dislikes", "expected"),
    [(30, 10, 6), (99, 1, 7), (1, 99, 1), (0, 20, 0), (20, 0, 8), (2, 1, 2), (1, 1, 1), (5, 11, 3)],
)
def test_quota_by_hand(likes: int, dislikes: int, expected: int) -> None:
    assert like_quota(likes, dislikes, 8) == expected


@settings(deadline=None)
@given(likes=st.integers(0, 40), dislikes=st.integers(0, 40), per_user=st.integers(1, 12))
def test_quota_can_always_be_drawn(likes: int, dislikes: int, per_user: int) -> None:
    if likes + dislikes == 0:
        return
    total = min(per_user, likes + dislikes)
    quota = like_quota(likes, dislikes, per_user)
    assert 0 <= quota <= likes
    assert 0 <= total - quota <= dislikes
    if likes and dislikes and total >= 2:
        assert 0 < quota < total


def test_likes_and_dislikes_in_the_users_own_proportion() -> None:
    targets = choose_targets(MADE_UP, [1, 2, 3, 4], per_user=8, seed=5)
    assert targets.columns == ["user_id", "slot", "event_id", "item_id", "label"]
    assert targets.schema["slot"] == pl.Int16
    per_user = targets.group_by("user_id", maintain_order=True).agg(pl.len(), pl.col("label").sum())
    assert per_user.rows() == [(1, 8, 6), (2, 8, 7), (3, 8, 0), (4, 3, 2)]
    assert targets["event_id"].n_unique() == targets.height
    assert targets.filter(pl.col("user_id") == 1)["slot"].to_list() == list(range(8))
    assert targets.join(MADE_UP, on=["user_id", "event_id", "item_id", "label"], how="anti").is_empty()


def test_the_order_is_mixed() -> None:
    firsts = [choose_targets(MADE_UP, [1], per_user=8, seed=seed)["label"][0] for seed in range(40)]
    assert 0 < sum(firsts) < 40


def test_a_users_targets_depend_on_nobody_else_and_not_on_row_order() -> None:
    together = choose_targets(MADE_UP, [3, 1, 2], per_user=8, seed=5)
    alone = choose_targets(MADE_UP.reverse().filter(pl.col("user_id") == 1), [1], per_user=8, seed=5)
    assert together.filter(pl.col("user_id") == 1).equals(alone)
    assert together["user_id"].unique(maintain_order=True).to_list() == [3, 1, 2]
    assert not choose_targets(MADE_UP, [1], per_user=8, seed=6).equals(alone)


def test_nobody_asked_for() -> None:
    assert choose_targets(MADE_UP, [], per_user=8, seed=5).schema == choose_targets(MADE_UP, [1], 8, 5).schema


def test_a_user_without_examples() -> None:
    with pytest.raises(LogError, match="no targets for user 9: expected a user of the split with at least one example"):
        choose_targets(MADE_UP, [9], per_user=8, seed=5)
