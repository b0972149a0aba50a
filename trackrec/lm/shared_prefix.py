"""Decoding over shared prompts: n rows of a prompt read one copy of its keys and values.

Each decoding step attends to two parts: the prompt's cache, stored once a prompt, and the row's own new tokens, in a
buffer made once. Nothing is copied as the texts grow, and a prompt's rows share one matrix product. A prompt sits in a
slot; when its texts are finished the next one takes the slot over, while the others go on.
"""

from __future__ import annotations

import torch
from torch import Tensor


class SharedPrompts:
    """The cache and the plan of decoding: ``slots`` prompts at a time with ``n`` rows each; row r is of slot r // n.

    Args:
        slots: prompts at a time.
        n: texts of a prompt.
        prompt_tokens: room for a prompt.
        new_tokens: room for the new tokens of a row.
    """

    def __init__(self, slots: int, n: int, prompt_tokens: int, new_tokens: int) -> None:
        self.slots, self.n, self.prompt_tokens, self.new_tokens = slots, n, prompt_tokens, new_tokens
        self.prompt_keys: list[Tensor] = []
        self.prompt_values: list[Tensor] = []
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.prompt_lengths = torch.zeros(slots, dtype=torch.long)
        self.lengths = torch.zeros(slots * n, dtype=torch.long)
        self.rows = torch.zeros(0, dtype=torch.long)
        self._seen: dict[int | None, tuple[Tensor, Tensor]] = {}

    def fill(self, slots: Tensor, keys: list[list[Tensor]], values: list[list[Tensor]]) -> None:
        """Put prompts into slots; their rows have no new tokens yet.

        Args:
            slots: which, shape (prompts,).
            keys: for each layer one tensor a prompt, shape (key heads, tokens, width); ``values`` likewise.
        """
        if not self.keys:
            self._make(keys)
        for slot, *prompt in zip(slots.tolist(), zip(*keys, strict=True), zip(*values, strict=True), strict=True):
            size = prompt[0][0].shape[1]
            for stores, parts in zip((self.prompt_keys, self.prompt_values), prompt, strict=True):
                for store, part in zip(stores, parts, strict=True):
                    store[slot, :, :size] = part
            self.prompt_lengths[slot] = size
            self.lengths[slot * self.n : (slot + 1) * self.n] = 0

    def _make(self, keys: list[list[Tensor]]) -> None:
        for first, *_ in keys:
            heads, _, width = first.shape
            # Zeros, not whatever memory holds: what is masked is still multiplied, and 0 times infinity is no number.
            for stores in (self.prompt_keys, self.prompt_values):
                stores.append(first.new_zeros(self.slots, heads, self.prompt_tokens, width))
            for stores in (self.keys, self.values):
                stores.append(first.new_zeros(self.slots * self.n, heads, self.new_tokens, width))
        device = keys[0][0].device
        self.prompt_lengths, self.lengths = self.prompt_lengths.to(device), self.lengths.to(device)

    def step(self, rows: Tensor) -> Tensor:
        """Begin a decoding step of some rows.

        Args:
            rows: which rows get a token, shape (rows,).

        Returns:
            Position of each one's token, shape (rows, 1).
        """
        self.rows, self._seen = rows, {}
        return (self.prompt_lengths[rows // self.n] + self.lengths[rows])[:, None]

    def end_step(self) -> None:
        """The rows of this step have one token more."""
        self.lengths[self.rows] += 1

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Called by transformers in every layer: store the step's keys and values, shape (rows, heads, 1, width).

        What else a version hands over (5.23 a dictionary, 5.24 the same by name) says nothing that is needed here.
        """
        place = self.lengths[self.rows]
        self.keys[layer][self.rows, :, place] = key[:, :, 0]
        self.values[layer][self.rows, :, place] = value[:, :, 0]
        return key, value

    def get_seq_length(self, layer: int = 0) -> int:
        """Asked by transformers; positions are given, so that nothing depends on it."""
        return 0

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None) -> Tensor:
        """Attention of one new token a row to its prompt and its own earlier tokens; see ``attention.Plan``."""
        rows, heads, _, width = query.shape
        slots, n = self.slots, self.n
        key_heads = key.shape[1]
        group = heads // key_heads
        every = query.new_zeros(slots * n, key_heads, group, width)
        every[self.rows] = query.view(rows, key_heads, group, width) * scale
        seen_prompt, seen_own = self._masks(window)
        used = seen_own.shape[-1]
        # (rows, key heads, group, width) -> (slots, key heads, n * group, width): a prompt's rows in one product
        together = every.view(slots, n, key_heads, group, width).transpose(1, 2)
        together = together.reshape(slots, key_heads, n * group, width)
        old = (together @ self.prompt_keys[layer].transpose(-1, -2)).view(slots, key_heads, n, group, -1)
        old = old.transpose(1, 2).reshape(slots * n, key_heads, group, -1) + seen_prompt
        new = every @ self.keys[layer][:, :, :used].transpose(-1, -2) + seen_own
        weights = torch.cat([old, new], dim=-1).softmax(dim=-1)
        old, new = weights[..., : self.prompt_tokens], weights[..., self.prompt_tokens :]
        old = old.view(slots, n, key_heads, group, -1).transpose(1, 2).reshape(slots, key_heads, n * group, -1)
        told = (old @ self.prompt_values[layer]).view(slots, key_heads, n, group, width).transpose(1, 2)
        result = told.reshape(slots * n, key_heads, group, width) + new @ self.values[layer][:, :, :used]
        return result[self.rows].view(rows, 1, heads, width)

    def _masks(self, window: int | None) -> tuple[Tensor, Tensor]:
        """What is added to the scores of a row's prompt and of its own tokens, shapes (all rows, 1, 1, tokens)."""
        if window not in self._seen:
            used = int(self.lengths[self.rows].max()) + 1
            like = self.prompt_keys[0]
            prompt = self.prompt_lengths.repeat_interleave(self.n)[:, None]
            position = prompt + self.lengths[:, None]
            there = torch.arange(self.prompt_tokens, device=like.device)[None]
            own = torch.arange(used, device=like.device)[None]
            sees_prompt, sees_own = there < prompt, own <= self.lengths[:, None]
            if window is not None:
                sees_prompt = sees_prompt & (there > position - window)
                sees_own = sees_own & (own + prompt > position - window)
            added = [like.new_zeros(s.shape).masked_fill_(~s, float("-inf")) for s in (sees_prompt, sees_own)]
            self._seen[window] = added[0][:, None, None], added[1][:, None, None]
        return self._seen[window]
