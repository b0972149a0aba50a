"""Sampling: the same texts as transformers writes, true log-probabilities, and a prompt's neighbours do not matter."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_language import add_moved, plain_logits, plain_logprobs, tiny_language_model
from transformers import PreTrainedModel

from trackrec.lm.sampling import DecodingSettings, draw, invert, sample
from trackrec.lm.shared_prefix import SharedPrompts

LENGTHS = (3, 17, 1, 8, 30, 8)
NEW = 12


def own_attention(model: PreTrainedModel) -> PreTrainedModel:
    model.set_attn_implementation("sdpa")
    return model


@pytest.fixture(scope="module")
def models(tiny_model_folder: Path) -> tuple[PreTrainedModel, PreTrainedModel]:
    """The model that samples, and the same one with transformers' own attention."""
    language_model = tiny_language_model(tiny_model_folder)
    add_moved(language_model, "writer", seed=5)
    return language_model.merged("writer"), own_attention(language_model.merged("writer"))


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    """Prompts of uneven length, so that shorter ones are padded."""
    numbers = random.Random(0)
    return [[numbers.randrange(3, 300) for _ in range(length)] for length in LENGTHS]


def generated(model: Any, prompt: list[int], stop_ids: list[int], new: int = NEW) -> list[int]:
    """What transformers' greedy search writes after one prompt alone."""
    ids = torch.tensor([prompt])
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=new,
        eos_token_id=stop_ids or None,
        pad_token_id=0,
    )
    return output[0, len(prompt) :].tolist()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def greedy_stops(models: tuple[PreTrainedModel, PreTrainedModel], prompts: list[list[int]]) -> list[int]:
    """Two tokens that end the greedy texts of several prompts early, at different steps."""
    texts = [generated(models[1], prompt, stop_ids=[299]) for prompt in prompts]
    stops = [texts[0][0], texts[3][4]]
    lengths = [min([text.index(stop) + 1 for stop in stops if stop in text], default=NEW) for text in texts]
    assert len(set(lengths)) >= 3, f"the planted stop tokens end the texts too evenly: {lengths}"
    return stops


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were in each decoding step."""
    calls: list[int] = []
    step = SharedPrompts.step

    def spy(self: SharedPrompts, rows: torch.Tensor) -> torch.Tensor:
        calls.append(len(rows))
        return step(self, rows)

    monkeypatch.setattr(SharedPrompts, "step", spy)
    return calls


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(("rows", "token_budget"), [(64, 2048), (64, 40), (3, 2048), (1, 40)])
def test_greedy_is_what_transformers_generates(
    models: tuple[PreTrainedModel, PreTrainedModel],
    prompts: list[list[int]],
    greedy_stops: list[int],
    writing: list[int],
    n: int,
    rows: int,
    token_budget: int,
) -> None:
    decoding = DecodingSettings(temperature=0, max_new_tokens=NEW)
    texts = sample(models[0], prompts, range(len(prompts)), n, greedy_stops, decoding, rows, token_budget)
    for prompt, continuations in zip(prompts, texts, strict=True):
        expected = generated(models[1], prompt, greedy_stops)
        assert [text.token_ids for text in continuations] == [expected] * n
        assert {text.finished for text in continuations} == {expected[-1] in greedy_stops}
    tokens = sum(len(text.token_ids) for part in texts for text in part)
    # The first token of a text comes with its prompt; each other one takes a row of one step, and nothing else does.
    assert sum(writing) == tokens - n * len(prompts), "rows that finished leave at once"
    assert max(writing) <= max(rows, n)


def test_greedy_without_stops_runs_to_the_end(
    models: tuple[PreTrainedModel, PreTrainedModel], prompts: list[list[int]], writing: list[int]
) -> None:
    decoding = DecodingSettings(temperature=0, max_new_tokens=NEW)
    texts = sample(models[0], prompts, range(len(prompts)), 2, [299], decoding)
    assert [texts[i][1].token_ids for i in range(3)] == [generated(models[1], p, [299]) for p in prompts[:3]]
    assert not any(text.finished for part in texts for text in part)
    assert writing == [12] * (NEW - 1)


def test_a_text_may_end_at_its_first_or_its_last_token(
    models: tuple[PreTrainedModel, PreTrainedModel], prompts: list[list[int]]
) -> None:
    for prompt in prompts[:3]:
        text = generated(models[1], prompt, [299], new=4)
        first, last = text[0], text[3]
        for length, stop in ((1, first), (text.index(last) + 1, last)):
            decoding = DecodingSettings(temperature=0, max_new_tokens=length)
            made = sample(models[0], [prompt], [0], 1, [stop], decoding)[0][0]
            assert made.token_ids == text[:length]
            assert made.finished
            assert len(made.token_logprobs) == length


@pytest.mark.parametrize("decoding", [{}, {"temperature": 0.7, "top_p": 0.8}, {"temperature": 0}])
def test_recorded_logprobs_are_those_of_a_forward_pass(
    models: tuple[PreTrainedModel, PreTrainedModel],
    prompts: list[list[int]],
    writing: list[int],
    decoding: dict[str, float],
) -> None:
    """At temperature 1 over the whole vocabulary, however the tokens were drawn; also after rows have left."""
    settings = DecodingSettings(max_new_tokens=NEW, **decoding)
    stops = list(range(3, 100))  # about a third of the vocabulary: texts end early, at random
    texts = sample(models[0], prompts, range(len(prompts)), 2, stops, settings)
    assert len({len(text.token_ids) for part in texts for text in part}) > 1
    assert len(set(writing)) > 1, "rows have left"
    with torch.no_grad():
        for prompt, continuations in zip(prompts, texts, strict=True):
            for text in continuations:
                expected = plain_logprobs(models[1], prompt, text.token_ids)
                torch.testing.assert_close(torch.tensor(text.token_logprobs), expected, atol=1e-4, rtol=1e-5)
                ends = [token in stops for token in text.token_ids]
                assert ends == [False] * (len(ends) - 1) + [text.finished]


def test_neighbours_do_not_matter(models: tuple[PreTrainedModel, PreTrainedModel], prompts: list[list[int]]) -> None:
    settings = DecodingSettings(max_new_tokens=NEW)
    seeds, stops = [11, 12, 13, 14, 15, 2**64 - 1], list(range(3, 60))

    def texts(order: list[int], n: int) -> list[list[list[int]]]:
        made = sample(models[0], [prompts[i] for i in order], [seeds[i] for i in order], n, stops, settings)
        return [[text.token_ids for text in part] for part in made]

    together = texts(list(range(6)), 3)
    assert together == texts(list(range(6)), 3), "the same call gives the same texts"
    for index in range(6):
        assert texts([index], 3) == [together[index]]
        assert texts([index], 2) == [together[index][:2]], "fewer samples are the first ones"
    order = [4, 0, 5, 2, 1, 3]
    assert texts(order, 3) == [together[index] for index in order]
    assert len({tuple(text) for part in together for text in part}) > 12, "seeds and samples differ"
    same_prompt = sample(models[0], [prompts[0]] * 2, [1, 2], 1, [299], settings)
    assert same_prompt[0][0].token_ids != same_prompt[1][0].token_ids


def test_other_batchings_give_the_same_texts(
    models: tuple[PreTrainedModel, PreTrainedModel], record_property: Callable[[str, object], None]
) -> None:
    """At least 99.9% of the texts: float32 sums depend on the shape of the batch in their last bits."""
    numbers = random.Random(3)
    many = [[numbers.randrange(3, 300) for _ in range(numbers.randint(1, 20))] for _ in range(700)]
    seeds, stops, settings = list(range(700)), list(range(3, 40)), DecodingSettings(max_new_tokens=NEW)
    first = sample(models[0], many, seeds, 3, stops, settings)
    assert first == sample(models[0], many, seeds, 3, stops, settings), (
        "the same shard gives the same texts, to the bit"
    )
    other = sample(models[0], many[::-1], seeds[::-1], 3, stops, settings, rows=17, token_budget=100)[::-1]
    pairs = [
        (one.token_ids, two.token_ids) for a, b in zip(first, other, strict=True) for one, two in zip(a, b, strict=True)
    ]
    rate = sum(one == two for one, two in pairs) / len(pairs)
    record_property("texts_that_agree", rate)
    assert rate >= 0.999, f"{rate:.2%} of {len(pairs)} texts agree"


PLANTED = torch.tensor([0.05, 0.5, 0.0, 0.3, 0.15])


@pytest.mark.parametrize(
    ("temperature", "top_p", "expected"),
    [
        (1.0, 1.0, [0.05, 0.5, 0.0, 0.3, 0.15]),
        # squares over their sum, 0.0025 + 0.25 + 0.09 + 0.0225 = 0.365
        (0.5, 1.0, [0.0025 / 0.365, 0.25 / 0.365, 0.0, 0.09 / 0.365, 0.0225 / 0.365]),
        # the smallest set with 0.7: 0.5 and 0.3
        (1.0, 0.7, [0.0, 0.625, 0.0, 0.375, 0.0]),
        (1.0, 0.9, [0.0, 0.5 / 0.95, 0.0, 0.3 / 0.95, 0.15 / 0.95]),
        (1.0, 0.1, [0.0, 1.0, 0.0, 0.0, 0.0]),
        # the nucleus is cut after the temperature: 0.25 / 0.365 = 0.68 alone is enough
        (0.5, 0.6, [0.0, 1.0, 0.0, 0.0, 0.0]),
        (0.0, 1.0, [0.0, 1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_draws_follow_a_planted_distribution(temperature: float, top_p: float, expected: list[float]) -> None:
    """Evenly spaced uniform numbers give the probabilities themselves, up to the spacing."""
    points = 20_000
    uniform = torch.arange(points, dtype=torch.float64) / points
    settings = DecodingSettings(temperature=temperature, top_p=top_p)
    tokens = draw(PLANTED.log().expand(points, -1), uniform, settings)
    shares = torch.bincount(tokens, minlength=5).double() / points
    torch.testing.assert_close(shares, torch.tensor(expected, dtype=torch.float64), atol=3 / points, rtol=0)
    assert all(shares[token] == 0 for token in range(5) if expected[token] == 0)


def test_sampled_first_tokens_follow_the_model(
    models: tuple[PreTrainedModel, PreTrainedModel], prompts: list[list[int]]
) -> None:
    n = 4000
    texts = sample(models[0], prompts[:1], [0], n, [299], DecodingSettings(max_new_tokens=1))[0]
    with torch.no_grad():
        expected = plain_logits(models[1], prompts[0])[-1].softmax(dim=-1)
    shares = torch.bincount(torch.tensor([text.token_ids[0] for text in texts]), minlength=len(expected)) / n
    # Five standard errors of a share, and one count for the rarest tokens.
    assert ((shares - expected).abs() <= 5 * (expected * (1 - expected) / n).sqrt() + 1 / n).all()


@pytest.mark.parametrize("size", [5, 256, 300, 1000])
def test_inverting_finds_where_the_running_sum_passes_the_point(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    weights = torch.rand(40, size, generator=generator) * (torch.rand(40, size, generator=generator) < 0.2)
    weights[:, size // 2] += 0.1
    for uniform in (torch.rand(40, generator=generator), torch.zeros(40), torch.full((40,), 1 - 2**-24)):
        found = invert(weights, uniform)
        assert bool((weights[torch.arange(40), found] > 0).all()), "what has no weight is never drawn"
        running = weights.double().cumsum(dim=1)
        point = uniform.double() * running[:, -1]
        above = running[torch.arange(40), found]
        below = above - weights[torch.arange(40), found].double()
        assert bool((below <= point + 1e-6).all())
        assert bool((point < above + 1e-6).all())


@pytest.mark.parametrize("more", [({"cos": 1},), ()], ids=["more", "bare"])
@pytest.mark.parametrize("named", [{}, {"kwargs": {"cos": 1}}], ids=["by place", "by name"])
def test_the_cache_takes_what_any_version_of_transformers_hands_over(
    more: tuple[object, ...], named: dict[str, object]
) -> None:
    cache = SharedPrompts(slots=1, n=2, prompt_tokens=3, new_tokens=2)
    cache.fill(torch.tensor([0]), [[torch.ones(1, 3, 4)]], [[torch.ones(1, 3, 4)]])
    cache.step(torch.tensor([1]))
    key, value = torch.full((1, 1, 1, 4), 5.0), torch.full((1, 1, 1, 4), 7.0)
    assert cache.update(key, value, 0, *more, **named) == (key, value)
    assert cache.keys[0][1, 0, 0].tolist() == [5.0] * 4
    assert cache.values[0][1, 0, 0].tolist() == [7.0] * 4
    assert not cache.keys[0][0].any()
