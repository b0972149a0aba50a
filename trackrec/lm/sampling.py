"""Sampling: n continuations of each prompt, with the log-probabilities of the sampled tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from trackrec.lm.scoring import batches_of_tokens
from trackrec.lm.shared_prefix import SharedPrefixCache
from trackrec.lm.tree import Tree, TreeBatch
from trackrec.settings import Settings


class DecodingSettings(Settings):
    """How a continuation is drawn."""

    temperature: float = 1.0
    """Divides the logits; 0 takes the most likely token every time."""
    top_p: float = 1.0
    """Nucleus: the smallest set of tokens with at least this probability is drawn from."""
    max_new_tokens: int = 64
    """Most tokens of a RecCoT, its end token included."""


@dataclass(frozen=True)
class Continuation:
    """A sampled text: its token ids (end token included, if reached) and each one's log-probability.

    The log-probabilities are the model's own (temperature 1, nothing cut off), so that they can stand for the
    reference in preference training.
    """

    token_ids: list[int]
    token_logprobs: list[float]
    finished: bool


def prefill(
    model: PreTrainedModel, prompts: Sequence[list[int]], rows: int, new_tokens: int, token_budget: int
) -> tuple[SharedPrefixCache, Tensor]:
    """Run the prompts once each.

    Returns:
        Their cache, and the logits after each prompt, shape (prompts, vocabulary).
    """
    layers = model.config.num_hidden_layers
    longest = max(map(len, prompts))
    keys: list[list[Tensor]] = [[] for _ in range(layers)]
    values: list[list[Tensor]] = [[] for _ in range(layers)]
    logits = []
    for indices in batches_of_tokens([longest] * len(prompts), token_budget):
        trees = []
        for index in indices:
            trees.append(Tree())
            trees[-1].add(prompts[index])
        batch = TreeBatch.of(trees)
        cache = DynamicCache()
        output = model.get_decoder()(
            input_ids=batch.input_ids.to(model.device),
            position_ids=batch.position_ids.to(model.device),
            attention_mask=batch.attention_mask.to(model.device),
            past_key_values=cache,
            use_cache=True,
        )
        ends = torch.tensor([len(tree) - 1 for tree in trees], device=model.device)
        last = output.last_hidden_state[torch.arange(len(trees), device=model.device), ends]
        logits.append(model.get_output_embeddings()(last).float())
        for layer in range(layers):
            full: Any = cache.layers[layer]
            room = (0, 0, 0, longest - batch.input_ids.shape[1])
            keys[layer].append(torch.nn.functional.pad(full.keys, room))
            values[layer].append(torch.nn.functional.pad(full.values, room))
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    shared = SharedPrefixCache([torch.cat(k) for k in keys], [torch.cat(v) for v in values], lengths, rows, new_tokens)
    return shared, torch.cat(logits)


def draw(logits: Tensor, uniform: Tensor, settings: DecodingSettings) -> Tensor:
    """Choose one token a row by inverting the cumulative distribution at a given uniform number.

    Args:
        logits: shape (rows, vocabulary).
        uniform: numbers in [0, 1), shape (rows,).

    Returns:
        Token ids, shape (rows,).
    """
    if settings.temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = (logits / settings.temperature).softmax(dim=-1)
    if settings.top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True)
        ordered = ordered.masked_fill(ordered.cumsum(dim=-1) - ordered >= settings.top_p, 0)
        probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered)
    cumulative = probabilities.double().cumsum(dim=-1)
    point = uniform[:, None].double() * cumulative[:, -1:]
    return torch.searchsorted(cumulative, point, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


@torch.inference_mode()
def sample(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    n: int,
    stop_ids: Sequence[int],
    settings: DecodingSettings,
    token_budget: int = 2048,
) -> list[list[Continuation]]:
    """Draw ``n`` continuations of each prompt.

    Args:
        model: a plain model that uses the attention of ``shared_prefix`` (see ``LanguageModel.merged``).
        prompts: token ids of each prompt.
        seeds: one a prompt; what a prompt gets depends on its seed, not on its neighbours (but for the last bits of
            float32 sums, which depend on the shape of the batch: the same prompts together give the same texts).
        n: continuations a prompt.
        stop_ids: tokens that end a text.
        settings: temperature, nucleus, length.
        token_budget: most prompt tokens in one forward pass.

    Returns:
        For each prompt its ``n`` continuations.
    """
    steps = settings.max_new_tokens
    cache, first = prefill(model, prompts, n, steps, token_budget)
    device = model.device
    uniforms = np.stack([np.random.default_rng([seed, s]).random(steps) for seed in seeds for s in range(n)])
    uniform = torch.from_numpy(uniforms).to(device)
    stops = torch.tensor(list(stop_ids), device=device)
    total = len(prompts) * n
    tokens = torch.zeros(total, steps, dtype=torch.long, device=device)
    logprobs = torch.zeros(total, steps, device=device)
    lengths = torch.full((total,), steps, device=device)
    done = torch.zeros(total, dtype=torch.bool, device=device)
    alive = torch.arange(total, device=device)  # which text each row of the decoding batch is
    positions = torch.tensor([len(prompt) for prompt in prompts], device=device).repeat_interleave(n)
    logits = first.repeat_interleave(n, dim=0)
    unmasked = torch.zeros(1, 1, 1, 1, device=device)  # a ready 4-D mask: transformers then builds none
    for step in range(steps):
        chosen = draw(logits, uniform[alive, step], settings)
        tokens[alive, step] = chosen
        logprobs[alive, step] = logits.log_softmax(dim=-1).gather(-1, chosen[:, None])[:, 0]
        ended = torch.isin(chosen, stops) & ~done[alive]
        lengths[alive[ended]] = step + 1
        done[alive[ended]] = True
        open_prompts = (~done[alive]).view(-1, n).any(dim=1)
        if not open_prompts.any() or step + 1 == steps:
            break
        if open_prompts.float().mean() <= 0.75:
            kept = open_prompts.nonzero()[:, 0]
            rows = (kept[:, None] * n + torch.arange(n, device=device)).flatten()
            cache.keep(kept)
            alive, chosen, positions = alive[rows], chosen[rows], positions[rows]
        output = model.get_decoder()(
            input_ids=chosen[:, None],
            position_ids=(positions + step)[:, None],
            attention_mask=unmasked,
            past_key_values=cache,
            use_cache=True,
            shared_prefix=cache,
        )
        cache.length += 1
        logits = model.get_output_embeddings()(output.last_hidden_state[:, -1]).float()
    texts = [
        Continuation(tokens[i, : lengths[i]].tolist(), logprobs[i, : lengths[i]].tolist(), bool(done[i]))
        for i in range(total)
    ]
    return [texts[i : i + n] for i in range(0, total, n)]
