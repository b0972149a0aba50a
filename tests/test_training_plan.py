"""What training takes: the arithmetic by hand, real weights, and the two recipes of the paper on their cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call
from tiny_language import tiny_language_model

from trackrec.errors import AssetError, RecipeError
from trackrec.lm.sizes import (
    Shape,
    cache_bytes,
    operations,
    shape_in,
    shape_of,
    texts_at_once,
    training_bytes,
    writing_bytes,
)
from trackrec.pipeline.training_plan import plan_training, read_card
from trackrec.recipe import load_recipe, make_recipe

SMALL = Shape(layers=2, hidden=8, heads=2, key_heads=1, width=4, inner=16, words=100, tied=False, biased=False)


def test_the_weights_of_known_models_are_those_they_are_published_with() -> None:
    assert shape_of("Qwen/Qwen2.5-7B-Instruct").weights == 7_615_616_512
    assert shape_of("Qwen/Qwen2.5-0.5B-Instruct").weights == 494_032_768
    assert shape_of("meta-llama/Llama-3.1-8B-Instruct").weights == 8_030_261_248


def test_the_weights_of_a_folder_are_those_of_its_model(tiny_model_folder: Path) -> None:
    model = tiny_language_model(tiny_model_folder, rank=4)
    model.add("student", 0)
    shape = shape_of(str(tiny_model_folder))
    assert shape.weights == sum(weight.numel() for weight in model.merged(None).parameters())
    trained = [weight.numel() for name, weight in model.peft.named_parameters() if ".student." in name]
    assert shape.lora_weights(4) == sum(trained)


def test_memory_by_hand() -> None:
    """Two layers: 8 x 4 x (4 + 2) attention, 3 x 8 x 16 MLP, 16 norms; 1,600 of embedding and head, 8 of a norm."""
    assert SMALL.weights == 2 * (192 + 384 + 16) + 1600 + 8 == 2792
    assert SMALL.lora_weights(3) == 3 * 2 * (2 * (8 + 8) + 2 * (8 + 4) + 3 * (8 + 16)) == 768
    assert SMALL.numbers_a_token == 4 * 8 + 2 * 16 + 8 + 4 * 16 == 136
    full = training_bytes(SMALL, "bfloat16", None, tokens=10, learnt=5, recomputes=True)
    assert full == {
        "weights": 4 * 2792,
        "optimizer": 12 * 2792,
        "activations": 2 * 10 * 8 * 4 + 10 * 136 * 2,
        "logits": 5 * 100 * 14,
    }
    lora = training_bytes(SMALL, "bfloat16", 3, tokens=10, learnt=5, recomputes=False)
    assert lora == {
        "weights": 2 * 2792 + 4 * 768,
        "optimizer": 12 * 768,
        "activations": 2 * 10 * 136 * 2,
        "logits": 7000,
    }
    assert cache_bytes(SMALL, "float32") == 2 * 2 * 1 * 4 * 4 == 64
    writing = writing_bytes(SMALL, "float32", prompt=20, text=5, n=3, texts=6)
    assert writing == {"weights": 4 * 2792, "cache": 64 * 2 * (20 + 15), "logits": 16 * 6 * 100}
    assert operations(SMALL, full=False, recomputes=True) == {"read": 2 * 2792, "train": 6 * 2792}
    assert operations(SMALL, full=True, recomputes=True)["train"] == 8 * 2792


def test_as_many_texts_at_once_as_the_cache_holds() -> None:
    """64 bytes a token, prompts of 20 and three texts of 5: 2,240 bytes a prompt."""
    assert texts_at_once(SMALL, "float32", 5 * 2240 / 1e9, 20, 5, 3, most=512) == 15
    assert texts_at_once(SMALL, "float32", 5 * 2240 / 1e9, 20, 5, 3, most=10) == 10
    assert texts_at_once(SMALL, "float32", 1e-9, 20, 5, 3, most=512) == 3, "one prompt at least"


def test_the_plan_of_a_recipe_by_hand() -> None:
    recipe = make_recipe(
        {
            "model": {"name": "Qwen/Qwen2.5-0.5B-Instruct", "dtype": "bfloat16"},
            "adapter": {"rank": 8},
            "roles": {"lm_users": 10, "lm_extra_users": 0, "lm_validation_users": 2, "ranker_users": 30},
            "prompts": {"history_tokens": 80, "validator_recent": 2, "reccot_tokens": 50},
            "distillation": {"texts_per_user": 2, "training": {"epochs": 3}},
            "loop": {"rounds": 1, "targets_per_user": 4, "samples_per_user": 4},
            "alignment": {"training": {"epochs": 1}},
            "judge": {"training": {"epochs": 2}},
            "preferences": {"max_rejected": 2},
            "evaluation": {"users": 20},
        }
    )
    found = plan_training(recipe, "a100")
    prompt, judged = 120 + 80, 120 + 2 * 24
    millions = {
        "distil": 3 * 10 * (prompt + 2 * 50),
        "align": 10 * (prompt + 3 * 50),
        "tune": 2 * 5 * (2 * 2 + 1) * (judged + 50 + 4 * 24),
        "write": 2 * (12 + 20) * (prompt + 50),
        "sample": 12 * (prompt + 4 * 50),
        "score": 12 * (judged + 5 * (50 + 4 * 24)),
    }
    assert found["tokens_million"] == {stage: round(tokens / 1e6, 2) for stage, tokens in millions.items()}
    trained = shape_of("Qwen/Qwen2.5-0.5B-Instruct").lora_weights(8)
    assert found["model"]["trained_weights"] == trained
    assert found["model"]["kept_on_disk_gb"] == round(4 * trained * (2 + 5 + 2) / 1e9, 1)
    assert found["memory"]["fits"]


def test_the_papers_recipes_on_their_cards() -> None:
    """All weights of 7B take 16 bytes each, 122 GB, on every card; an adapter fits one of 80 GB with room."""
    paper = load_recipe("paper")
    assert plan_training(paper, "h200", 8)["memory"]["fits"]
    small = plan_training(paper, "h100", 8)
    assert not small["memory"]["fits"]
    assert sum(small["memory_of_the_largest"][part] for part in ("weights", "optimizer")) == pytest.approx(
        121.8, abs=0.2
    )
    one = plan_training(load_recipe("paper-7b-one-gpu"), "h100")
    assert one["memory"]["fits"]
    assert 20 < one["memory"]["align_gb"] < 60
    assert one["memory_of_the_largest"]["base"] == 15.2
    assert one["hours"]["all"] == pytest.approx(sum(v for k, v in one["hours"].items() if k != "all"), abs=0.1)
    eight = plan_training(paper, "h200", 8)["hours"]
    assert eight["align"] == pytest.approx(plan_training(paper, "h200")["hours"]["align"] / 8, abs=0.01)
    assert eight["sample"] == plan_training(paper, "h200")["hours"]["sample"], "the first process writes alone"


@pytest.mark.parametrize("recipe", ["paper", "paper-7b-one-gpu", "movielens-100k-texts"])
def test_the_parts_of_the_largest_stage_are_all_told(recipe: str) -> None:
    found = plan_training(load_recipe(recipe), "h100")
    largest = found["memory"][f"{found['memory']['largest']}_gb"]
    assert sum(found["memory_of_the_largest"].values()) == pytest.approx(largest, abs=0.21)


def test_what_cannot_be_planned_is_said(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"the sizes of the model 'a/b' are not known here: give the folder"):
        shape_of("a/b")
    with pytest.raises(RecipeError, match=r"the configuration of 'x' does not tell its sizes"):
        shape_in({"hidden_size": 4}, "x")
    with pytest.raises(RecipeError, match="no card 'gtx': expected a YAML file, or one of h100, h200, a100"):
        read_card("gtx")
    with pytest.raises(RecipeError, match="align: trees_per_step is 16, which 3 processes cannot share evenly"):
        plan_training(load_recipe("paper", ["distillation.training.trees_per_step=9"]), "h200", 3)
    own = tmp_path / "mine.yaml"
    own.write_text("mine: {memory_gb: 24, train_tflops: 60, read_tflops: 60, bandwidth_tb: 0.7, write_ms: 30}\n")
    assert read_card(str(own))[1].memory_gb == 24
    own.write_text("mine: {memory_gb: 24}\n")
    with pytest.raises(RecipeError, match="holds no cards"):
        read_card(str(own))


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "plan", "--recipe", "paper-7b-one-gpu", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["memory"]["card"] == "1 x h100 (82 GB each)"
    assert call(monkeypatch, "plan") != 0
