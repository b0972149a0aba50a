"""The study of new items: nothing of a new item's labels is seen, and planted knowledge is found."""

from __future__ import annotations

import numpy as np
import pytest

from research.new_items import Arm, Events, NewItemsSettings, Tables, arms, predict
from trackrec.metrics.probability import auc

SETTINGS = NewItemsSettings(folds=3, min_items=2, draws=100)
USERS, ITEMS = 60, 40


def made_up(flip: bool = False) -> tuple[Tables, np.ndarray]:
    """Users like one of two kinds of items; a fifth of the items is new. ``flip``: new items' labels turned round."""
    draw = np.random.default_rng(3)
    new = np.arange(ITEMS) % 5 == 0
    user = np.repeat(np.arange(USERS), 20)
    item = np.concatenate([draw.permutation(ITEMS)[:20] for _ in range(USERS)])
    liked = (item % 2 == user % 2) ^ (draw.random(len(user)) < 0.1)
    liked = np.where(new[item] & flip, ~liked, liked)
    is_past = np.tile(np.arange(20) < 10, USERS)
    events = Events(user, item, liked.astype(float))
    tags = [["odd" if place % 2 else "even"] for place in range(ITEMS)]
    names = [f"i{place}" for place in range(ITEMS)]
    tables = Tables(list(range(USERS)), names, events.of(is_past), events.of(~is_past), {"tags": tags, "genres": tags})
    return tables, new


@pytest.mark.parametrize("arm", arms(SETTINGS, tags=True), ids=lambda arm: arm.name)
def test_no_label_of_a_new_item_is_seen(arm: Arm) -> None:
    found = []
    for flip in (False, True):
        tables, new = made_up(flip)
        tested = tables.examples.of(new[tables.examples.item])
        found.append(predict(tables, arm, SETTINGS, new, tested, seed=1))
    assert np.array_equal(*found)


def test_labels_of_known_items_are_seen() -> None:
    """So that the test above can fail: without new items the same labels count."""
    nothing_new = np.zeros(ITEMS, dtype=bool)
    arm = Arm("tags", "tags")
    found = [predict(made_up(flip)[0], arm, SETTINGS, nothing_new, made_up()[0].examples, 1) for flip in (False, True)]
    assert not np.array_equal(*found)


def test_planted_knowledge_is_found_on_new_items() -> None:
    tables, new = made_up()
    tested = tables.examples.of(new[tables.examples.item])
    with_tags = predict(tables, Arm("tags: profile", "tags", own_means=False), SETTINGS, new, tested, seed=1)
    without = predict(tables, Arm("means", None), SETTINGS, new, tested, seed=1)
    assert auc(tested.label, with_tags) > 0.85 > 0.65 > auc(tested.label, without)


def test_the_share_of_new_items_is_drawn_by_a_hash() -> None:
    tables, _ = made_up()
    assert tables.new(SETTINGS, 1).tolist() == tables.new(SETTINGS, 1).tolist() != tables.new(SETTINGS, 2).tolist()
