"""One budget of tokens: what follows it, what is refused, and that nothing beyond it is lost without a count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_run import tiny_recipe, write_tiny_log
from transformers import AutoTokenizer

from trackrec.errors import RecipeError, RunError
from trackrec.pipeline.job import run_recipe
from trackrec.pipeline.preflight import check_settings
from trackrec.pipeline.teacher_texts import beyond_validator, check_budget
from trackrec.prompts.renderer import PromptSettings, Renderer
from trackrec.recipe import Recipe, dump_recipe, load_recipe, make_recipe, shipped

ITEMS = pl.DataFrame({"item_id": [1], "title": ["Fargo (1996)"], "year": [1996], "genres": [["Crime"]]})


def lengths(recipe: Recipe) -> tuple[int, int, Any]:
    return (
        recipe.loop.sampling.max_new_tokens,
        recipe.loop.writing.max_new_tokens,
        getattr(recipe.teacher, "max_tokens", None),
    )


def test_what_is_left_out_follows_the_budget() -> None:
    assert lengths(make_recipe({})) == lengths(Recipe()) == (64, 64, 60)
    followed = make_recipe({"prompts": {"reccot_tokens": 176}})
    assert lengths(followed) == (176, 176, 172)
    assert (followed.loop.sampling.temperature, followed.loop.writing.temperature) == (1.0, 0.0)
    some = {"sampling": {"top_p": 0.9, "max_new_tokens": None}, "writing": {"temperature": 0, "max_new_tokens": 90}}
    tree = {"prompts": {"reccot_tokens": 100}, "loop": some, "teacher": {"omit": 0.25}}
    mixed = make_recipe(tree)
    assert lengths(mixed) == (100, 90, 96)
    assert mixed.loop.sampling.top_p == 0.9
    assert tree == {"prompts": {"reccot_tokens": 100}, "loop": some, "teacher": {"omit": 0.25}}, "left as it was"


def test_a_language_model_is_asked_for_what_fits() -> None:
    asked = make_recipe({"prompts": {"reccot_tokens": 400}, "teacher": {"type": "llm", "decoding": {"top_p": 0.9}}})
    teacher: Any = asked.teacher
    assert teacher.words == (120, 240)
    assert teacher.decoding.max_new_tokens == 800
    teacher = make_recipe({"teacher": {"type": "llm", "words": [50, 60]}}).teacher
    assert (teacher.words, teacher.decoding.max_new_tokens) == ((50, 60), 512)
    assert teacher.decoding.temperature == 0.7


def test_a_recipe_written_out_is_the_same_recipe(tmp_path: Path) -> None:
    recipe = make_recipe({"prompts": {"reccot_tokens": 90}})
    (tmp_path / "r.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "r.yaml") == recipe
    changed = load_recipe(tmp_path / "r.yaml", ["prompts.reccot_tokens=91"])
    assert lengths(changed) == (90, 90, 86), "what is written out stays"


@pytest.mark.parametrize("path", sorted(shipped().glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_read_what_they_write(path: Path) -> None:
    recipe = load_recipe(path)
    check_settings(recipe.model_copy(update={"model": Recipe().model}))
    assert {recipe.loop.sampling.max_new_tokens, recipe.loop.writing.max_new_tokens} == {recipe.prompts.reccot_tokens}


def test_more_than_the_validator_reads_is_refused() -> None:
    recipe = make_recipe({"prompts": {"reccot_tokens": 40}, "loop": {"sampling": {"max_new_tokens": 41}}})
    with pytest.raises(RecipeError, match=r"loop\.sampling\.max_new_tokens is 41, but the validator reads 40 tokens"):
        check_settings(recipe)


@pytest.fixture(scope="module")
def renderer(tiny_model_folder: Path) -> Renderer:
    return Renderer(AutoTokenizer.from_pretrained(str(tiny_model_folder)), ITEMS, PromptSettings(reccot_tokens=12))


def test_lengths_are_those_of_what_is_learnt_and_read(renderer: Renderer) -> None:
    wide = Renderer(renderer._plain._tokenizer, ITEMS, PromptSettings(reccot_tokens=500))
    for text in ("They like crime.", "They like crime. They do not like horror [1, 2].", "a  b\n c"):
        written, read = renderer.reccot_lengths(text)
        assert written == len(wide.reccot_ids(text))
        assert read == len(wide.reccot_segment(text)) - len(wide.reccot_segment("")) + wide.reccot_lengths("")[1]


def test_what_is_beyond_the_budget_is_counted_and_refused_above_a_share(renderer: Renderer) -> None:
    short, long = "Crime.", "They like crime and drama. They do not like horror, and they do not like comedy."
    longest = max(renderer.reccot_lengths(long))
    assert max(renderer.reccot_lengths(short)) <= 12 < longest
    assert check_budget([short] * 9 + [long], renderer, 0.1) == {"over_budget": 1, "longest": longest}
    with pytest.raises(RunError, match=rf"2 of the teacher's 10 texts .* 12 tokens .*reccot_tokens={longest}"):
        check_budget([short] * 8 + [long] * 2, renderer, 0.1)
    assert check_budget([], renderer, 0.0) == {"over_budget": 0, "longest": 0}
    assert beyond_validator([short, long, long], renderer) == 2


def test_a_run_stops_at_a_teacher_that_writes_too_much(tiny_model_folder: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    rows = ({"user_id": user, "text": "They like crime and drama. " * 20} for user in range(1, 35))
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree = tiny_recipe(tiny_model_folder, write_tiny_log(tmp_path / "log")).model_dump(mode="json")
    tree |= {"teacher": {"type": "texts", "path": str(texts)}, "over_budget_share": 0.1}
    with pytest.raises(RunError, match=r"20 of the teacher's 20 texts take more than the 16 tokens"):
        run_recipe(make_recipe(tree), tmp_path / "run")
    assert not (tmp_path / "run/manifests/teach.json").exists()
