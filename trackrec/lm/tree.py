"""Prefix trees: texts that share a beginning, with each shared token laid out once.

A user's history is the root, its RecCoTs are the branches, and under a RecCoT stand its targets. Trees are laid out one
after another in a single row without padding; every token keeps the position that it has along its own branch and sees
its ancestors alone, so that a leaf gets what its unrolled copy would get.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

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

    def indices(self, segment: int) -> range:
        """Layout indices of a segment's tokens."""
        return range(self.starts[segment], self.starts[segment] + len(self.segments[segment]))

    def branch(self, segment: int) -> list[int]:
        """Layout indices of the tokens from the root to the end of a segment; none for -1."""
        parts: list[range] = []
        while segment >= 0:
            parts.append(self.indices(segment))
            segment = self.parents[segment]
        return [index for part in reversed(parts) for index in part]

    def leaves(self) -> list[int]:
        """Segments under which nothing hangs."""
        inner = set(self.parents)
        return [segment for segment in range(len(self.segments)) if segment not in inner]

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
        return [self.last(parent), *self.indices(segment)[:-1]]


@dataclass(frozen=True)
class TreeBatch:
    """Trees one after another in one row, without padding.

    ``input_ids`` and ``position_ids`` have shape (1, tokens); a position counts along the token's own branch.
    """

    trees: Sequence[Tree]

    @cached_property
    def sizes(self) -> list[int]:
        """Number of tokens of each tree."""
        return [len(tree) for tree in self.trees]

    @cached_property
    def input_ids(self) -> Tensor:
        return torch.tensor([[token for tree in self.trees for token in tree.tokens()]])

    @cached_property
    def position_ids(self) -> Tensor:
        return torch.tensor([[position for tree in self.trees for position in tree.positions()]])

    def split(self, values: Tensor) -> list[Tensor]:
        """Cut what has one row a token, shape (tokens, ...), into one tensor a tree."""
        return list(values.split(self.sizes))
