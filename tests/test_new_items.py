"""The study of new items: nothing of a new item's labels is seen, and planted knowledge is found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from research.new_items.counts import Profile
from research.new_items.study import Arm, NewItemsSettings, arms, predict, spread
from research.new_items.tables import Events, Tables
from trackrec.metrics.probability import auc

SETTINGS = NewItemsSettings(folds=3, min_items=2, draws=100)
USERS, ITEMS = 60, 40
ATTRIBUTES = ("genres", "tags", "cards", "genres and tags")


def made_up(flip: bool = False, implicit: bool = False) -> tuple[Tables, np.ndarray]:
    """Users like one of two kinds of items; a fifth of the items is new. ``flip``: new items' labels turned round.
    ``implicit``: histories hold nothing but likes."""
    draw = np.random.default_rng(3)
    new = np.arange(ITEMS) % 5 == 0
    user = np.repeat(np.arange(USERS), 20)
    item = np.concatenate([draw.permutation(ITEMS)[:20] for _ in range(USERS)])
    liked = (item % 2 == user % 2) ^ (draw.random(len(user)) < 0.1)
    liked = np.where(new[item] & flip, ~liked, liked)
    is_past = np.tile(np.arange(20) < 10, USERS)
    in_history = is_past & (liked | (not implicit))
    events = Events(user, item, liked.astype(float))
    tags = [["odd" if place % 2 else "even"] for place in range(ITEMS)]
    names = [f"i{place}" for place in range(ITEMS)]
    tables = Tables(
        list(range(USERS)), names, events.of(in_history), events.of(~is_past), dict.fromkeys(ATTRIBUTES, tags)
    )
    return tables, new


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("arm", arms(SETTINGS, ATTRIBUTES), ids=lambda arm: arm.name)
def test_no_label_of_a_new_item_is_seen(arm: Arm, implicit: bool) -> None:
    found = []
    for flip in (False, True):
        tables, new = made_up(flip, implicit)
        tested = tables.examples.of(new[tables.examples.item])
        found.append(predict(tables, arm, SETTINGS, new, tested, seed=1))
    assert np.array_equal(*found)


def test_labels_of_known_items_are_seen() -> None:
    """So that the test above can fail: without new items the same labels count."""
    nothing_new = np.zeros(ITEMS, dtype=bool)
    arm = Arm("tags", "tags")
    found = [predict(made_up(flip)[0], arm, SETTINGS, nothing_new, made_up()[0].examples, 1) for flip in (False, True)]
    assert not np.array_equal(*found)


@pytest.mark.parametrize("implicit", [False, True])
def test_planted_knowledge_is_found_on_new_items(implicit: bool) -> None:
    tables, new = made_up(implicit=implicit)
    tested = tables.examples.of(new[tables.examples.item])
    with_tags = predict(tables, Arm("tags: profile", "tags", own_means=False), SETTINGS, new, tested, seed=1)
    without = predict(tables, Arm("means", None), SETTINGS, new, tested, seed=1)
    assert auc(tested.label, with_tags) > 0.85 > 0.65 > auc(tested.label, without)


def test_the_share_of_new_items_is_drawn_by_a_hash() -> None:
    tables, _ = made_up()
    assert tables.new(0.2, 1).tolist() == tables.new(0.2, 1).tolist() != tables.new(0.2, 2).tolist()
    assert 0 < tables.new(0.2, 1).sum() < ITEMS / 2


def test_of_likes_alone_a_profile_counts_what_is_taken_beyond_everybodys_share() -> None:
    """Two users of three and one artists; 2 of 4 events have the attribute, and the prior is 2."""
    past = Events(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 2]), np.ones(4))
    profile = Profile.of(past, csr_array(np.array([[1.0], [1.0], [0.0]])), users=2, extremes=None)
    assert profile.excess.tolist() == pytest.approx(np.log([[4 / 3.5], [2 / 2.5]]))
    assert profile.mean.tolist() == [0.5, 0.5]


def test_the_spread_over_draws() -> None:
    same = {"items": "new", "arm": "tags", "metric": "auc", "examples": 10}
    draws = [[same | {"value": value, "over_genres": [over, 0.0, 1.0]}] for value, over in ((0.6, 0.1), (0.8, 0.2))]
    (row,) = spread(draws)
    assert row["value"] == pytest.approx({"mean": 0.7, "deviation": 0.02**0.5, "lowest": 0.6, "highest": 0.8})
    assert row["over_genres"]["mean"] == pytest.approx(0.15)
    assert "over_means" not in row
    assert spread(draws[:1]) == []
