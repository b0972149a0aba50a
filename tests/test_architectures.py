"""One suite for every kind of model, tiny and random: trees equal their copies, sampling equals transformers' own."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import write_tiny_tokenizer
from tiny_language import adapter_weights, add_moved, path, plain_logits, relative_error, tiny_language_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
)

from trackrec.errors import AssetError
from trackrec.lm.attention import ATTENTION
from trackrec.lm.head import LogitRule, logit_rule
from trackrec.lm.model import LanguageModel
from trackrec.lm.sampling import DecodingSettings, sample
from trackrec.lm.scoring import answer_logits
from trackrec.lm.tree import Tree

COMMON = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "initializer_range": 0.2}
GROUPED = COMMON | {"intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 256}
KINDS: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "qwen2": GROUPED,
    "qwen3": GROUPED,
    "mistral": GROUPED | {"sliding_window": 5},
    "gemma3_text": GROUPED | {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"] * 2},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.2},
    "gemma2": GROUPED | {"sliding_window": 5, "final_logit_softcapping": 1.5},
    "granite": GROUPED | {"logits_scaling": 8.0, "embedding_multiplier": 12.0},
    "hyperclovax": GROUPED | {"logits_scaling": 8.0},
    "cohere": GROUPED | {"logit_scale": 0.0625},
    "phi": GROUPED,
}
UNROLLED = {"gemma2"}
"""It caps the logits of its attention, which no plan does: every branch is computed as a copy of its own."""


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    kind = request.param
    folder = tmp_path_factory.mktemp(kind) / "model"
    folder.mkdir()
    write_tiny_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    settings = dict(KINDS[kind])
    if "layer_types" in settings:
        settings["layer_types"] = settings["layer_types"][: settings["num_hidden_layers"]]
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **settings,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = AutoModelForCausalLM.from_config(config).to(torch.float32)
        bias = fresh.get_output_embeddings().bias
        if bias is not None:  # it begins as zeros, which nobody would miss
            torch.nn.init.normal_(bias)
        fresh.save_pretrained(str(folder))
    made = tiny_language_model(folder)
    add_moved(made, "moved", seed=3)
    return made


def kind_of(model: LanguageModel) -> str:
    return str(model.base.config.model_type)


def tree_of(seed: int) -> Tree:
    """History, RecCoTs and targets, with a branch longer than any window, a one-token branch and twins."""
    numbers, tree = random.Random(seed), Tree()

    def tokens(length: int) -> list[int]:
        return [numbers.randrange(3, 300) for _ in range(length)]

    root = tree.add(tokens(7))
    for length in (1, 6, 3):
        reccot = tree.add(tokens(length), root)
        twin = tokens(2)
        for part in (tokens(4), twin, twin):
            tree.add(part, reccot)
    return tree


def test_plans_are_followed_where_they_can_be(model: LanguageModel) -> None:
    assert model.follows_plans == (kind_of(model) not in UNROLLED)
    assert (model.base.config._attn_implementation == ATTENTION) == model.follows_plans


def test_trees_equal_their_unrolled_copies(model: LanguageModel) -> None:
    """Logits and LoRA gradients, for two trees at once."""
    trees = [tree_of(1), tree_of(2)]
    weights = adapter_weights(model, "moved")
    generator = torch.Generator().manual_seed(0)
    with model.use("moved"):
        found = [model.logits(hidden) for hidden in model.hidden(trees)]
        tree_loss, copies_loss = torch.zeros(()), torch.zeros(())
        for tree, logits in zip(trees, found, strict=True):
            for segment, tokens in enumerate(tree.segments):
                ours = logits[list(tree.indices(segment))]
                plain = plain_logits(model.base, path(tree, segment))[-len(tokens) :].float()
                assert relative_error(ours, plain) <= 1e-4
                direction = torch.randn(ours.shape, generator=generator)
                tree_loss = tree_loss + (ours * direction).sum()
                copies_loss = copies_loss + (plain * direction).sum()
        ours_gradient = torch.autograd.grad(tree_loss, list(weights.values()))
        plain_gradient = torch.autograd.grad(copies_loss, list(weights.values()))
    compared = 0
    for name, one, other in zip(weights, ours_gradient, plain_gradient, strict=True):
        if other.norm() > 1e-4:
            compared += 1
            assert relative_error(one, other) <= 1e-4, name
    assert compared > len(weights) / 2


def test_answers_score_as_in_a_plain_pass(model: LanguageModel) -> None:
    """Whatever the model does to its logits: scaled, capped, with a bias."""
    answers = (17, 230)
    tree = tree_of(5)
    found = answer_logits(model, "moved", [(tree, tree.leaves())], answers)[0]
    with model.use("moved"), torch.no_grad():
        plain = [plain_logits(model.base, path(tree, leaf))[-1, list(answers)].float() for leaf in tree.leaves()]
    torch.testing.assert_close(found, torch.stack(plain), atol=1e-4, rtol=1e-3)


RULES = {"gemma2": LogitRule(cap=1.5), "granite": LogitRule(1 / 8.0), "hyperclovax": LogitRule(8.0)}
RULES["cohere"] = LogitRule(0.0625)


def test_what_a_model_does_to_its_logits_is_found_out(model: LanguageModel) -> None:
    assert logit_rule(model.base) == RULES.get(kind_of(model), LogitRule())


def test_a_model_that_does_something_else_is_refused(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    merged = model.merged(None)
    forward = type(merged).forward

    def doubled(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        output.logits = output.logits * 2 + 1
        return output

    monkeypatch.setattr(type(merged), "forward", doubled)
    with pytest.raises(AssetError, match=f"logits of a '{kind_of(model)}' model are off by"):
        logit_rule(merged)


def test_greedy_is_what_transformers_generates(model: LanguageModel) -> None:
    """More prompts than fit at a time, of uneven length, and texts longer than the window."""
    numbers = random.Random(4)
    prompts = [[numbers.randrange(3, 300) for _ in range(length)] for length in (3, 12, 1, 8)]
    merged = model.merged("moved")
    decoding = DecodingSettings(temperature=0, max_new_tokens=9)
    stops = list(range(3, 40))
    texts = sample(merged, prompts, range(4), 2, stops, decoding, rows=4)
    merged.set_attn_implementation("eager")
    for prompt, continuations in zip(prompts, texts, strict=True):
        ids = torch.tensor([prompt])
        output: Any = merged.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=9,
            eos_token_id=stops,
            pad_token_id=0,
        )
        assert [text.token_ids for text in continuations] == [output[0, len(prompt) :].tolist()] * 2


def test_sampled_logprobs_are_those_of_a_plain_pass(model: LanguageModel) -> None:
    merged = model.merged("moved")
    prompt = [5, 6, 7, 8, 9, 10, 11]
    texts = sample(merged, [prompt], [1], 3, [299], DecodingSettings(max_new_tokens=8))[0]
    assert len({tuple(text.token_ids) for text in texts}) > 1
    merged.set_attn_implementation("eager")
    for text in texts:
        with torch.no_grad():
            logits = plain_logits(merged, [*prompt, *text.token_ids])[len(prompt) - 1 : -1].float()
        expected = logits.log_softmax(dim=-1).gather(-1, torch.tensor(text.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(text.token_logprobs), expected, atol=2e-4, rtol=1e-4)


def test_a_model_that_cannot_says_so(model: LanguageModel, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with caplog.at_level(logging.WARNING, logger="trackrec"):
        again = tiny_language_model(model.path)
    told = [record.getMessage() for record in caplog.records if "shared tokens once" in record.getMessage()]
    assert bool(told) == (not again.follows_plans)
    if told:
        assert kind_of(model) in told[0]
        assert "several times as long" in told[0]
