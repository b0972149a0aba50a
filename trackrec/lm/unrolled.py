"""For models whose attention cannot be told who sees whom: every branch, every text, is computed as its own copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trackrec.lm.tree import TreeBatch


def hidden_of_copies(model: PreTrainedModel, batch: TreeBatch) -> Tensor:
    """Last hidden states of all tokens of a batch of trees, by one padded row for each leaf's branch.

    A shared token has the same state in every copy; the first one's is taken.

    Returns:
        Shape (tokens, width), in layout order.
    """
    branches: list[list[int]] = []
    place = torch.zeros(sum(batch.sizes), 2, dtype=torch.long)
    offset = 0
    for tree, size in zip(batch.trees, batch.sizes, strict=True):
        tokens = tree.tokens()
        for leaf in reversed(tree.leaves()):
            branch = tree.branch(leaf)
            place[[offset + index for index in branch], 0] = len(branches)
            place[[offset + index for index in branch], 1] = torch.arange(len(branch))
            branches.append([tokens[index] for index in branch])
        offset += size
    longest = max(map(len, branches))
    ids = torch.zeros(len(branches), longest, dtype=torch.long)
    real = torch.zeros(len(branches), longest, dtype=torch.long)
    for row, branch in enumerate(branches):
        ids[row, : len(branch)] = torch.tensor(branch)
        real[row, : len(branch)] = 1
    output: Any = model.get_decoder()(
        input_ids=ids.to(model.device), attention_mask=real.to(model.device), use_cache=False
    )
    rows, columns = place.to(model.device).unbind(1)
    return output.last_hidden_state[rows, columns]  # type: ignore[no-any-return]


@torch.inference_mode()
def generated_copies(
    model: PreTrainedModel, prompt: Sequence[int], seed: int, n: int, stop_ids: Sequence[int], **decoding: Any
) -> list[tuple[list[int], list[float]]]:
    """n continuations of a prompt by transformers' own ``generate``.

    Args:
        model: any causal language model.
        prompt: token ids.
        seed: of the draws.
        n: continuations.
        stop_ids: tokens that end a text.
        decoding: arguments of ``generate``.

    Returns:
        Tokens of each text and their log-probabilities at temperature 1 with nothing cut off.
    """
    ids = torch.tensor([list(prompt)] * n, device=model.device)
    generate: Any = model.generate
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        output = generate(
            ids,
            attention_mask=torch.ones_like(ids),
            eos_token_id=list(stop_ids),
            pad_token_id=stop_ids[0],
            return_dict_in_generate=True,
            output_logits=True,
            **decoding,
        )
    tokens = output.sequences[:, len(prompt) :]
    logprobs = torch.stack(output.logits, dim=1).float().log_softmax(dim=-1).gather(-1, tokens[..., None])[..., 0]
    results = []
    for row, values in zip(tokens.tolist(), logprobs.tolist(), strict=True):
        length = next((place + 1 for place, token in enumerate(row) if token in stop_ids), len(row))
        results.append((row[:length], values[:length]))
    return results
