"""A paid teacher writes for a share of the users, and distillation learns from these."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.pipeline.loop import Loop
from trackrec.progress import Reporter
from trackrec.recipe import load_recipe


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


@pytest.mark.parametrize("number", [0, 99])
def test_texts_that_were_written_from_other_histories_are_refused(
    tiny_model_folder: Path, tmp_path: Path, number: int
) -> None:
    """Their numbers would be learnt as evidence that is not there: of other films, or of none."""
    rows = [{"user_id": user, "text": f"They like films of one kind [1, {number}]."} for user in range(1, 35)]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    teacher = {"type": "texts", "path": str(tmp_path / "texts.jsonl")}
    recipe = tiny_recipe(tiny_model_folder, write_tiny_log(tmp_path / "log"), teacher=teacher)
    run = open_run(recipe, tmp_path / "run", Reporter())
    with pytest.raises(
        RunError, match=rf"20 of the teacher's 20 texts cite .* such as event {number} of user .*max_hist"
    ):
        Loop(Components(recipe, run, prepare(recipe, run))).teach()


def _taught(folder: Path, recipe: str, *changes: str) -> dict[str, int]:
    made = load_recipe(recipe, changes)
    run = open_run(made, folder, Reporter())
    Loop(Components(made, run, prepare(made, run))).teach()
    return dict(run.manifest("teach")["counts"])


def test_the_shipped_texts_are_learnt_whole_by_their_own_recipe(tmp_path: Path) -> None:
    """Validation users, and extra users after the first 60, have none; nobody who is distilled lacks one."""
    found = _taught(tmp_path / "own", "movielens-100k-texts")
    longest = found.pop("longest")
    assert found == {
        "users": 92 + 200 + 32,
        "texts": 152,
        "over_budget": 0,
        "without_text": 140 + 32,
        "cite_nothing": 0,
        "not_english": 0,
    }
    assert 300 < longest <= 384


def test_the_shipped_texts_are_refused_where_histories_lack_films(tmp_path: Path) -> None:
    """A fifth of the films left out of the histories: the numbers of the events are those of other films."""
    changes = [
        "teacher={type: texts, missing: leave_out}",
        "prompts.reccot_tokens=384",
        "distillation.texts_per_user=1",
    ]
    with pytest.raises(RunError, match=r"142 of the teacher's 152 texts cite events .* split\.new_items"):
        _taught(tmp_path / "new", "movielens-100k-gpu", *changes)
