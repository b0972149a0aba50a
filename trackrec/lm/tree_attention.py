"""Attention on prefix trees: every token attends to its own branch, and nothing else is computed.

Siblings are computed together in blocks: the queries are the siblings' tokens, the keys those of their common ancestors
and their own. A block holds few enough siblings that the part of it which no token may see stays small, so that the
cost grows with the tree's tokens times the length of its branches, not with the square of all tokens. On CUDA the same
rule is a block mask of FlexAttention instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from trackrec.lm.tree import Tree, TreeBatch

FEWEST = 64
"""A block of siblings may hold this many tokens, however short their ancestors."""
PADDING = 1.25
"""Blocks are computed as one batch while its padded area is at most this many times their own."""


@dataclass(frozen=True)
class Block:
    """Siblings that are computed together.

    ``ancestors`` are the layout indices of what all of them see; ``segments`` those of each sibling.
    """

    ancestors: list[int]
    segments: list[range]

    @property
    def queries(self) -> int:
        return sum(map(len, self.segments))

    @property
    def area(self) -> int:
        return self.queries * (len(self.ancestors) + self.queries)


def blocks_of(tree: Tree, offset: int = 0) -> Iterator[Block]:
    """Cut a tree into blocks of siblings.

    Args:
        tree: the tree.
        offset: layout index of its first token.
    """
    children: dict[int, list[int]] = {}
    for segment, parent in enumerate(tree.parents):
        children.setdefault(parent, []).append(segment)
    for parent, siblings in children.items():
        ancestors = [offset + index for index in tree.branch(parent)]
        most = max(FEWEST, len(ancestors) // 2)
        block: list[range] = []
        for segment in siblings:
            own = tree.indices(segment)
            own = range(own.start + offset, own.stop + offset)
            if block and sum(map(len, block)) + len(own) > most:
                yield Block(ancestors, block)
                block = []
            block.append(own)
        yield Block(ancestors, block)


class BlockBatch:
    """Blocks of about one shape, padded to one.

    ``queries`` and ``keys`` are layout indices, shapes (blocks, queries) and (blocks, keys).
    """

    def __init__(self, blocks: list[Block], positions: Tensor) -> None:
        most_queries = max(block.queries for block in blocks)
        most_keys = max(len(block.ancestors) + block.queries for block in blocks)
        queries = torch.zeros(len(blocks), most_queries, dtype=torch.long)
        keys = torch.zeros(len(blocks), most_keys, dtype=torch.long)
        seen = torch.zeros(len(blocks), most_queries, most_keys, dtype=torch.bool)
        seen[:, :, 0] = True  # rows of padding see something, so that their softmax is defined
        for row, block in enumerate(blocks):
            own = [index for segment in block.segments for index in segment]
            shared = len(block.ancestors)
            queries[row, : len(own)] = torch.tensor(own)
            keys[row, : shared + len(own)] = torch.tensor([*block.ancestors, *own])
            seen[row, : len(own), 0] = shared > 0
            seen[row, : len(own), :shared] = True
            start = 0
            for segment in block.segments:
                stop = start + len(segment)
                triangle = torch.ones(len(segment), len(segment), dtype=torch.bool).tril()
                seen[row, start:stop, shared + start : shared + stop] = triangle
                start = stop
        self.queries, self.keys, self.seen = queries, keys, seen
        self.query_positions, self.key_positions = positions[queries], positions[keys]
        self.real = [block.queries for block in blocks]
        self.masks: dict[tuple[int | None, int, torch.dtype], Tensor] = {}

    def mask(self, window: int | None, group: int, like: Tensor) -> Tensor:
        """What is added to the scores: 0 where a query sees a key, else minus infinity.

        Args:
            window: how far back a token sees; None: all of its branch.
            group: query heads of one key head, which stand one after another along the queries.
            like: a tensor of the type and on the device that are wanted.

        Returns:
            Shape (blocks, 1, group * queries, keys).
        """
        made = self.masks.get((window, group, like.dtype))
        if made is None:
            seen = self.seen
            if window is not None:
                seen = seen & (self.query_positions[:, :, None] - self.key_positions[:, None, :] < window)
            made = torch.zeros(seen.shape, dtype=like.dtype).masked_fill_(~seen, float("-inf"))
            made = self.masks[window, group, like.dtype] = made.repeat(1, group, 1)[:, None].to(like.device)
        return made


class BlockPlan:
    """Attention block by block, for CPUs; made once a batch and used in every layer."""

    def __init__(self, batch: TreeBatch, device: torch.device) -> None:
        offset = 0
        blocks: list[Block] = []
        for tree, size in zip(batch.trees, batch.sizes, strict=True):
            blocks.extend(blocks_of(tree, offset))
            offset += size
        positions = batch.position_ids[0]
        self.batches = [BlockBatch(part, positions) for part in _alike(blocks)]
        place = torch.empty(offset, dtype=torch.long)
        start = 0
        for part in self.batches:
            for row, real in enumerate(part.real):
                first = start + row * part.queries.shape[1]
                place[part.queries[row, :real]] = torch.arange(first, first + real)
            start += part.queries.numel()
            part.queries, part.keys = part.queries.to(device), part.keys.to(device)
        self.place = place.to(device)
        """Where each token's result stands among those of all blocks, padding included."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None) -> Tensor:
        """Attention of every token to its branch; see ``attention.Plan``.

        Args:
            query: shape (1, heads, tokens, width).
            key: shape (1, key heads, tokens, width); ``value`` likewise.
            scale: what the scores are multiplied by.
            window: how far back a token sees; None: all of its branch.

        Returns:
            Shape (1, tokens, heads, width).
        """
        heads, key_heads, width = query.shape[1], key.shape[1], query.shape[-1]
        group = heads // key_heads
        rows = [part[0].transpose(0, 1).reshape(part.shape[2], -1) for part in (query, key, value)]
        results = []
        for part in self.batches:
            (blocks, asked), given = part.queries.shape, part.keys.shape[1]
            asking = rows[0].index_select(0, part.queries.flatten()).view(blocks, asked, key_heads, group, width)
            # Query heads of one key head stand side by side along the queries: no key is copied for them.
            asking = asking.permute(0, 2, 3, 1, 4).reshape(blocks, key_heads, group * asked, width)
            keys, values = (
                row.index_select(0, part.keys.flatten()).view(blocks, given, key_heads, width).transpose(1, 2)
                for row in rows[1:]
            )
            result = torch.nn.functional.scaled_dot_product_attention(
                asking, keys, values, attn_mask=part.mask(window, group, query), scale=scale
            )
            result = result.view(blocks, key_heads, group, asked, width).permute(0, 3, 1, 2, 4)
            results.append(result.reshape(blocks * asked, heads * width))
        return torch.cat(results).index_select(0, self.place).view(1, -1, heads, width)


NARROWEST = 16
"""FlexAttention's kernels need heads of this width at least."""


class FlexPlan:
    """Attention by FlexAttention over all tokens at once, which skips what nobody sees; for CUDA.

    A token's segment has an interval of numbers, in which those of all segments below it lie: an ancestor is recognised
    by two comparisons, without a table of all pairs.
    """

    def __init__(self, batch: TreeBatch, device: torch.device) -> None:
        self.positions = batch.position_ids[0].to(device)
        first, last = intervals(batch.trees)
        self.first, self.last = first.to(device), last.to(device)
        self.batch, self.tokens, self.device = batch, len(first), device
        self._masks: dict[int | None, Any] = {}
        self._blocks: BlockPlan | None = None

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None) -> Tensor:
        """Attention of every token to its branch; see ``attention.Plan``."""
        from torch.nn.attention.flex_attention import create_block_mask

        width = query.shape[-1]
        if width < NARROWEST and self.device.type == "cuda":
            self._blocks = self._blocks or BlockPlan(self.batch, self.device)
            return self._blocks.attend(layer, query, key, value, scale, window)
        if window not in self._masks:
            first, last, positions = self.first, self.last, self.positions
            # A number would become a symbol of the compiled kernel, which does not compile with it; so would the scale.
            reach = None if window is None else torch.tensor(window, device=self.device)

            def sees(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
                below = (first[k] <= first[q]) & (first[q] <= last[k]) & (positions[k] <= positions[q])
                return below if reach is None else below & (positions[q] - positions[k] < reach)

            self._masks[window] = create_block_mask(sees, None, None, self.tokens, self.tokens, device=str(self.device))
        if scale != width**-0.5:
            query = query * (scale * width**0.5)
        result = _flex_attention(self.device.type)(
            query, key, value, block_mask=self._masks[window], enable_gqa=query.shape[1] != key.shape[1]
        )
        return result.transpose(1, 2)  # type: ignore[no-any-return]


@cache
def _flex_attention(device: str) -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    # Beyond the limit torch would compute the full table of scores without a word: with and without gradients, short
    # and long inputs and every width of heads are compiled each for itself.
    torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
    return torch.compile(flex_attention, dynamic=True) if device == "cuda" else flex_attention


def intervals(trees: Sequence[Tree]) -> tuple[Tensor, Tensor]:
    """Each token's segment and the segments below it as an interval of numbers, over all trees.

    Returns:
        First and last number of each token's segment, both shape (tokens,).
    """
    first_of, last_of, number = [], [], 0
    for tree in trees:
        children: dict[int, list[int]] = {}
        for segment, parent in enumerate(tree.parents):
            children.setdefault(parent, []).append(segment)
        first, last = [0] * len(tree.segments), [0] * len(tree.segments)
        stack = [(segment, False) for segment in reversed(children.get(-1, []))]
        while stack:
            segment, left = stack.pop()
            if left:
                last[segment] = number - 1
                continue
            first[segment] = number
            number += 1
            stack.append((segment, True))
            stack.extend((child, False) for child in reversed(children.get(segment, [])))
        for segment, tokens in enumerate(tree.segments):
            first_of += [first[segment]] * len(tokens)
            last_of += [last[segment]] * len(tokens)
    return torch.tensor(first_of), torch.tensor(last_of)


def plan_of(batch: TreeBatch, device: torch.device) -> BlockPlan | FlexPlan:
    """The plan that is faster on a device."""
    return FlexPlan(batch, device) if device.type == "cuda" else BlockPlan(batch, device)


def _alike(blocks: list[Block]) -> Iterator[list[Block]]:
    """Group blocks, largest first, so that padding stays small."""
    batch: list[Block] = []
    for block in sorted(blocks, key=lambda block: (-len(block.ancestors) - block.queries, -block.queries)):
        together = [*batch, block]
        queries = max(part.queries for part in together)
        keys = max(len(part.ancestors) + part.queries for part in together)
        if batch and queries * keys * len(together) > PADDING * sum(part.area for part in together):
            yield batch
            batch = []
        batch.append(block)
    if batch:
        yield batch
