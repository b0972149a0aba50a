"""`trackrec prompts` and `trackrec knowledge`: users' exact prompts in a file, and consent before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_run import tiny_recipe, write_tiny_log
from transformers import AutoTokenizer
from typer.testing import CliRunner

from trackrec.cli import app
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.prompts import write_prompts
from trackrec.progress import Reporter
from trackrec.prompts import Renderer
from trackrec.recipe import Recipe, dump_recipe, make_recipe
from trackrec.run import Run


@pytest.fixture(scope="module")
def recipe(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    made = tiny_recipe(tiny_model_folder, write_tiny_log(tmp_path_factory.mktemp("log")))
    tree = made.model_dump(mode="json")
    return make_recipe(tree | {"prompts": tree["prompts"] | {"numbered": True, "digest": True}})


def test_the_messages_are_what_the_generator_reads(recipe: Recipe, tmp_path: Path) -> None:
    """Put into the model's own chat template they give its very token ids."""
    number = write_prompts(recipe, tmp_path / "prompts.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "prompts.jsonl").read_text().splitlines()]
    assert number == len(lines) == 20  # 8 LM users, 8 extra ones, 4 for validation
    world = prepare(recipe, Run(tmp_path / "run", Reporter(), recipe.seed))
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.name)
    renderer = Renderer(tokenizer, world.items, recipe.prompts)
    for line in lines:
        assert [message["role"] for message in line["messages"]] == ["system", "user"]
        text = tokenizer.apply_chat_template(line["messages"], tokenize=False, add_generation_prompt=True)
        history = world.history_rows[line["user_id"]]
        assert text == tokenizer.decode(renderer.generator_prompt(history))
    assert write_prompts(recipe, tmp_path / "all.jsonl", "all") == 34


def test_with_a_language_model_as_teacher_they_are_what_it_is_asked(recipe: Recipe, tmp_path: Path) -> None:
    """Nothing is sent, and no consent is needed to look."""
    asks = make_recipe(recipe.model_dump(mode="json") | {"teacher": {"type": "llm"}})
    assert write_prompts(asks, tmp_path / "prompts.jsonl") == 20
    system, user = json.loads((tmp_path / "prompts.jsonl").read_text().splitlines()[0])["messages"]
    assert "describe the taste of a viewer" in system["content"]
    assert user["content"].startswith("[1] ")


def test_the_commands_say_what_they_did(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe))
    done = CliRunner().invoke(app, ["prompts", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "p.jsonl")])
    assert done.exit_code == 0, done.output
    assert "20 prompts" in " ".join(done.output.split())
    refused = CliRunner().invoke(app, ["knowledge", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "c.jsonl")])
    assert refused.exit_code != 0
    assert "consent" in str(refused.exception)
    assert not (tmp_path / "c.jsonl").exists()
