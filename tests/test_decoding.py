"""Repetition penalty, stop phrases and line ends: what ends a text and keeps it from going round in circles."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from tiny_language import add_moved, tiny_language_model

from trackrec.engines.base import Capabilities, Decoding, GenerateRequest, Message, needs_of
from trackrec.engines.bodies import generate_body, request_key
from trackrec.engines.cache import key_of
from trackrec.engines.openai_settings import SERVERS, OpenAISettings
from trackrec.lm.generator import Generator
from trackrec.lm.model import LanguageModel
from trackrec.lm.sampling import DecodingSettings, sample, until_stop
from trackrec.prompts import PromptSettings, Renderer
from trackrec.recipe import load_recipe
from trackrec.settings import recorded

NEW = 14


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> LanguageModel:
    made = tiny_language_model(tiny_model_folder)
    add_moved(made, "writer", seed=5)
    return made


@pytest.mark.parametrize("rows", [64, 2])
def test_penalised_greedy_is_what_transformers_generates(model: LanguageModel, rows: int) -> None:
    """Prompts of uneven length, more than fit at a time: a slot that is given to the next prompt forgets the last."""
    numbers = random.Random(3)
    prompts = [[numbers.randrange(3, 300) for _ in range(length)] for length in (3, 17, 1, 8, 30)]
    merged = model.merged("writer")
    decoding = DecodingSettings(temperature=0, max_new_tokens=NEW, repetition_penalty=1.4)
    texts = sample(merged, prompts, range(5), 2, [299], decoding, rows=rows)
    plain = sample(merged, prompts, range(5), 1, [299], decoding.model_copy(update={"repetition_penalty": 1.0}))
    assert sum(a[0].token_ids != b[0].token_ids for a, b in zip(texts, plain, strict=True)) >= 3, "it does something"
    merged.set_attn_implementation("sdpa")
    generate: Any = merged.generate
    for prompt, continuations in zip(prompts, texts, strict=True):
        ids = torch.tensor([prompt])
        found = generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=NEW,
            repetition_penalty=1.4,
            eos_token_id=299,
            pad_token_id=0,
        )
        assert [text.token_ids for text in continuations] == [found[0, len(prompt) :].tolist()] * 2


def test_the_first_stop_phrase_ends_a_text() -> None:
    letters = "one, two. three"

    def decode(ids: list[int]) -> str:
        return "".join(letters[i] for i in ids)

    assert until_stop(decode, range(len(letters)), ("three", ". ", ",")) == (4, ",")
    assert until_stop(decode, range(len(letters)), (". t",)) == (11, ". t")
    assert until_stop(decode, range(len(letters)), ("four",)) == (15, None)
    assert until_stop(decode, range(len(letters)), ()) == (15, None)


def renderer(model: LanguageModel, tokens: int) -> Renderer:
    titles = ["Toy Story (1995)", "Fargo (1996)"]
    items = pl.DataFrame({"item_id": [1, 2], "title": titles, "year": [1995, 1996], "genres": [["Comedy"], ["Crime"]]})
    return Renderer(model.tokenizer, items, PromptSettings(reccot_tokens=tokens))


@pytest.fixture(scope="module")
def generator(model: LanguageModel) -> Generator:
    histories = {user: [{"item_id": 1 + user % 2, "rating": 4.0}] for user in range(3)}
    return Generator(model, renderer(model, NEW), histories)


def test_a_generators_text_ends_at_its_stop_phrase(generator: Generator) -> None:
    """The phrase is taken from what is written without one; tokens, log-probabilities and text end with it."""
    writer = generator.writer("writer")
    free = writer.write([0, 1, 2], 2, DecodingSettings(max_new_tokens=NEW), 1)
    row = next(row for row in free.iter_rows(named=True) if len(row["text"].split()) > 3)
    phrase = row["text"].split()[2]
    held = writer.write([0, 1, 2], 2, DecodingSettings(max_new_tokens=NEW, stop=(phrase,)), 1)
    for before, after in zip(free.iter_rows(named=True), held.iter_rows(named=True), strict=True):
        if phrase not in before["text"]:
            assert after == before
            continue
        assert after["finished"]
        assert after["text"] == before["text"].partition(phrase)[0].strip()
        count = len(after["token_ids"])
        assert after["token_ids"] == before["token_ids"][:count]
        assert after["token_logprobs"] == before["token_logprobs"][:count]
        assert phrase in generator.renderer.decode(after["token_ids"])
        assert phrase not in generator.renderer.decode(after["token_ids"][:-1])
    assert not held.equals(free)


TEXT = "They rate strictly.\n\n- likes: crime\n- dislikes: musicals\nSo recommend Fargo."


def test_line_ends_of_a_reccot_are_learnt_as_they_stand(model: LanguageModel) -> None:
    wide = renderer(model, 200)
    ids = wide.reccot_ids(TEXT)
    assert ids[-1] == wide.stop_ids[0]
    assert wide.decode(ids) == TEXT
    assert wide.reccot_lengths(TEXT)[0] == len(ids)
    untidy = " They rate strictly.\r\n\n\n\n- likes:\tcrime\x0b- dislikes: musicals\nSo recommend Fargo. \n"
    assert wide.decode(wide.reccot_ids(untidy)) == TEXT, "one empty line at most, one space, any kind of line end"
    segment = wide.decode(wide.reccot_segment(TEXT))
    assert "\n" not in segment, "the validator reads it on one line: a line of its own could pass for a target"
    assert segment.endswith("- dislikes: musicals So recommend Fargo.")


def test_beyond_the_budget_whole_lines_go(model: LanguageModel) -> None:
    short = TEXT.partition("\n- dislikes")[0]
    tight = renderer(model, len(renderer(model, 200).reccot_ids(short)))
    assert tight.decode(tight.reccot_ids(TEXT)) == short


def test_endpoints_are_told_by_their_own_name_and_what_was_paid_before_is_found() -> None:
    request = GenerateRequest((Message("user", "Hi"),), seed=4)
    bodies = {}
    for server in ("vllm", "sglang", "llama.cpp"):
        settings = OpenAISettings(model="m", server=server, consent=True)
        bodies[server] = generate_body(settings, request, 0, 1, Decoding(repetition_penalty=1.2))
        assert "penalty" not in json.dumps(generate_body(settings, request, 0, 1, Decoding()))
    assert bodies["vllm"]["repetition_penalty"] == bodies["sglang"]["repetition_penalty"] == 1.2
    assert (bodies["llama.cpp"]["repeat_penalty"], bodies["llama.cpp"]["repeat_last_n"]) == (1.2, 131_072)
    settings = OpenAISettings(model="m", server="vllm", consent=True)
    earlier = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 64, "stop": [], "json_schema": None}
    parts = {"form": 1, "base_url": settings.base_url, "model": "m", "decoding": earlier | {"log_probabilities": False}}
    parts |= {"prompt": {"messages": [{"role": "user", "content": "Hi"}]}, "seed": 4, "extra_body": {}}
    assert request_key(settings, request, Decoding()) == key_of(parts), "the key of an answer that was paid long ago"
    assert request_key(settings, request, Decoding(repetition_penalty=1.2)) != key_of(parts)


def test_who_lacks_a_penalty_is_refused() -> None:
    request = [GenerateRequest((Message("user", "Hi"),))]
    assert needs_of(request, Decoding()) == ["messages"]
    assert needs_of(request, Decoding(repetition_penalty=1.2)) == ["messages", "repetition_penalty"]
    have = {name for name, can in SERVERS.items() if can.repetition_penalty}
    assert have == {"vllm", "sglang", "llama.cpp"}
    assert not Capabilities().repetition_penalty


def test_a_recipe_takes_them() -> None:
    told = ["loop.sampling.repetition_penalty=1.1", 'loop.writing={temperature: 0, stop: ["\\n\\n"]}']
    recipe = load_recipe("quick", told)
    assert recipe.loop.sampling.repetition_penalty == 1.1
    assert recipe.loop.writing.stop == ("\n\n",)
    assert recipe.loop.writing.max_new_tokens == recipe.prompts.reccot_tokens


def test_stages_of_runs_from_before_stay_finished() -> None:
    """What they recorded has neither setting; an engine's decoding always had stop phrases."""
    before = {"temperature": 0.0, "top_p": 1.0, "max_new_tokens": 9}
    assert recorded(DecodingSettings(temperature=0, max_new_tokens=9)) == before
    told = DecodingSettings(temperature=0, max_new_tokens=9, stop=("x",), repetition_penalty=1.1)
    assert recorded(told) == before | {"stop": ["x"], "repetition_penalty": 1.1}
    assert recorded(Decoding())["stop"] == []
