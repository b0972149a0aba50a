"""Scoring answers: batches within their budget, and the logits of a plain pass over each unrolled prompt."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_language import add_moved, path, plain_logits, tiny_language_model

from trackrec.lm.model import LanguageModel
from trackrec.lm.scoring import answer_logits, batches_of_tokens
from trackrec.lm.tree import Tree

ANSWERS = (270, 31)


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> LanguageModel:
    made = tiny_language_model(tiny_model_folder)
    add_moved(made, "validator", seed=3)
    return made


def prompts(targets: int, seed: int) -> tuple[Tree, list[int]]:
    """A prefix, a RecCoT and targets of uneven length under it; the answer comes after each target."""
    numbers, tree = random.Random(seed), Tree()

    def tokens(most: int) -> list[int]:
        return [numbers.randrange(3, 300) for _ in range(numbers.randint(1, most))]

    reccot = tree.add(tokens(5), tree.add(tokens(12)))
    return tree, [tree.add(tokens(6), reccot) for _ in range(targets)]


@pytest.mark.parametrize(
    ("sizes", "budget", "expected"),
    [
        ([], 10, []),
        ([3, 3, 5], 6, [[0, 1], [2]]),
        ([4, 1, 1, 1], 5, [[0, 1], [2, 3]]),
        ([1, 1, 9], 11, [[0, 1, 2]]),  # nothing is padded
        ([50, 1, 50], 10, [[0], [1], [2]]),  # one always goes, however long
        ([2, 2, 2], 6, [[0, 1, 2]]),
    ],
)
def test_batches_by_hand(sizes: list[int], budget: int, expected: list[list[int]]) -> None:
    assert list(batches_of_tokens(sizes, budget)) == expected


@given(st.lists(st.integers(1, 40)), st.integers(1, 100))
def test_batches_keep_order_and_budget_and_are_full(sizes: list[int], budget: int) -> None:
    batches = list(batches_of_tokens(sizes, budget))
    assert [index for batch in batches for index in batch] == list(range(len(sizes)))
    for batch in batches:
        assert len(batch) == 1 or sum(sizes[i] for i in batch) <= budget
    for batch, after in pairwise(batches):
        joined = [*batch, after[0]]
        assert sum(sizes[i] for i in joined) > budget


@pytest.mark.parametrize("adapter", ["validator", None])
def test_logits_are_those_of_a_plain_pass(model: LanguageModel, adapter: str | None) -> None:
    items = [prompts(targets, seed) for seed, targets in enumerate([3, 1, 5, 2])]
    results = answer_logits(model, adapter, iter(items), ANSWERS)
    with torch.no_grad(), model.use(adapter):
        for (tree, ends), result in zip(items, results, strict=True):
            expected = torch.stack([plain_logits(model.base, path(tree, end))[-1, list(ANSWERS)] for end in ends])
            assert result.shape == (len(ends), 2)
            assert result.dtype == torch.float32
            torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)


def test_the_budget_and_the_order_change_no_score(model: LanguageModel) -> None:
    items = [prompts(targets, seed) for seed, targets in enumerate([3, 1, 5, 2])]
    together = answer_logits(model, "validator", items, ANSWERS)
    for other in (
        answer_logits(model, "validator", items, ANSWERS, token_budget=1),
        answer_logits(model, "validator", items[::-1], ANSWERS)[::-1],
    ):
        for one, two in zip(together, other, strict=True):
            torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)
    swapped = answer_logits(model, "validator", items, ANSWERS[::-1])
    torch.testing.assert_close(swapped[0], together[0].flip(1))
    assert not torch.allclose(together[0], answer_logits(model, None, items, ANSWERS)[0], atol=0.01)
    assert answer_logits(model, None, [], ANSWERS) == []
