"""Recipes: typed, unknown keys refused by name, changed by key=value, written back whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest

from trackrec.errors import RecipeError
from trackrec.judges.lm import LMValidatorSettings
from trackrec.judges.matcher import MatcherSettings
from trackrec.recipe import Recipe, dump_recipe, load_recipe, make_recipe
from trackrec.settings import LATER, Settings, recorded
from trackrec.teachers.llm import LLMTeacherSettings


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(RecipeError, match=r"unknown setting 'loop\.round'; the nearest known one is 'loop\.rounds'"):
        make_recipe({"loop": {"round": 2}})
    with pytest.raises(RecipeError, match=r"unknown setting 'sed'; the nearest known one is 'seed'"):
        make_recipe({"sed": 2})
    message = r"'alignment\.training\.learning_rat'; the nearest known one is 'alignment\.training\.learning_rate'"
    with pytest.raises(RecipeError, match=message):
        make_recipe({"alignment": {"training": {"learning_rat": 2}}})


def test_a_value_of_the_wrong_kind_is_named() -> None:
    with pytest.raises(RecipeError, match=r"loop\.rounds: .*integer.*got 'many'"):
        make_recipe({"loop": {"rounds": "many"}})
    with pytest.raises(RecipeError, match=r"loop\.samples_per_user: .*got 1"):
        make_recipe({"loop": {"samples_per_user": 1}})


def test_changes_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nloop: {rounds: 3}\n")
    recipe = load_recipe(file, ["loop.rounds=1", "preferences.k=0.5", "write_for=30"])
    assert (recipe.name, recipe.loop.rounds, recipe.preferences.k, recipe.write_for) == ("mine", 1, 0.5, 30)
    with pytest.raises(RecipeError, match="expected key=value"):
        load_recipe(file, ["loop.rounds"])
    with pytest.raises(RecipeError, match="'name' is a value, not a group"):
        load_recipe(file, ["name.first=x"])


@pytest.mark.parametrize(
    ("change", "place", "kept"),
    [
        ("alignment.training.trees_per_step=3", "alignment.training.learning_rate", 0.0002),
        ("loop.writing.max_new_tokens=77", "loop.writing.temperature", 0.0),
        ("judge.training.trees_per_step=3", "judge.training.epochs", 2.0),
    ],
)
def test_a_group_that_is_changed_in_part_keeps_its_own_defaults(
    change: str, place: str, kept: float, tmp_path: Path
) -> None:
    (tmp_path / "bare.yaml").write_text("name: bare\n")
    recipe: Any = load_recipe(tmp_path / "bare.yaml", [change])
    for part in place.split("."):
        recipe = getattr(recipe, part)
    assert recipe == kept


def test_another_type_of_component_takes_nothing_from_the_default_one() -> None:
    recipe = make_recipe({"judge": {"type": "matcher", "learning_rate": 0.01}})
    assert type(recipe.judge) is MatcherSettings
    assert recipe.judge.model_dump() == MatcherSettings(learning_rate=0.01).model_dump()


def test_a_missing_recipe_lists_the_shipped_ones() -> None:
    names = "demo, lastfm-2k, lastfm-2k-cards, movielens-100k, .*paper, paper-7b-one-gpu, quick"
    with pytest.raises(RecipeError, match=rf"no recipe 'moviland'.*{names}"):
        load_recipe("moviland")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n"])
def test_a_file_that_is_no_recipe(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=r"bad\.yaml"):
        load_recipe(file)


def test_written_out_and_read_again_it_is_the_same(tmp_path: Path) -> None:
    recipe = make_recipe({"seed": 5, "prompts": {"validator_recent": "all"}})
    file = tmp_path / "whole.yaml"
    file.write_text(dump_recipe(recipe))
    assert load_recipe(file) == recipe
    assert load_recipe(file) != Recipe()


def test_the_paper_recipe_states_the_paper() -> None:
    paper = load_recipe("paper")
    assert (paper.loop.samples_per_user, paper.loop.rounds, paper.loop.targets_per_user) == (10, 3, 1)
    assert paper.prompts.validator_recent == "all"
    assert paper.reward.type == "probability"
    assert "7B" in paper.model.name
    assert paper.adapter.method == "full"
    assert (paper.alignment.beta, paper.alignment.training.learning_rate, paper.alignment.training.epochs) == (
        0.1,
        1e-6,
        1,
    )
    assert isinstance(paper.judge, LMValidatorSettings)
    assert (paper.judge.training.learning_rate, paper.judge.training.epochs) == (1e-5, 3)
    assert isinstance(paper.teacher, LLMTeacherSettings)
    assert paper.teacher.engine.model_dump()["model"] == "gpt-4o"
    assert not paper.teacher.engine.model_dump()["consent"], "nobody's data leaves by choosing a recipe"
    assert paper.distillation.lm_users == round(0.05 * 943), "5% of MovieLens-100K's users"
    lengths = (paper.loop.sampling, paper.loop.writing, paper.teacher.decoding)
    assert {decoding.max_new_tokens for decoding in lengths} == {512}


def test_the_one_gpu_recipe_differs_in_what_one_gpu_cannot_do() -> None:
    """LoRA instead of all weights, and so the learning rates; nothing else."""
    paper, small = (load_recipe(name).model_dump(mode="json") for name in ("paper", "paper-7b-one-gpu"))
    assert small["adapter"]["method"] == "lora"
    for tree in (paper, small):
        del tree["name"], tree["adapter"]
        for training in (tree["distillation"]["training"], tree["alignment"]["training"], tree["judge"]["training"]):
            del training["learning_rate"]
    assert small == paper


@pytest.mark.parametrize("name", ["../../x", "a/b", "a\\b", "", "..", "a\x1b[31m", ".hidden", "x" * 200])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(RecipeError, match=r"name: .*a recipe's name is also that of files"):
        make_recipe({"name": name})
    assert make_recipe({"name": "Filme (2026), übers Jahr"}).name == "Filme (2026), übers Jahr"


class _Part(Settings):
    size: int = 1
    came_later: Annotated[int, LATER] = 0


class _Whole(Settings):
    first: _Part = _Part()
    others: tuple[_Part, ...] = ()


def test_a_stage_records_no_later_setting_that_nobody_set() -> None:
    """However deep it lies; one that was set is recorded, and so is what was always there."""
    whole = _Whole(others=(_Part(), _Part(came_later=2)))
    assert recorded(whole) == {"first": {"size": 1}, "others": [{"size": 1}, {"size": 1, "came_later": 2}]}


def test_settings_that_came_later_are_marked() -> None:
    """What stages of the first runs recorded of these groups has none of them."""
    recipe = load_recipe("quick")
    later = {
        "split": {"new_items"}, "model": {"revision"}, "encoder": {"revision"}, "knowledge": {"as_genres"},
        "ranking": {"item_text", "item_components"},
    }  # fmt: skip
    for group, names in later.items():
        settings = getattr(recipe, group)
        assert set(type(settings).model_fields) - set(recorded(settings)) == names
