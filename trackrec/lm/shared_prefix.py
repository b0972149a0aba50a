"""Decoding over a shared prefix: n samples of a prompt read one copy of its keys and values.

Each decoding step attends to two parts: the prompt's cache, stored once a prompt, and the row's own new tokens, in a
buffer made once. Nothing is copied as the text grows, and a prompt's samples share one matrix product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, PretrainedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from trackrec.errors import RunError

ATTENTION = "trackrec_shared_prefix"


class SharedPrefixCache:
    """Keys and values of P prompts, each read by ``rows`` continuations.

    Args:
        keys: one tensor a layer, shape (prompts, key heads, prompt tokens, head width), padded on the right.
        values: likewise.
        lengths: real tokens of each prompt, shape (prompts,).
        rows: continuations of each prompt; row r of the decoding batch belongs to prompt r // rows.
        new_tokens: most tokens that a row may get.
    """

    def __init__(self, keys: list[Tensor], values: list[Tensor], lengths: Tensor, rows: int, new_tokens: int) -> None:
        self.prefix_keys, self.prefix_values = keys, values
        self.rows, self.length = rows, 0
        prompts, heads, size, width = keys[0].shape
        self.hidden_positions = torch.arange(size, device=lengths.device) >= lengths[:, None]
        shape = (prompts * rows, heads, new_tokens, width)
        self.keys = [key.new_empty(shape) for key in keys]
        self.values = [value.new_empty(shape) for value in values]

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any) -> tuple[Tensor, Tensor]:
        """Store a step's keys and values, shape (rows, heads, 1, width); give back those of all new tokens."""
        self.keys[layer][:, :, self.length] = key[:, :, 0]
        self.values[layer][:, :, self.length] = value[:, :, 0]
        stop = self.length + 1
        return self.keys[layer][:, :, :stop], self.values[layer][:, :, :stop]

    def get_seq_length(self, layer: int = 0) -> int:
        """Number of new tokens stored: transformers asks for it."""
        return self.length

    def keep(self, prompts: Tensor) -> None:
        """Go on with some of the prompts alone (indices); the others' texts are finished."""
        rows = (prompts[:, None] * self.rows + torch.arange(self.rows, device=prompts.device)).flatten()
        self.prefix_keys = [key[prompts] for key in self.prefix_keys]
        self.prefix_values = [value[prompts] for value in self.prefix_values]
        self.hidden_positions = self.hidden_positions[prompts]
        self.keys = [key[rows] for key in self.keys]
        self.values = [value[rows] for value in self.values]


def shared_prefix_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    shared_prefix: SharedPrefixCache | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of one new token a row over its prompt's cache and its own new tokens.

    Without ``shared_prefix`` (the prefill) this is PyTorch's scaled dot-product attention.

    Args:
        query: shape (rows, heads, 1, width); ``key`` and ``value``: (rows, key heads, new tokens, width).

    Returns:
        Shape (rows, 1, heads, width), and no weights.
    """
    if shared_prefix is None:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        return output, None
    layer, n = module.layer_idx, shared_prefix.rows
    rows, heads, _, width = query.shape
    key_heads = key.shape[1]
    group = heads // key_heads
    prompts = rows // n
    query = query.reshape(rows, key_heads, group, width) * (scaling or width**-0.5)
    # (rows, key heads, group, width) -> (prompts, key heads, n * group, width): a prompt's samples in one product
    together = (
        query.view(prompts, n, key_heads, group, width).transpose(1, 2).reshape(prompts, key_heads, n * group, width)
    )
    old = together @ shared_prefix.prefix_keys[layer].transpose(-1, -2)
    old = old.masked_fill(shared_prefix.hidden_positions[:, None, None, :], float("-inf"))
    size = old.shape[-1]
    old = old.view(prompts, key_heads, n, group, size).transpose(1, 2).reshape(rows, key_heads, group, size)
    new = query @ key.transpose(-1, -2)
    weights = torch.cat([old, new], dim=-1).softmax(dim=-1)
    old, new = weights[..., :size], weights[..., size:]
    old = old.view(prompts, n, key_heads, group, size).transpose(1, 2).reshape(prompts, key_heads, n * group, size)
    from_prefix = (old @ shared_prefix.prefix_values[layer]).view(prompts, key_heads, n, group, width)
    output = from_prefix.transpose(1, 2).reshape(rows, key_heads, group, width) + new @ value
    return output.reshape(rows, 1, heads, width), None


def check_supported(config: PretrainedConfig) -> None:
    """Refuse models whose attention is not the plain one over the whole past.

    Raises:
        RunError: naming what the model has (sliding windows, soft-capped logits).
    """
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"} or getattr(config, "attn_logit_softcapping", None):
        raise RunError(
            f"sampling shares a prompt's cache, which works for full attention alone; the model {config.model_type!r} "
            f"has layers {sorted(kinds)}. Take a Llama or Qwen type model"
        )


AttentionInterface.register(ATTENTION, shared_prefix_attention)
