"""Sampling: n continuations of each prompt, with the log-probabilities of the sampled tokens.

Each prompt is read once. Rows that finished leave the batch at once; when all texts of a prompt are finished, the next
prompt takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from trackrec.lm.attention import ATTENTION, run_decoder
from trackrec.lm.head import logits_of
from trackrec.lm.shared_prefix import SharedPrompts
from trackrec.lm.tree import Tree, TreeBatch
from trackrec.lm.tree_attention import plan_of
from trackrec.lm.unrolled import generated_copies
from trackrec.settings import LATER, Settings

BLOCK = 256
"""Tokens of the vocabulary that ``invert`` sums up together."""


class DecodingSettings(Settings):
    """How a continuation is drawn."""

    temperature: float = Field(default=1.0, ge=0)
    """Divides the logits; 0 takes the most likely token every time."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus: the smallest set of tokens with at least this probability is drawn from."""
    max_new_tokens: int = Field(default=64, ge=1)
    """Most tokens of a RecCoT, its end token included; left out of a recipe: `prompts.reccot_tokens`."""
    repetition_penalty: Annotated[float, LATER] = Field(default=1.0, gt=0, le=10)
    """Divides the logits above 0, and multiplies those below, of all tokens that stand in the prompt or in the text so
    far, as transformers and vLLM do; 1: none. Titles of the history stand in the prompt, so little of it goes far."""
    stop: Annotated[tuple[str, ...], LATER] = Field(default=(), max_length=4)
    """Phrases that end a text; they are not part of it. For a model that was not taught to end, such as "\\n\\n"."""


@dataclass(frozen=True)
class Continuation:
    """A sampled text: its token ids (end token included, if reached) and each one's log-probability.

    The log-probabilities are the model's own (temperature 1, nothing cut off), so that they can stand for the
    reference in preference training.
    """

    token_ids: list[int]
    token_logprobs: list[float]
    finished: bool


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
    weights = (logits / settings.temperature - logits.amax(dim=-1, keepdim=True) / settings.temperature).exp()
    if settings.top_p < 1:
        probabilities = weights / weights.sum(dim=-1, keepdim=True)
        ordered, order = probabilities.sort(dim=-1, descending=True)
        ordered = ordered.masked_fill(ordered.cumsum(dim=-1) - ordered >= settings.top_p, 0)
        weights = torch.zeros_like(probabilities).scatter(-1, order, ordered)
    return invert(weights, uniform)


def penalised(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits with those of tokens that were seen made smaller.

    Args:
        logits: shape (rows, vocabulary).
        seen: which tokens stand in a row's prompt or text, Boolean, the same shape.
        penalty: above 1 makes them less likely.

    Source:
        CTRL (Keskar et al. 2019), section 4.1, in the form that transformers and vLLM give it.

    >>> penalised(torch.tensor([[2.0, -2.0, 2.0]]), torch.tensor([[True, True, False]]), 2.0).tolist()
    [[1.0, -4.0, 2.0]]
    """
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def until_stop(
    decode: Callable[[list[int]], str], ids: Sequence[int], phrases: Sequence[str]
) -> tuple[int, str | None]:
    """How many tokens there are up to the end of the first stop phrase, and which one it is.

    Args:
        decode: the text of token ids.
        ids: of a text.
        phrases: that end it.

    Returns:
        All tokens and None, where no phrase is in the text.
    """
    if any(phrase in decode(list(ids)) for phrase in phrases):
        for count in range(1, len(ids) + 1):
            text = decode(list(ids[:count]))
            found = [(place, phrase) for phrase in phrases if (place := text.find(phrase)) >= 0]
            if found:
                return count, min(found)[1]
    return len(ids), None


def invert(weights: Tensor, uniform: Tensor) -> Tensor:
    """The first index at which the running sum of a row's weights exceeds ``uniform`` of the row's sum.

    The block of ``BLOCK`` weights in which it lies is found first, so that only sums of blocks and one block are summed
    up in float64, not a whole vocabulary.

    Args:
        weights: not negative, their sum above 0, shape (rows, size).
        uniform: numbers in [0, 1), shape (rows,).

    Returns:
        Indices whose weight is above 0, shape (rows,).

    >>> invert(torch.tensor([[0.0, 2.0, 0.0, 2.0]] * 3), torch.tensor([0.0, 0.49, 0.5])).tolist()
    [1, 1, 3]
    """
    rows, size = weights.shape
    blocks = torch.nn.functional.pad(weights, (0, -size % BLOCK)).view(rows, -1, BLOCK)
    sums = blocks.sum(dim=-1).double().cumsum(dim=-1)
    point = uniform.double()[:, None] * sums[:, -1:]
    block = torch.searchsorted(sums, point, right=True).clamp(max=sums.shape[1] - 1)
    before = sums.gather(1, block) - blocks.sum(dim=-1).gather(1, block).double()
    inside = blocks[torch.arange(rows, device=weights.device), block[:, 0]].double().cumsum(dim=-1)
    # Rounding must not carry the point out of the block.
    offset = torch.minimum((point - before).clamp(min=0), inside[:, -1:] * (1 - 1e-12))
    return (block * BLOCK + torch.searchsorted(inside, offset, right=True))[:, 0]


@torch.inference_mode()
def sample(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    n: int,
    stop_ids: Sequence[int],
    settings: DecodingSettings,
    rows: int = 64,
    token_budget: int = 2048,
) -> list[list[Continuation]]:
    """Draw ``n`` continuations of each prompt.

    Args:
        model: a plain model with the attention of ``trackrec.lm.attention`` (see ``LanguageModel.merged``).
        prompts: token ids of each prompt.
        seeds: one a prompt; what a prompt gets depends on its seed, not on its neighbours (but for the last bits of
            float32 sums, which depend on the shape of the batch: the same prompts together give the same texts).
        n: continuations a prompt.
        stop_ids: tokens that end a text.
        settings: temperature, nucleus, length.
        rows: most texts that are written at a time; with the prompts' length it bounds the memory.
        token_budget: most prompt tokens in one forward pass.

    Returns:
        For each prompt its ``n`` continuations.
    """
    if not prompts:
        return []
    if model.config._attn_implementation != ATTENTION:
        return [
            _generated(model, prompt, seed, n, stop_ids, settings) for prompt, seed in zip(prompts, seeds, strict=True)
        ]
    job = _Job(model, prompts, seeds, n, stop_ids, settings, min(max(1, rows // n), len(prompts)), token_budget)
    return job.run()


def _generated(
    model: PreTrainedModel,
    prompt: Sequence[int],
    seed: int,
    n: int,
    stop_ids: Sequence[int],
    settings: DecodingSettings,
) -> list[Continuation]:
    """The texts of one prompt on a model that keeps its own attention."""
    decoding: dict[str, Any] = {"max_new_tokens": settings.max_new_tokens, "do_sample": settings.temperature > 0}
    if settings.temperature > 0:
        decoding |= {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
    if settings.repetition_penalty != 1:
        decoding["repetition_penalty"] = settings.repetition_penalty
    texts = generated_copies(model, prompt, seed, n, stop_ids, **decoding)
    return [Continuation(tokens, logprobs, tokens[-1] in stop_ids) for tokens, logprobs in texts]


class _Job:
    """The texts of one call, and which of them sits in which row of the batch."""

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Sequence[list[int]],
        seeds: Sequence[int],
        n: int,
        stop_ids: Sequence[int],
        settings: DecodingSettings,
        slots: int,
        token_budget: int,
    ) -> None:
        self.model, self.prompts, self.n, self.settings = model, prompts, n, settings
        self.token_budget = token_budget
        device, steps = model.device, settings.max_new_tokens
        uniforms = np.stack([np.random.default_rng([seed, s]).random(steps) for seed in seeds for s in range(n)])
        self.uniform = torch.from_numpy(uniforms).to(device)
        self.stops = torch.tensor(list(stop_ids), device=device)
        texts = len(prompts) * n
        self.tokens = torch.zeros(texts, steps, dtype=torch.long, device=device)
        self.logprobs = torch.zeros(texts, steps, device=device)
        self.lengths = torch.zeros(texts, dtype=torch.long, device=device)
        self.finished = torch.zeros(texts, dtype=torch.bool, device=device)
        # Long prompts first: those of similar length are read together, and the last ones to start are the quickest.
        self.waiting = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
        self.cache = SharedPrompts(slots, n, max(map(len, prompts)), steps)
        self.text_of = torch.zeros(slots * n, dtype=torch.long, device=device)
        """Which text each row writes."""
        self.rows = torch.zeros(0, dtype=torch.long, device=device)
        """The rows that are writing; ``logits`` belong to them, in the same order."""
        vocabulary = model.config.get_text_config().vocab_size
        self.logits = torch.zeros(0, vocabulary, device=device)
        penalises = settings.repetition_penalty != 1
        self.seen = torch.zeros(slots * n if penalises else 0, vocabulary, dtype=torch.bool, device=device)
        """Which tokens stand in each row's prompt or text; no rows where that is not asked."""

    def run(self) -> list[list[Continuation]]:
        """Write all texts."""
        self.read_prompts(list(range(self.cache.slots)))
        while len(self.rows):
            chosen, goes_on = self.choose()
            writing = torch.zeros(self.cache.slots * self.n, dtype=torch.bool, device=self.rows.device)
            writing[self.rows[goes_on]] = True
            free = (~writing.view(-1, self.n).any(dim=1)).nonzero()[:, 0].tolist()
            self.rows = self.rows[goes_on]
            self.decode(chosen[goes_on])
            self.read_prompts(free)
        texts = [
            Continuation(tokens[:length], logprobs[:length], finished)
            for tokens, logprobs, length, finished in zip(
                self.tokens.tolist(),
                self.logprobs.tolist(),
                self.lengths.tolist(),
                self.finished.tolist(),
                strict=True,
            )
        ]
        return [texts[i : i + self.n] for i in range(0, len(texts), self.n)]

    def choose(self) -> tuple[Tensor, Tensor]:
        """Draw each writing row's next token and note it.

        Returns:
            The tokens, and which rows go on, both shape (rows,).
        """
        text = self.text_of[self.rows]
        place = self.lengths[text]
        logits = self.logits
        if len(self.seen):
            logits = penalised(logits, self.seen[self.rows], self.settings.repetition_penalty)
        chosen = draw(logits, self.uniform[text, place], self.settings)
        if len(self.seen):
            self.seen[self.rows, chosen] = True
        self.tokens[text, place] = chosen
        self.logprobs[text, place] = self.logits.gather(-1, chosen[:, None])[:, 0] - self.logits.logsumexp(dim=-1)
        self.lengths[text] = place + 1
        ended = torch.isin(chosen, self.stops)
        self.finished[text] = ended
        return chosen, ~ended & (place + 1 < self.settings.max_new_tokens)

    def decode(self, chosen: Tensor) -> None:
        """The logits after one more token of each writing row."""
        if not len(self.rows):
            self.logits = self.logits[:0]
            return
        positions = self.cache.step(self.rows)
        output = run_decoder(
            self.model, chosen[:, None], positions, self.cache, past_key_values=self.cache, use_cache=True
        )
        self.cache.end_step()
        self.logits = logits_of(self.model, output.last_hidden_state[:, -1])

    def read_prompts(self, slots: Sequence[int]) -> None:
        """Let waiting prompts into free slots, as many in a pass as the token budget allows."""
        free = list(slots)
        while free and self.waiting:
            taken = [self.waiting.pop(0)]
            room = self.token_budget - len(self.prompts[taken[0]])
            while self.waiting and len(taken) < len(free) and len(self.prompts[self.waiting[0]]) <= room:
                room -= len(self.prompts[self.waiting[0]])
                taken.append(self.waiting.pop(0))
            self._read(taken, free[: len(taken)])
            free = free[len(taken) :]

    def _read(self, numbers: Sequence[int], slots: Sequence[int]) -> None:
        trees = [Tree() for _ in numbers]
        for tree, number in zip(trees, numbers, strict=True):
            tree.add(self.prompts[number])
        batch, device = TreeBatch(trees), self.model.device
        cache = DynamicCache()
        output = run_decoder(
            self.model,
            batch.input_ids.to(device),
            batch.position_ids.to(device),
            plan_of(batch, device),
            past_key_values=cache,
            use_cache=True,
        )
        layers: list[Any] = list(cache.layers)
        where = torch.tensor(list(slots), device=device)
        self.cache.fill(
            where,
            [list(layer.keys[0].split(batch.sizes, dim=1)) for layer in layers],
            [list(layer.values[0].split(batch.sizes, dim=1)) for layer in layers],
        )
        lanes = torch.arange(self.n, device=device)
        rows = (where[:, None] * self.n + lanes).flatten()
        texts = torch.tensor(list(numbers), device=device)[:, None] * self.n + lanes
        self.text_of[rows] = texts.flatten()
        if len(self.seen):
            for number, slot in zip(numbers, slots, strict=True):
                own = self.seen[slot * self.n : (slot + 1) * self.n]
                own[:] = False
                own[:, torch.tensor(self.prompts[number], device=device)] = True
        ends = torch.tensor(batch.sizes, device=device).cumsum(0) - 1
        first = logits_of(self.model, output.last_hidden_state[0, ends])
        self.rows = torch.cat([self.rows, rows])
        self.logits = torch.cat([self.logits, first.repeat_interleave(self.n, dim=0)])
