"""Full fine-tuning: all weights learn, versions are whole models that any loader takes, memory holds few of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch
from test_generator import HISTORIES, ITEMS, USERS, teacher_texts
from test_training import BETA, BRANCHES, NO, YES, answer_examples, count_answers, one, planted, preference_examples
from tiny_language import plain_logits
from transformers import AutoModelForCausalLM, AutoTokenizer

from trackrec.engines.base import Prompt
from trackrec.engines.torch import TorchEngine, TorchSettings
from trackrec.errors import RunError
from trackrec.lm.generator import AlignmentSettings, Generator
from trackrec.lm.model import AdapterSettings, LanguageModel, LanguageModelSettings, adapter_hash, holds_weights
from trackrec.lm.sampling import DecodingSettings
from trackrec.lm.scoring import answer_logits
from trackrec.lm.trainer import train
from trackrec.lm.training import TrainingSettings, answer_cross_entropy, preference_loss, sequence_logprobs
from trackrec.prompts import PromptSettings, Renderer

TEXT = [3, 50, 61, 7, 40]
FULL = AdapterSettings(method="full")


def full_model(folder: Path, dtype: str = "float32") -> LanguageModel:
    settings = LanguageModelSettings.model_validate(
        {"name": str(folder), "device": "cpu", "threads": 1, "dtype": dtype}
    )
    return LanguageModel(settings, FULL)


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> LanguageModel:
    return full_model(tiny_model_folder)


def settings(**changes: float) -> TrainingSettings:
    return TrainingSettings.model_validate({"learning_rate": 1e-3, "trees_per_step": 4} | changes)


def learn(model: LanguageModel, name: str, seed: int = 0) -> None:
    train(model, name, answer_examples(BRANCHES), answer_cross_entropy, settings(), seed, count_answers)


@torch.no_grad()
def logits(model: LanguageModel, name: str | None) -> torch.Tensor:
    with model.use(name):
        return plain_logits(model.base, TEXT)


def test_a_planted_rule_is_learnt_by_all_weights(model: LanguageModel) -> None:
    model.add("student", 0)
    start = {key: value.clone() for key, value in model.base.state_dict().items()}
    job = settings(learning_rate=3e-3, epochs=6, trees_per_pass=4)
    rows = train(model, "student", planted(40), answer_cross_entropy, job, 0, count_answers)
    assert rows[0]["loss"] > 6
    assert rows[-1]["loss"] < 0.6, "embeddings and head learn too: the answers' mass rises as no adapter lifts it"
    fresh = planted(60)[40:]
    found = answer_logits(model, "student", [(example.tree, example.segments) for example in fresh], (YES, NO))
    right = [
        float(row.softmax(dim=0)[0 if answer == YES else 1])
        for example, scores in zip(fresh, found, strict=True)
        for answer, row in zip(example.answers, scores, strict=True)
    ]
    assert sum(share > 0.9 for share in right) >= 57, "of 60"
    with model.use("student"):
        moved = [key for key, value in model.base.state_dict().items() if not torch.equal(value, start[key])]
    assert set(moved) == set(start), "every weight, norms and embeddings among them"
    assert all(torch.equal(value, start[key]) for key, value in model.base.state_dict().items()), (
        "the base did not move"
    )


def test_preferences_move_away_from_a_frozen_reference(model: LanguageModel) -> None:
    model.add("student", 0)
    groups = preference_examples(model, "student", (2, 3, 4, 3))
    before = [list(group.reference_logprobs) for group in groups]
    job = settings(learning_rate=1e-3, epochs=8)
    rows = train(model, "student", groups, preference_loss(BETA), job, 0, one)
    assert rows[-1]["preferences_right"] == rows[-1]["pairs"] == 8
    assert [group.reference_logprobs for group in groups] == before
    base = sequence_logprobs(model, None, groups)
    for group, parts in zip(groups, base, strict=True):
        expected = [sum(part) for part in parts]
        assert group.reference_logprobs == pytest.approx(expected, abs=1e-4), "the start was the base model"


def test_saved_and_loaded_it_is_the_same(model: LanguageModel, tmp_path: Path) -> None:
    model.add("student", 0)
    learn(model, "student")
    expected = logits(model, "student")
    model.save("student", tmp_path / "kept")
    assert holds_weights(tmp_path / "kept")
    assert not list((tmp_path / "kept").glob("*.bin")) + list((tmp_path / "kept").glob("*.pt"))
    other = full_model(model.path)
    other.load("again", tmp_path / "kept")
    assert torch.equal(logits(other, "again"), expected)
    assert torch.equal(plain_logits(other.merged("again"), TEXT).detach(), expected)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "kept").eval()
    torch.testing.assert_close(plain_logits(plain, TEXT).detach(), expected, atol=1e-5, rtol=1e-5)
    assert AutoTokenizer.from_pretrained(tmp_path / "kept").chat_template == model.tokenizer.chat_template
    other.save("again", tmp_path / "twice")
    assert adapter_hash(tmp_path / "twice") == adapter_hash(tmp_path / "kept")
    model.add("fresh", 0)
    model.save("fresh", tmp_path / "fresh")
    assert adapter_hash(tmp_path / "fresh") != adapter_hash(tmp_path / "kept")


def test_an_engine_takes_the_folder_as_its_model(model: LanguageModel, tmp_path: Path) -> None:
    model.add("student", 0)
    learn(model, "student")
    model.save("student", tmp_path / "kept")
    named = LanguageModelSettings(name=str(tmp_path / "kept"), device="cpu", threads=1)
    engine = TorchEngine(TorchSettings(model=named))
    score = engine.score([Prompt(token_ids=tuple(TEXT))], [(YES,), (NO,)])[0]
    expected = logits(model, "student")[-1].log_softmax(dim=-1)[[YES, NO]]
    assert list(score.log_probabilities) == pytest.approx(expected.tolist(), abs=1e-4)


def test_training_goes_on_from_what_was_saved(model: LanguageModel, tmp_path: Path) -> None:
    model.add("student", 0)
    learn(model, "student")
    model.save("student", tmp_path / "kept")
    learn(model, "student", seed=1)
    expected = logits(model, "student")
    model.load("student", tmp_path / "kept")
    learn(model, "student", seed=1)
    assert torch.equal(logits(model, "student"), expected)


def test_few_versions_are_in_memory(model: LanguageModel, tmp_path: Path) -> None:
    model.add("student", 0)
    learn(model, "student")
    model.save("student", tmp_path / "kept")
    for name in ("one", "two", "three"):
        model.load(name, tmp_path / "kept")
    assert model._full is not None
    assert set(model._full._models) == {"student", "three"}, "the trained one, and the last that was read"
    assert torch.equal(logits(model, "one"), logits(model, "student")), "the others are read again"
    model.drop("student")
    with pytest.raises(RunError, match="no version 'student' of the model: expected one of"):
        logits(model, "student")


def test_what_is_no_model_or_another_one_is_refused(model: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no model in .*empty: expected config.json and safetensors"):
        model.load("student", tmp_path / "empty")
    model.add("student", 0)
    model.save("student", tmp_path / "kept")
    weights = tmp_path / "kept" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(RunError, match=r"the weights in .*kept are damaged or of another model"):
        model.load("student", tmp_path / "kept")
    with pytest.raises(RunError, match="the whole model is fine-tuned"):
        _ = model.peft


def test_bfloat16_computes_and_float32_learns(tiny_model_folder: Path) -> None:
    """A rate near the paper's moves float32 weights; bfloat16 would round the whole training away."""
    model = full_model(tiny_model_folder, "bfloat16")
    model.add("student", 0)
    with model.use("student"):
        start = {key: value.clone() for key, value in model.base.state_dict().items()}
    job = settings(learning_rate=1e-6)
    train(model, "student", answer_examples(BRANCHES), answer_cross_entropy, job, 0, count_answers)
    with model.use("student"):
        after = model.base.state_dict()
        hidden = model.hidden([answer_examples((2,))[0].tree])[0]
    assert all(value.dtype == torch.float32 for value in after.values())
    key = "model.layers.0.mlp.up_proj.weight"
    assert float((after[key] != start[key]).float().mean()) > 0.9
    assert float((after[key].bfloat16() != start[key].bfloat16()).float().mean()) < 0.05, (
        "what bfloat16 would have kept"
    )
    merged = model.merged("student")
    assert merged.dtype == torch.bfloat16
    copied = model.hidden([answer_examples((2,))[0].tree], merged)[0]
    assert float((copied.float() - hidden.float()).norm() / hidden.float().norm()) < 0.03


def test_the_generator_learns_and_is_aligned_whole(model: LanguageModel, tmp_path: Path) -> None:
    generator = Generator(model, Renderer(model.tokenizer, ITEMS, PromptSettings(reccot_tokens=40)), HISTORIES)
    rows = generator.distil("writer", teacher_texts(USERS[:3]), settings(learning_rate=1e-2, epochs=10), seed=3)
    assert rows[-1]["loss"] < rows[0]["loss"] - 1
    model.save("writer", tmp_path / "writer")
    model.load("writer", tmp_path / "writer")
    decoding = DecodingSettings(max_new_tokens=10)
    samples = generator.writer("writer").write(USERS[:3], 3, decoding, seed=1)
    groups = pl.DataFrame(
        {"user_id": USERS[:3], "chosen_sample": [0] * 3, "rejected_samples": [[1, 2]] * 3, "weight": [1.0] * 3}
    )
    assert generator.preference_accuracy("writer", groups, samples).accuracy == 0.5, "nothing moved yet"
    aligned = AlignmentSettings(training=settings(learning_rate=1e-3, epochs=6))
    curve = generator.align("writer", groups, samples, aligned, seed=1)
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert generator.preference_accuracy("writer", groups, samples).accuracy > 0.9
    written = generator.writer("writer").write(USERS[:3], 1, decoding, seed=4)
    model.load("before", tmp_path / "writer")
    assert generator.divergence("before", written).per_sequence_k3 > 0
