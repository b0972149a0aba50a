"""A paid teacher writes for a share of the users, and distillation learns from these."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.data.roles import Role
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.pipeline.loop import Loop
from trackrec.progress import Reporter


@pytest.mark.parametrize(("asked", "taught"), [(3, 3), (50, 8)])
def test_so_many_users_are_taught(tiny_model_folder: Path, tmp_path: Path, asked: int, taught: int) -> None:
    training = {"epochs": 1, "trees_per_step": 2}
    changes = {"lm_users": asked, "texts_per_user": 1, "extra_users": 2, "training": training}
    recipe = tiny_recipe(tiny_model_folder, write_tiny_log(tmp_path / "log"), distillation=changes)
    run = open_run(recipe, tmp_path / "run", Reporter())
    dataset = prepare(recipe, run)
    loop = Loop(Components(recipe, run, dataset))
    loop.teach()
    loop.distil()
    written = set(run.read("teacher")["user_id"].to_list())
    assert len(written & set(dataset.users(Role.LM))) == taught
    assert set(dataset.users(Role.LM_EXTRA)) <= written, "validators may learn from these"
    assert not written & set(dataset.users(Role.LM_VALIDATION))
    learnt = run.manifest("distil")["counts"]["tuned_on"]
    assert len(learnt) == taught + 2
    assert set(learnt) <= written
