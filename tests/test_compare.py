"""The comparison of arms, on a world whose right answer is known."""

from __future__ import annotations

import polars as pl
import pytest
from ranking_world import HabitEncoder, World, make_world

from research.comparison.study_arm import StudyArm
from research.metrics.cold_start import seen_counts
from trackrec.errors import RecipeError, RunError
from trackrec.features.encoder import swap_vectors, user_vectors
from trackrec.metrics.probability import auc
from trackrec.rankers.arm import Inputs
from trackrec.rankers.compare import RankingSettings, compare_arms, sample_rows
from trackrec.rankers.fit import FitSettings

SETTINGS = RankingSettings(recent=2, seeds=1, folds=1, fit=FitSettings(epochs=8, batch=64, learning_rate=0.01))


def arms(world: World) -> dict[str, pl.DataFrame | None]:
    texts = pl.DataFrame(
        {"user_id": list(world.habit), "text": [f"habit {value} of {user}" for user, value in world.habit.items()]}
    )
    own = user_vectors(texts, HabitEncoder())
    return {"none": None, "own": own, "swapped": swap_vectors(own, world.roles, 0)}


def aucs(predictions: pl.DataFrame) -> dict[str, float]:
    return {
        arm: auc(part["label"].to_numpy(), part["probability"].to_numpy())
        for (arm,), part in predictions.group_by("arm", maintain_order=True)
    }


def test_the_planted_text_helps_and_another_users_does_not() -> None:
    world = make_world()
    found = aucs(compare_arms(world, world.roles, world.items, arms(world), SETTINGS, seed=0))
    assert found["own"] > 0.8
    assert found["none"] < 0.7
    assert found["swapped"] < 0.7


def test_all_arms_are_tested_on_the_same_examples_of_the_fold_alone() -> None:
    world = make_world(users=30)
    done: list[tuple[int, int]] = []
    settings = SETTINGS.model_copy(update={"seeds": 2, "folds": None, "fit": FitSettings(epochs=1)})
    table = compare_arms(
        world, world.roles, world.items, arms(world), settings, seed=7, progress=lambda n, of: done.append((n, of))
    )
    assert table.columns == ["arm", "seed", "trial", "fold", "user_id", "event_id", "label", "probability"]
    assert done == [(n, 18) for n in range(1, 19)]
    assert table.height == 3 * 2 * world.examples.height
    assert set(table["seed"]) == {7, 8}
    assert (table["user_id"] % 3 == table["fold"]).all()
    assert table["probability"].is_between(0, 1).all()
    keys = ["seed", "fold", "event_id", "label"]
    none, own = (table.filter(pl.col("arm") == name).select(keys) for name in ("none", "own"))
    assert none.equals(own)


def test_an_arm_does_not_depend_on_the_others_and_repeats() -> None:
    world = make_world(users=30)
    both = compare_arms(world, world.roles, world.items, arms(world), SETTINGS, seed=0)
    alone = compare_arms(world, world.roles, world.items, {"own": arms(world)["own"]}, SETTINGS, seed=0)
    assert both.filter(pl.col("arm") == "own").equals(alone)


def test_labels_of_the_tested_fold_are_never_learned_from() -> None:
    world = make_world(users=30)
    flipped = world.examples.with_columns(
        label=pl.when(pl.col("user_id") % 3 == 0).then(1 - pl.col("label")).otherwise(pl.col("label"))
    )
    other = World(world.histories, flipped, world.items, world.roles, world.habit)
    one = compare_arms(world, world.roles, world.items, arms(world), SETTINGS, seed=0)
    two = compare_arms(other, world.roles, world.items, arms(world), SETTINGS, seed=0)
    assert one["probability"].equals(two["probability"])


def test_thinning_keeps_order_and_a_users_draw_does_not_depend_on_others() -> None:
    rows = pl.DataFrame({"user_id": [1] * 5 + [2] * 2 + [3] * 9, "event_id": range(16)})
    kept = sample_rows(rows, 3, seed=0)
    assert kept.group_by("user_id", maintain_order=True).len()["len"].to_list() == [3, 2, 3]
    assert kept["event_id"].is_sorted()
    assert sample_rows(rows.filter(pl.col("user_id") == 3), 3, seed=0).equals(kept.filter(pl.col("user_id") == 3))


def test_what_cannot_work_is_refused() -> None:
    world = make_world(users=12)
    two = world.roles.filter(pl.col("fold") < 2)
    with pytest.raises(RunError, match="are in 2 folds"):
        compare_arms(world, two, world.items, {"none": None}, SETTINGS, seed=0)
    settings = SETTINGS.model_copy(update={"folds": 4})
    with pytest.raises(RecipeError, match=r"ranking\.folds is 4, but the split has 3 folds"):
        compare_arms(world, world.roles, world.items, {"none": None}, settings, seed=0)
    lost = pl.DataFrame({"user_id": [999], "vector": [[1.0]]})
    with pytest.raises(RunError, match="Arm 'lost' has vectors for 0 training users"):
        compare_arms(world, world.roles, world.items, {"lost": lost}, SETTINGS, seed=0)


def test_a_validators_score_and_item_vectors_reach_the_model() -> None:
    """Scores that give every label away, and then only for every second example; item vectors that say nothing new."""
    world = make_world()
    scores = world.examples.select("user_id", "event_id", yes_probability=0.1 + 0.8 * pl.col("label"))
    items = pl.DataFrame({"item_id": range(30), "vector": [[float(n % 3), float(n % 5), 1.0] for n in range(30)]})
    given: dict[str, Inputs] = {
        "none": None,
        "scores": StudyArm(scores=(scores,)),
        "half": StudyArm(scores=(scores.gather_every(2),)),
        "all": StudyArm(arms(world)["own"], items=(items, items), scores=(scores,), item_components=2),
    }
    table = compare_arms(world, world.roles, world.items, given, SETTINGS, seed=0)
    found = aucs(table)
    assert found["scores"] > 0.99
    assert found["all"] > 0.99
    assert found["none"] + 0.1 < found["half"] < 0.95
    known = table.join(scores.gather_every(2), on=["user_id", "event_id"], how="semi")
    assert aucs(known)["half"] > 0.99


def test_what_was_met_is_counted_in_the_training_of_the_tested_fold() -> None:
    world = make_world(users=12, per_user=2)
    settings = SETTINGS.model_copy(update={"folds": None})
    seen = seen_counts(world, world.roles, settings, seed=0)
    assert seen.height == world.examples.height
    assert set(seen["user_seen"]) == {10}, "the history alone: a tested user has no training examples"
    row = world.examples.filter(pl.col("user_id") == 0).row(0, named=True)  # tested with fold 0, fold 1 stops early
    trained_on = world.examples.filter((pl.col("user_id") % 3 == 2) & (pl.col("item_id") == row["item_id"]))
    assert seen.filter(event_id=row["event_id"])["item_seen"].item() == trained_on.height
