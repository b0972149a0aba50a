"""The ranker as validator, on a world in which a text tells the user's habit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ranking_world import HabitEncoder, World, make_world

from trackrec.errors import RunError
from trackrec.judges.ranker import RankerValidator, RankerValidatorSettings
from trackrec.rankers.fit import FitSettings

SETTINGS = RankerValidatorSettings(
    recent=2, members=2, fit=FitSettings(epochs=8, batch=64, learning_rate=0.01, vector_dropout=0.2)
)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def targets(world: World, statistics: bool = True) -> pl.DataFrame:
    table = world.examples.select("user_id", "event_id", "item_id", "label")
    return table.with_columns(raters=pl.lit(10), likes=pl.lit(5)) if statistics else table


def texts(world: World) -> pl.DataFrame:
    rows = [(user, f"habit {value} of {user}") for user, value in world.habit.items()]
    return pl.DataFrame(rows, schema=["user_id", "text"], orient="row")


def candidates() -> pl.DataFrame:
    rows = [
        (user, sample, text)
        for user in (0, 1)
        for sample, text in ((-1, None), (0, "habit 2.0 x"), (1, "habit -2.0 y"))
    ]
    return pl.DataFrame(rows, schema=["user_id", "sample", "text"], orient="row")


def fitted(world: World, folder: Path, seed: int = 0, **update: object) -> tuple[RankerValidator, dict[str, object]]:
    validator = RankerValidator(world, world.items, SETTINGS.model_copy(update=update), HabitEncoder())
    return validator, validator.fit(targets(world), texts(world), folder, seed)


def test_it_believes_the_text_and_reports_it(world: World, tmp_path: Path) -> None:
    validator, report = fitted(world, tmp_path)
    assert report["auc_own"] > 0.8 > 0.7 > report["auc_placeholder"]
    assert report["own_preferred"] > 0.6
    assert report["users"] == 90
    assert report["users_without_reccot"] == 0
    scores = validator.score(targets(world), candidates())
    mean = {key[0]: part["yes_probability"].mean() for key, part in scores.group_by("sample")}
    assert mean[0] > 0.7
    assert mean[1] < 0.3
    assert 0.3 < mean[-1] < 0.7


def test_scores_have_one_row_per_reccot_and_target_in_order(world: World, tmp_path: Path) -> None:
    validator, _ = fitted(world, tmp_path)
    scores = validator.score(targets(world), candidates())
    assert scores.columns == ["user_id", "sample", "event_id", "label", "yes_probability"]
    assert scores.height == 6 * 20
    assert scores["event_id"][:20].to_list() == list(range(20))
    assert scores["sample"].to_list() == [s for _ in (0, 1) for s in (-1, 0, 1) for _ in range(20)]
    alone = validator.score(targets(world), candidates()[1:2])
    assert np.allclose(alone["yes_probability"], scores["yes_probability"][20:40], atol=1e-6)


def test_a_seed_decides_everything_and_a_folder_brings_it_back(world: World, tmp_path: Path) -> None:
    one, _ = fitted(world, tmp_path / "a")
    two, _ = fitted(world, tmp_path / "b")
    scores = one.score(targets(world), candidates())
    assert scores.equals(two.score(targets(world), candidates()))
    assert (tmp_path / "a/ranker.safetensors").read_bytes() == (tmp_path / "b/ranker.safetensors").read_bytes()
    loaded = RankerValidator(world, world.items, SETTINGS, HabitEncoder())
    loaded.load(tmp_path / "a")
    assert scores.equals(loaded.score(targets(world), candidates()))
    other, _ = fitted(world, tmp_path / "c", seed=1)
    assert not scores.equals(other.score(targets(world), candidates()))


def test_placeholder_rows_train_without_a_text(world: World, tmp_path: Path) -> None:
    validator = RankerValidator(world, world.items, SETTINGS, HabitEncoder())
    some = texts(world).with_columns(text=pl.when(pl.col("user_id") >= 5).then("text")).filter(pl.col("user_id") != 7)
    report = validator.fit(targets(world, statistics=False), some, tmp_path, 0)
    assert report["users_without_reccot"] == 6
    assert validator.score(targets(world, statistics=False), candidates()).height == 120


def test_what_cannot_work_is_refused(world: World, tmp_path: Path) -> None:
    validator = RankerValidator(world, world.items, SETTINGS, HabitEncoder())
    with pytest.raises(RunError, match="neither fitted nor loaded"):
        validator.score(targets(world), candidates())
    with pytest.raises(RunError, match="holds no ranker validator"):
        validator.load(tmp_path / "nothing")
    with pytest.raises(RunError, match="0 different RecCoTs"):
        validator.fit(targets(world), texts(world).with_columns(text=pl.lit(None, pl.String)), tmp_path, 0)
    with pytest.raises(RunError, match="are not examples of the split, for example event 5"):
        validator.fit(targets(world).with_columns(event_id=pl.lit(5)), texts(world), tmp_path, 0)
    with pytest.raises(RunError, match="got 3 users"):
        validator.fit(targets(world).filter(pl.col("user_id") < 3), texts(world), tmp_path, 0)
    fitted_one, _ = fitted(world, tmp_path / "x")
    with pytest.raises(RunError, match="raters and likes"):
        fitted_one.score(targets(world, statistics=False), candidates())
    wider = RankerValidator(world, world.items, SETTINGS.model_copy(update={"members": 3}), HabitEncoder())
    with pytest.raises(RunError, match="Fit it anew"):
        wider.load(tmp_path / "x")
