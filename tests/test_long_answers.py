"""Answers of several tokens: scored as the whole prompt would be, and learnt like those of one token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from test_lm_validator import ITEMS, JOB, TEXTS, USERS, samples, world
from tiny_language import path, plain_logits, tiny_language_model

from trackrec.judges.lm import LMValidator, LMValidatorSettings
from trackrec.lm.answers import answers_example, score_answers, with_answers
from trackrec.lm.model import LanguageModel
from trackrec.lm.scoring import answer_logits
from trackrec.lm.tree import Tree
from trackrec.prompts import PromptSettings, Renderer
from trackrec.prompts.domains import MOVIES

ANSWERS = ([17, 30, 41], [17, 55])
"""They begin with the same token."""


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> LanguageModel:
    return tiny_language_model(tiny_model_folder)


def tree() -> tuple[Tree, list[int]]:
    made = Tree()
    root = made.add([5, 6, 7])
    return made, [made.add([8, 9], root), made.add([10], root)]


@torch.no_grad()
def test_scores_are_the_sums_of_a_plain_pass(model: LanguageModel) -> None:
    made, ends = tree()
    found = score_answers(model, None, [(made, ends), (made, ends[:1])], ANSWERS, token_budget=1)
    with model.use(None):
        for end, row in zip(ends, found[0], strict=True):
            for answer, value in zip(ANSWERS, row.tolist(), strict=True):
                prompt = path(made, end)
                logits = plain_logits(model.base, [*prompt, *answer])[len(prompt) - 1 : -1].log_softmax(-1)
                expected = sum(float(logits[place, token]) for place, token in enumerate(answer))
                assert value == pytest.approx(expected, abs=1e-4)
    torch.testing.assert_close(found[1], found[0][:1])
    assert len(made) == 6, "the tree itself stays as it was"


def test_answers_of_one_token_score_as_ever(model: LanguageModel) -> None:
    assert torch.equal(
        score_answers(model, None, [tree()], ([17], [30]))[0], answer_logits(model, None, [tree()], (17, 30))[0]
    )


def test_what_is_learnt_hangs_under_each_end() -> None:
    made, ends = tree()
    example = answers_example(made, ends, ANSWERS, [True, False], [0.5, -0.5])
    assert [example.tree.segments[segment] for segment in example.segments] == [*ANSWERS, *ANSWERS]
    assert [example.tree.parents[segment] for segment in example.segments] == [ends[0], ends[0], ends[1], ends[1]]
    assert (example.answers, example.log_odds) == ([1, 0], [0.5, -0.5])
    single = answers_example(made, ends, ([17], [30]), [True, False])
    assert (single.tree, single.segments, single.answers) == (made, ends, [17, 30])
    assert with_answers(made, [], ANSWERS)[1] == []


@pytest.mark.parametrize("prior", [None, 1.0])
def test_a_validator_learns_a_planted_rule_in_them(model: LanguageModel, tmp_path: Path, prior: float | None) -> None:
    from dataclasses import replace

    domain = replace(MOVIES, answers=("So they do", "So not"))
    renderer = Renderer(model.tokenizer, ITEMS, PromptSettings(validator_recent=1), domain)
    assert min(map(len, renderer.answers)) > 1
    assert renderer.answers[0][0] == renderer.answers[1][0], "the first token tells nothing"
    histories: dict[Any, Any] = {user: [{"item_id": 1 + user % 4, "rating": 4.0}] for user in USERS}
    job = JOB.model_copy(update={"epochs": 14.0})  # the rule shows in later tokens, so it takes longer than one token
    settings = LMValidatorSettings(training=job, placeholder_share=0, item_prior=prior)
    validator = LMValidator(model, "long", renderer, histories, settings)
    figures = validator.fit(*world(USERS[:36]), tmp_path, seed=0)
    assert figures["examples"] == 72
    targets, _ = world(USERS[36:])
    scores = validator.score(targets, samples(USERS[36:], TEXTS))
    said = {number: scores.filter(pl.col("sample") == number)["yes_probability"] for number in (0, 1)}
    assert said[0].min() > 0.8, "LIKES"  # type: ignore[operator]
    assert said[1].max() < 0.2, "HATES"  # type: ignore[operator]
