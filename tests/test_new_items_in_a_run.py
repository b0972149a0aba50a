"""Items that count as never seen before: nobody's history, no count and no training example holds them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.data.new_items import draw_new_items, known_items, without_new_items
from trackrec.data.split import Split
from trackrec.pipeline.dataset import Dataset, prepare
from trackrec.progress import Reporter
from trackrec.rankers.compare import fold_parts, ranker_examples
from trackrec.recipe import Recipe
from trackrec.run import Run


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return tiny_recipe(tmp_path / "model", write_tiny_log(tmp_path / "log"), split={"new_items": 0.3})


def prepared(recipe: Recipe, folder: Path) -> Dataset:
    return prepare(recipe, Run(folder, Reporter(), recipe.seed))


def test_nothing_of_a_new_item_is_seen_before_the_test(recipe: Recipe, tmp_path: Path) -> None:
    data = prepared(recipe, tmp_path)
    new = draw_new_items(data.items["item_id"], 0.3, recipe.seed)
    assert 0 < new.len() < data.items.height
    is_new = pl.col("item_id").is_in(new.implode())
    assert data.histories.filter(is_new).is_empty()
    assert data.examples.explode("recent_item_ids").filter(pl.col("recent_item_ids").is_in(new.implode())).is_empty()
    assert data.targets.filter(is_new, pl.col("role") != "ranker").is_empty()
    tested = data.examples.filter("new")
    assert tested.height
    assert tested.select(is_new.all()).item()
    assert tested["raters"].max() == 0
    assert set(tested.join(data.roles, on="user_id")["role"]) == {"ranker"}
    frame, folds = ranker_examples(data, data.roles)
    for fold in folds:
        train, stop, test = fold_parts(frame, folds, fold, None, 1)
        assert not train["new"].any()
        assert not stop["new"].any()
        assert test["new"].sum() == frame.filter(pl.col("fold") == fold)["new"].sum()


def test_labels_of_new_items_change_nothing_but_the_test(recipe: Recipe, tmp_path: Path) -> None:
    """Every rating of a new item turned round: only the tested examples of new items differ."""
    log = Path(str(recipe.source.folder)) / "u.data"
    before = prepared(recipe, tmp_path / "before")
    new = set(draw_new_items(before.items["item_id"], 0.3, recipe.seed))
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    turned = [[u, i, str(7 - int(r)) if int(i) in new else r, t] for u, i, r, t in rows]
    log.write_text("\n".join("\t".join(row) for row in turned) + "\n")
    after = prepared(recipe, tmp_path / "after")
    for name in ("histories", "items", "roles"):
        assert getattr(before, name).equals(getattr(after, name)), name
    known = [known_items(data.examples) for data in (before, after)]
    assert known[0].equals(known[1])
    assert not before.examples.equals(after.examples)


def test_lists_and_positions_by_hand() -> None:
    histories = pl.DataFrame(
        {
            "user_id": [1, 1, 1, 2, 3],
            "position": [0, 1, 2, 0, 0],
            "event_id": [1, 2, 3, 9, 11],
            "item_id": [5, 6, 7, 6, 5],
        },
        schema_overrides={"position": pl.Int32},
    )
    examples = pl.DataFrame(
        {
            "user_id": [1, 1, 2, 3],
            "event_id": [4, 5, 10, 12],
            "item_id": [6, 8, 5, 6],
            "recent_event_ids": [[1, 2, 3], [], [9], [11]],
            "recent_item_ids": [[5, 6, 7], [], [6], [5]],
            "recent_ratings": [[1.0, 2.0, 3.0], [], [4.0], [5.0]],
        }
    )
    split = without_new_items(Split(histories, examples), pl.Series("item_id", [6]))
    assert split.histories.select("user_id", "position", "item_id").rows() == [(1, 0, 5), (1, 1, 7)]
    assert split.examples["recent_item_ids"].to_list() == [[5, 7], []]
    assert split.examples["recent_ratings"].to_list() == [[1.0, 3.0], []]
    assert split.examples["new"].to_list() == [True, False]
    assert split.counts["dropped_with_new_items_alone"] == 2  # user 2 has no history left, user 3 no other example
    assert split.counts["examples_of_new_items"] == 1


def test_the_draw_depends_on_nothing_but_seed_and_item() -> None:
    items = pl.Series("item_id", range(2000))
    new = draw_new_items(items, 0.2, 29)
    assert 330 < new.len() < 470
    assert set(draw_new_items(items.head(100), 0.2, 29)) == set(new.to_list()) & set(range(100))
    assert set(draw_new_items(items, 0.2, 30)) != set(new)
    assert draw_new_items(items, 0.0, 29).is_empty()
