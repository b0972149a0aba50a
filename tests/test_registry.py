"""Components by name: built-in ones, a stranger's, and what is said of those that are none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trackrec.errors import RecipeError
from trackrec.recipe import load_recipe, make_recipe
from trackrec.registry import BUILT_IN, find, known, settings_class, short_name

SHOP = '''
import polars as pl
from trackrec.judges.rewards import ExtraRewardSettings

class BrevitySettings(ExtraRewardSettings):
    type: str = "my_shop_rewards:Brevity"
    most: int = 300
    """Characters of a text that earns nothing."""

class Brevity:
    Settings = BrevitySettings

    def __init__(self, settings): self.most = settings.most

    @classmethod
    def make(cls, settings, context): return cls(settings)

    def __call__(self, scores, texts, histories):
        shorter = 1 - pl.col("text").str.len_chars() / self.most
        return texts.select("user_id", "sample", reward=shorter)
'''


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in BUILT_IN.items() for name in names])
def test_every_built_in_component_is_there(kind: str, name: str) -> None:
    found = find(kind, name)  # type: ignore[arg-type]
    if kind not in ("backbone", "source"):
        assert settings_class(kind, name).model_fields["type"].default == name  # type: ignore[arg-type]
        assert callable(found.make)


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="no judge 'rankr': known are lm, matcher, ranker, served; the nearest is"):
        make_recipe({"judge": {"type": "rankr"}})
    with pytest.raises(
        RecipeError, match=r"unknown setting 'judge\.item_prio'; the nearest known one is 'judge\.item_"
    ):
        make_recipe({"judge": {"item_prio": 3}})
    with pytest.raises(
        RecipeError, match=r"unknown setting 'observer\.membrs'; the nearest known one is 'observer\.memb"
    ):
        make_recipe({"observer": {"type": "ranker", "membrs": 2}})
    with pytest.raises(
        RecipeError, match=r"unknown setting 'extra_rewards\.0\.wait'; .* is 'extra_rewards\.0\.weight'"
    ):
        make_recipe({"extra_rewards": [{"type": "grounding", "wait": 2}]})


def test_a_new_type_begins_with_its_own_settings() -> None:
    recipe = load_recipe("quick", ["judge.type=ranker", "judge.members=2"])
    assert recipe.judge == find("judge", "ranker").Settings(members=2)
    assert load_recipe("quick", ["judge.type=lm"]) == load_recipe("quick")


def test_judge_and_observer_cannot_be_of_one_type() -> None:
    with pytest.raises(RecipeError, match="judge and observer are both of type 'lm'"):
        make_recipe({"judge": {"type": "lm"}, "observer": {"type": "lm"}})


def test_a_component_of_ones_own_by_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_shop_rewards.py").write_text(SHOP, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = make_recipe({"extra_rewards": [{"type": "my_shop_rewards:Brevity", "most": 200, "weight": 0.1}]})
    assert recipe.extra_rewards[0].most == 200  # type: ignore[attr-defined]
    assert short_name(recipe.extra_rewards[0]) == "brevity"
    with pytest.raises(RecipeError, match=r"unknown setting 'extra_rewards\.0\.moost'; .* 'extra_rewards\.0\.most'"):
        make_recipe({"extra_rewards": [{"type": "my_shop_rewards:Brevity", "moost": 2}]})
    sys.modules.pop("my_shop_rewards")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module:Judge", "cannot be imported"),
        ("json:Judge", "has no 'Judge'"),
        ("json:JSONDecoder", "is no component: expected a class with `Settings`"),
    ],
)
def test_what_is_no_component_is_refused(path: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_recipe({"judge": {"type": path}})


def test_entry_points_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from trackrec import registry

    monkeypatch.setattr(registry, "_from_entry_points", lambda kind: {"mine": "json:JSONDecoder"})
    assert known("backbone") | {} == {"mine": "json:JSONDecoder"} | BUILT_IN["backbone"]
    assert find("backbone", "mine").__name__ == "JSONDecoder"


@pytest.mark.parametrize(
    "path", [".own:Teacher", ":Teacher", "a..b:Teacher", "broken_module:Teacher", "ending_module:T"]
)
def test_a_module_that_cannot_be_imported_is_a_sentence(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text("1 / 0")
    (tmp_path / "ending_module.py").write_text("def ")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecipeError, match="cannot be imported"):
        make_recipe({"teacher": {"type": path}})
