"""Attention on prefix trees: blocks by hand, and each plan against a table of who sees whom."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trackrec.lm import tree_attention
from trackrec.lm.tree import Tree, TreeBatch
from trackrec.lm.tree_attention import BlockPlan, FlexPlan, blocks_of, intervals

HEADS, KEY_HEADS, WIDTH = 6, 2, 8


def grown(seed: int, longest: int = 6) -> Tree:
    """A random tree of any depth, now and then with several roots, one-token branches and twins."""
    draw, tree = random.Random(seed), Tree()
    for _ in range(draw.randint(1, 12)):
        parent = draw.randrange(-1, len(tree.segments)) if tree.segments and draw.random() < 0.95 else -1
        tree.add([0] * draw.choice([1, 1, 2, longest]), parent)
    return tree


def seen(trees: list[Tree], window: int | None = None) -> Tensor:
    """Who sees whom, told by branches alone, over all trees in one row."""
    total = sum(map(len, trees))
    table, offset = torch.zeros(total, total, dtype=torch.bool), 0
    for tree in trees:
        for segment in range(len(tree.segments)):
            branch = [offset + index for index in tree.branch(segment)]
            for place, index in enumerate(branch):
                first = 0 if window is None else max(0, place - window + 1)
                table[index, branch[first : place + 1]] = True
        offset += len(tree)
    return table


def tensors(tokens: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((1, HEADS, tokens, WIDTH), (1, KEY_HEADS, tokens, WIDTH), (1, KEY_HEADS, tokens, WIDTH))
    query, key, value = (torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes)
    return query, key, value


def expected(query: Tensor, key: Tensor, value: Tensor, table: Tensor, scale: float) -> Tensor:
    group = HEADS // KEY_HEADS
    keys, values = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
    scores = (query @ keys.transpose(-1, -2) * scale).masked_fill(~table, float("-inf"))
    return (scores.softmax(dim=-1) @ values).transpose(1, 2)


def test_blocks_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under 4 common tokens a block holds 3 at most: two siblings of 1 and 2 tokens, then the one of 2 alone."""
    monkeypatch.setattr(tree_attention, "FEWEST", 3)
    tree = Tree()
    root = tree.add([0] * 4)
    for length in (1, 2, 2):
        tree.add([0] * length, root)
    found = [(block.ancestors, block.segments) for block in blocks_of(tree, offset=10)]
    assert found == [
        ([], [range(10, 14)]),
        ([10, 11, 12, 13], [range(14, 15), range(15, 17)]),
        ([10, 11, 12, 13], [range(17, 19)]),
    ]


def test_intervals_by_hand() -> None:
    """Segments 0 to 3, the last one under the first child: its number lies in the intervals of both above it."""
    tree = Tree()
    root = tree.add([0, 0])
    child, _ = tree.add([0], root), tree.add([0], root)
    tree.add([0], child)
    first, last = intervals([tree, tree])
    assert first.tolist() == [0, 0, 1, 3, 2, 4, 4, 5, 7, 6]
    assert last.tolist() == [3, 3, 2, 3, 2, 7, 7, 6, 7, 6]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=3), st.sampled_from([None, 1, 3]))
def test_blocks_attend_as_the_table_says(seeds: list[int], window: int | None) -> None:
    """Values and gradients, also with so small blocks that siblings are parted."""
    trees = [grown(seed) for seed in seeds]
    batch, table = TreeBatch(trees), seen(trees, window)
    query, key, value = tensors(len(table))
    result = BlockPlan(batch, torch.device("cpu")).attend(0, query, key, value, 0.3, window)
    reference = expected(query, key, value, table, 0.3)
    torch.testing.assert_close(result, reference, atol=1e-5, rtol=1e-4)
    direction = torch.randn(reference.shape, generator=torch.Generator().manual_seed(1))
    ours = torch.autograd.grad((result * direction).sum(), [query, key, value])
    theirs = torch.autograd.grad((reference * direction).sum(), [query, key, value])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_small_blocks_attend_as_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree()
    root = tree.add([0] * 5)
    for _ in range(6):
        branch = tree.add([0] * 3, root)
        for length in (2, 4, 1):
            tree.add([0] * length, branch)
    query, key, value = tensors(len(tree))
    results, counts = [], []
    for fewest in (1, 7, 1000):
        monkeypatch.setattr(tree_attention, "FEWEST", fewest)
        counts.append(len(list(blocks_of(tree))))
        results.append(BlockPlan(TreeBatch([tree]), torch.device("cpu")).attend(0, query, key, value, 0.3, None))
    assert counts[0] > counts[1] > counts[2] == 8, "the root, its children, and those of each child"
    torch.testing.assert_close(results[0], results[2])
    torch.testing.assert_close(results[1], results[2])


@torch.no_grad()
@pytest.mark.parametrize("window", [None, 3])
def test_flex_attention_attends_as_the_table_says(window: int | None) -> None:
    """The rule that CUDA gets, computed here without compiling."""
    trees = [grown(seed, longest=40) for seed in (1, 2, 3)]
    table = seen(trees, window)
    query, key, value = (part.detach() for part in tensors(len(table)))
    result = FlexPlan(TreeBatch(trees), torch.device("cpu")).attend(0, query, key, value, 0.3, window)
    torch.testing.assert_close(result, expected(query, key, value, table, 0.3), atol=1e-5, rtol=1e-4)


def test_the_cost_grows_with_the_branches_not_with_the_square_of_the_tree() -> None:
    """Twice as many RecCoTs with their targets: about twice the scores, where a full mask would take four times."""

    def area(reccots: int) -> int:
        tree = Tree()
        root = tree.add([0] * 350)
        for _ in range(reccots):
            branch = tree.add([0] * 100, root)
            for _ in range(8):
                tree.add([0] * 40, branch)
        return sum(part.seen.numel() for part in BlockPlan(TreeBatch([tree]), torch.device("cpu")).batches)

    assert area(16) < 2.2 * area(8) < 2.2 * 2.2 * area(4)
    assert area(4) < (350 + 4 * 420) ** 2 / 3
