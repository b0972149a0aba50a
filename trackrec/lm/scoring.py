"""Answer scoring: the logits of the two answers at the end of every branch of a batch of trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trackrec.lm.head import token_logits
from trackrec.lm.model import LanguageModel
from trackrec.lm.tree import Tree


def batches_of_tokens(sizes: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Group indices, in order, so that a batch holds at most ``budget`` tokens (one item always fits).

    >>> list(batches_of_tokens([3, 3, 5], 6))
    [[0, 1], [2]]
    """
    batch: list[int] = []
    room = budget
    for index, size in enumerate(sizes):
        if batch and size > room:
            yield batch
            batch, room = [], budget
        batch.append(index)
        room -= size
    if batch:
        yield batch


class MergedCopy:
    """A copy of the model with an adapter's update added to its weights, for whoever scores with it again and again.

    It is made when first asked for and kept as long as this object; once the adapter has been loaded or trained anew,
    it is made again.

    Args:
        model: the language model.
        adapter: the adapter's name; None: the base model alone.
    """

    def __init__(self, model: LanguageModel, adapter: str | None) -> None:
        self.model, self.adapter = model, adapter
        self._copy: PreTrainedModel | None = None
        self._version = -1

    def get(self) -> PreTrainedModel:
        """The copy, as the adapter is now."""
        version = self.model.version(self.adapter)
        if self._copy is None or version != self._version:
            self._copy = None  # two of them at a time may not fit
            self._copy, self._version = self.model.merged(self.adapter), version
        return self._copy


@torch.inference_mode()
def answer_logits(
    model: LanguageModel,
    adapter: str | None,
    trees: Iterable[tuple[Tree, Sequence[int]]],
    answers: tuple[int, int],
    token_budget: int = 2048,
    merged: PreTrainedModel | None = None,
) -> list[Tensor]:
    """Logits of the two answer tokens after given segments.

    Args:
        model: the language model.
        adapter: the adapter that scores (the validator), None for the base model.
        trees: each tree with the segments after which the answer comes.
        answers: token ids of "Yes" and "No".
        token_budget: most tokens in one forward pass; bounds the memory.
        merged: a copy of the model with the adapter merged in (`MergedCopy`); made for this call alone if None.

    Returns:
        For each tree a float32 tensor of shape (segments, 2) on the CPU: logit of Yes, logit of No. The full head is
        never applied: two of its rows are enough, since P(Yes) is normalised over the two answers.
    """
    items = list(trees)
    results: list[Tensor] = []
    merged = merged or model.merged(adapter)  # a quarter quicker than adding the update in every layer
    for indices in batches_of_tokens([len(tree) for tree, _ in items], token_budget):
        hidden = model.hidden([items[i][0] for i in indices], merged)
        for row, index in enumerate(indices):
            tree, segments = items[index]
            ends = torch.tensor([tree.last(segment) for segment in segments], device=hidden[row].device)
            results.append(token_logits(merged, hidden[row][ends], answers).cpu())
    return results
