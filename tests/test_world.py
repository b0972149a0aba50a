"""The data stage: turns of ranker users, and what filters and feedback become in its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trackrec.data.log import Log
from trackrec.data.roles import Role
from trackrec.pipeline import dataset
from trackrec.pipeline.dataset import Dataset, with_turns
from trackrec.progress import Reporter
from trackrec.recipe import make_recipe
from trackrec.run import Run

ROLES = pl.DataFrame(
    {
        "user_id": list(range(40)),
        "role": ["lm"] * 4 + ["ranker"] * 36,
        "fold": [0, 1, 0, 1] + [user % 3 for user in range(36)],
    }
)


def test_turns_go_round_the_folds() -> None:
    turns = with_turns(ROLES, seed=1)
    assert turns["user_id"].to_list() == ROLES["user_id"].to_list()
    assert turns.filter(pl.col("role") == "lm")["turn"].null_count() == 4
    ranker = turns.filter(pl.col("role") == "ranker").sort("turn")
    assert ranker["turn"].to_list() == list(range(36))
    assert ranker["fold"].to_list() == [0, 1, 2] * 12


def test_a_seed_decides_the_turns() -> None:
    assert with_turns(ROLES, seed=1).equals(with_turns(ROLES, seed=1))
    assert not with_turns(ROLES, seed=1).equals(with_turns(ROLES, seed=2))


@pytest.fixture
def made_up_log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Twelve users with twelve of twenty items each, one of them with a thirteenth a year later."""
    rows = [(user, (user + 2 * place) % 20, place) for user in range(12) for place in range(12 - user % 2)]
    rows.append((0, 1, 400 * 86_400))
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": list(range(20)), "title": [f"T{i}" for i in range(20)]})
    log = Log.checked(table.with_columns(rating=1.0 + pl.col("item_id") % 5), items, where="a made-up log")
    monkeypatch.setattr(dataset, "read_log", lambda settings: log)
    return log


def made_up_world(folder: Path, **settings: Any) -> Dataset:
    roles = {"lm_users": 4, "lm_extra_users": 0, "lm_validation_users": 2, "ranker_folds": 3}
    return dataset.prepare(make_recipe({"roles": roles} | settings), Run(folder, Reporter(), 17))


def test_implicit_feedback_reaches_targets_and_statistics(made_up_log: Log, tmp_path: Path) -> None:
    made = made_up_world(
        tmp_path, feedback={"kind": "implicit"}, filters={"until": "1971-01-01"}, split={"min_history": 2}
    )
    touched = set(made_up_log.interactions.select("user_id", "item_id").iter_rows())
    negatives = made.examples.filter("sampled")
    assert negatives.height > 10
    assert not touched & set(negatives.select("user_id", "item_id").iter_rows())
    assert made.examples.filter(~pl.col("sampled"))["label"].to_list() == [1] * (made.examples["label"] == 1).sum()
    assert max(made.examples["timestamp"]) < 100, "the filter leaves the late event out"
    assert set(made.targets["label"]) == {0, 1}
    # Items that were drawn for LM users count as not liked by them; each row leaves its own user out.
    lm = set(made.users(Role.LM))
    of_lm = {pair for pair in touched if pair[0] in lm and pair != (0, 1)}
    against = {pair for pair in negatives.select("user_id", "item_id").iter_rows() if pair[0] in lm}
    for user, item, raters, likes in made.targets.select("user_id", "item_id", "raters", "likes").iter_rows():
        liked = sum(other != user and i == item for other, i in of_lm)
        assert likes == liked
        assert raters == liked + sum(other != user and i == item for other, i in against)


def test_likes_by_the_users_own_mean_are_those_of_the_statistics(made_up_log: Log, tmp_path: Path) -> None:
    made = made_up_world(tmp_path, feedback={"kind": "user_mean"}, split={"min_history": 2})
    means = dict(made.histories.group_by("user_id").agg(pl.col("rating").mean()).iter_rows())
    likes = {
        (user, item): rating >= means[user]
        for user, item, rating in made_up_log.interactions.select("user_id", "item_id", "rating").iter_rows()
    }
    lm = made.users(Role.LM)
    for row in made.targets.iter_rows(named=True):
        assert row["label"] == likes[row["user_id"], row["item_id"]]
        others = [likes[u, row["item_id"]] for u in lm if u != row["user_id"] and (u, row["item_id"]) in likes]
        assert (row["raters"], row["likes"]) == (len(others), sum(others))


def test_the_manifest_counts_filters_and_what_is_cold(made_up_log: Log, tmp_path: Path) -> None:
    made_up_world(tmp_path, filters={"until": "1971-01-01"}, split={"kind": "leave_last", "min_history": 2})
    manifest = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.json"))
    assert '"dropped_rows_by_dates": 1' in manifest
    assert '"cold_users": 0' in manifest
