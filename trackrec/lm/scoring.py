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
        merged: a copy of the model with the adapter merged in, if the caller has one.

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
            results.append(token_logits(model.base, hidden[row][ends], answers).cpu())
    return results
