"""Prefix trees: texts that share a beginning, with each shared token laid out once.

A user's history is the root, its RecCoTs are the branches, and under a RecCoT stand its targets. Laid out in one row,
every token keeps the position that it has along its own branch and sees its ancestors alone, so that a leaf gets what
its unrolled copy would get.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Tree:
    """Segments of token ids, each hanging under an earlier one.

    >>> tree = Tree()
    >>> history = tree.add([5, 6])
    >>> first, second = tree.add([7], history), tree.add([8, 9], history)
    >>> tree.positions()
    [0, 1, 2, 2, 3]
    """

    segments: list[list[int]] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    """Position, along its branch, of a segment's first token."""

    def add(self, tokens: Sequence[int], parent: int = -1) -> int:
        """Hang a segment under ``parent`` (-1: the root) and return its number.

        Raises:
            ValueError: the segment is empty or the parent does not exist.
        """
        if not tokens:
            raise ValueError("a segment of a prefix tree needs at least one token, got none")
        if not -1 <= parent < len(self.segments):
            raise ValueError(f"segment {parent} does not exist yet: the tree has {len(self.segments)} segments")
        self.starts.append(len(self))
        self.depths.append(0 if parent < 0 else self.depths[parent] + len(self.segments[parent]))
        self.segments.append(list(tokens))
        self.parents.append(parent)
        return len(self.segments) - 1

    def __len__(self) -> int:
        """Number of tokens, each shared token counted once."""
        return self.starts[-1] + len(self.segments[-1]) if self.segments else 0

    def tokens(self) -> list[int]:
        """All tokens, in layout order."""
        return [token for segment in self.segments for token in segment]

    def positions(self) -> list[int]:
        """Each token's position along its own branch, in layout order."""
        pairs = zip(self.depths, self.segments, strict=True)
        return [depth + offset for depth, segment in pairs for offset in range(len(segment))]

    def visible(self) -> Tensor:
        """Who sees whom: bool, shape (tokens, tokens); row t marks what token t attends to."""
        seen = torch.zeros(len(self), len(self), dtype=torch.bool)
        for number, parent in enumerate(self.parents):
            start, stop = self.starts[number], self.starts[number] + len(self.segments[number])
            if parent >= 0:
                last = self.starts[parent] + len(self.segments[parent]) - 1
                seen[start:stop, : last + 1] = seen[last, : last + 1]
            seen[start:stop, start:stop] = torch.ones(stop - start, stop - start, dtype=torch.bool).tril()
        return seen

    def last(self, segment: int) -> int:
        """Layout index of a segment's last token: where the logits of the token after it are read."""
        return self.starts[segment] + len(self.segments[segment]) - 1

    def predictors(self, segment: int) -> list[int]:
        """Layout indices whose logits predict the tokens of ``segment``, one for each token.

        Raises:
            ValueError: the segment is a root, whose first token nothing predicts.
        """
        parent = self.parents[segment]
        if parent < 0:
            raise ValueError("nothing predicts the first token of a root segment")
        start = self.starts[segment]
        return [self.last(parent), *range(start, start + len(self.segments[segment]) - 1)]


@dataclass(frozen=True)
class TreeBatch:
    """Trees side by side, padded on the right.

    ``input_ids`` and ``position_ids`` have shape (trees, tokens); ``attention_mask`` is bool, shape
    (trees, 1, tokens, tokens).
    """

    input_ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor

    @classmethod
    def of(cls, trees: Sequence[Tree], pad_id: int = 0) -> TreeBatch:
        """Lay out and pad ``trees``. A padding token sees itself alone, so that its softmax is defined."""
        length = max(len(tree) for tree in trees)
        ids = torch.full((len(trees), length), pad_id, dtype=torch.long)
        positions = torch.zeros(len(trees), length, dtype=torch.long)
        seen = torch.eye(length, dtype=torch.bool).repeat(len(trees), 1, 1)
        for row, tree in enumerate(trees):
            size = len(tree)
            ids[row, :size] = torch.tensor(tree.tokens())
            positions[row, :size] = torch.tensor(tree.positions())
            seen[row, :size, :size] = tree.visible()
        return cls(ids, positions, seen.unsqueeze(1))
