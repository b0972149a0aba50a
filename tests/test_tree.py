"""Prefix trees: the layout by hand, and every branch gets what its unrolled copy gets, gradients included."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_language import adapter_weights, add_moved, path, plain_logits, relative_error, tiny_language_model

from trackrec.lm.model import LanguageModel
from trackrec.lm.tree import Tree, TreeBatch

SEEDS = st.integers(0, 10_000)
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> LanguageModel:
    made = tiny_language_model(tiny_model_folder)
    add_moved(made, "moved", seed=3)
    return made


def random_tree(seed: int) -> Tree:
    """Two to seven segments of one to five tokens, some of them one-token branches or twins of a sibling."""
    draw, tree = random.Random(seed), Tree()
    tree.add([draw.randrange(3, 300) for _ in range(draw.randint(1, 5))])
    for _ in range(draw.randint(1, 6)):
        number = draw.randrange(len(tree.segments))
        if draw.random() < 0.25 and tree.parents[number] >= 0:
            tree.add(tree.segments[number], tree.parents[number])  # a duplicate branch
        else:
            tree.add([draw.randrange(3, 300) for _ in range(draw.choice([1, 1, 2, 3, 5]))], number)
    return tree


def small_tree() -> Tree:
    """History of 2 tokens, RecCoTs of 1 and 2 tokens, and under the second a target of 2 tokens."""
    tree = Tree()
    history = tree.add([5, 6])
    tree.add([7], history)
    second = tree.add([8, 9], history)
    tree.add([4, 3], second)
    return tree


def test_layout_by_hand() -> None:
    tree = small_tree()
    assert len(tree) == 7
    assert tree.tokens() == [5, 6, 7, 8, 9, 4, 3]
    assert tree.positions() == [0, 1, 2, 2, 3, 4, 5]
    assert [tree.last(segment) for segment in range(4)] == [1, 2, 4, 6]
    # What stands before a segment predicts its first token: the end of its parent, not its neighbour in the layout.
    assert [tree.predictors(segment) for segment in (1, 2, 3)] == [[1], [1, 3], [4, 5]]


def test_a_batch_is_one_row_without_padding() -> None:
    short = Tree()
    short.add([9])
    batch = TreeBatch([small_tree(), short])
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 9, 4, 3, 9]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 2, 3, 4, 5, 0]]
    assert [part.tolist() for part in batch.split(torch.arange(8))] == [[0, 1, 2, 3, 4, 5, 6], [7]]


def test_branches_and_leaves_by_hand() -> None:
    tree = small_tree()
    assert [tree.branch(segment) for segment in (-1, 0, 1, 2, 3)] == [
        [],
        [0, 1],
        [0, 1, 2],
        [0, 1, 3, 4],
        [0, 1, 3, 4, 5, 6],
    ]
    assert tree.leaves() == [1, 3]


def test_impossible_segments_are_refused() -> None:
    tree = small_tree()
    with pytest.raises(ValueError, match="at least one token, got none"):
        tree.add([])
    with pytest.raises(ValueError, match="segment 4 does not exist yet: the tree has 4 segments"):
        tree.add([1], 4)
    with pytest.raises(ValueError, match="segment -2 does not exist"):
        tree.add([1], -2)
    with pytest.raises(ValueError, match="nothing predicts the first token of a root"):
        tree.predictors(0)
    assert len(tree) == 7
    assert len(Tree()) == 0


@given(SEEDS)
def test_predictors_stand_right_before_their_tokens_on_the_branch(seed: int) -> None:
    tree = random_tree(seed)
    positions = tree.positions()
    for segment, parent in enumerate(tree.parents):
        branch = path(tree, segment)
        seen = tree.branch(segment)
        assert [tree.tokens()[index] for index in seen] == branch
        assert [positions[index] for index in seen] == list(range(len(branch)))
        if parent >= 0:
            assert tree.predictors(segment) == seen[len(branch) - len(tree.segments[segment]) - 1 : -1]


@settings(max_examples=25, deadline=None)
@given(st.lists(SEEDS, min_size=1, max_size=3))
def test_trees_equal_their_unrolled_copies(model: LanguageModel, seeds: list[int]) -> None:
    """Logits and LoRA gradients of a padded batch of trees against one plain pass for each segment's branch."""
    trees = [random_tree(seed) for seed in seeds]
    generator = torch.Generator().manual_seed(seeds[0])
    weights = adapter_weights(model, "moved")
    with model.use("moved"):
        logits = [model.logits(hidden) for hidden in model.hidden(trees)]
        width = logits[0].shape[-1]
        tree_loss, copies_loss = torch.zeros(()), torch.zeros(())
        for row, tree in enumerate(trees):
            for segment, tokens in enumerate(tree.segments):
                start = tree.starts[segment]
                ours = logits[row][start : start + len(tokens)]
                plain = plain_logits(model.base, path(tree, segment))[-len(tokens) :]
                assert relative_error(ours, plain) <= TOLERANCE
                # Some random linear function of the logits: any loss has this gradient for some weights.
                direction = torch.randn(len(tokens), width, generator=generator)
                tree_loss = tree_loss + (ours * direction).sum()
                copies_loss = copies_loss + (plain * direction).sum()
        ours_gradient = torch.autograd.grad(tree_loss, list(weights.values()))
        plain_gradient = torch.autograd.grad(copies_loss, list(weights.values()))
    for name, ours, plain in zip(weights, ours_gradient, plain_gradient, strict=True):
        if plain.norm() > 1e-4:  # one token alone attends to itself: its query and key get no gradient but rounding
            assert relative_error(ours, plain) <= TOLERANCE, name
        else:
            assert ours.norm() <= 1e-3, name


@torch.no_grad()
def test_branches_do_not_see_each_other_but_see_their_parents(model: LanguageModel) -> None:
    with model.use("moved"):
        before = model.hidden([small_tree()])[0]
        sibling, parent = small_tree(), small_tree()
        sibling.segments[1] = [250]
        parent.segments[2] = [250, 9]
        changed_sibling = model.hidden([sibling])[0]
        changed_parent = model.hidden([parent])[0]
    others = [0, 1, 3, 4, 5, 6]
    assert torch.equal(changed_sibling[others], before[others])
    assert not torch.allclose(changed_sibling[2], before[2], atol=1e-2)
    assert torch.equal(changed_parent[:3], before[:3])
    assert not torch.allclose(changed_parent[6], before[6], atol=1e-3)
