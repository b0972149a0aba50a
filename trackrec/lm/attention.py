"""The attention function that models are loaded with: PyTorch's own, unless a call brings a plan of its own.

A plan travels with the call (``plan=...`` among the keyword arguments of the decoder) and says who sees whom: a prefix
tree (``trackrec.lm.tree_attention``) or a step of decoding over shared prompts (``trackrec.lm.shared_prefix``).
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "trackrec"


class Plan(Protocol):
    """Who sees whom in one call of the model."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None) -> Tensor:
        """Attention of one layer.

        Args:
            layer: its number.
            query: shape (rows, heads, tokens, width); key and value: likewise, with their own number of heads.
            scale: what the scores are multiplied by.
            window: how far back a token sees in this layer; None: as far as the plan says.

        Returns:
            Shape (rows, tokens, heads, width).
        """
        ...


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    plan: Plan | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in every layer. The plan's result, or PyTorch's scaled dot-product attention."""
    if plan is None:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        return output, None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return plan.attend(module.layer_idx, query, key, value, scale, sliding_window), None


def run_decoder(model: PreTrainedModel, input_ids: Tensor, position_ids: Tensor, plan: Plan, **kwargs: Any) -> Any:
    """The model's decoder under a plan: hidden states, without the head."""
    # A ready 4-D mask keeps transformers from building one; no plan reads it.
    ready = torch.zeros(1, 1, 1, 1, device=input_ids.device)
    return model.get_decoder()(
        input_ids=input_ids, position_ids=position_ids, attention_mask=ready, plan=plan, **kwargs
    )


def why_not(config: PreTrainedConfig) -> str | None:
    """Why a model's attention cannot follow a plan; None if, by its configuration, it can."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if not kinds <= {"full_attention", "sliding_attention"}:
        return f"it has layers of the kinds {sorted(kinds)}"
    if getattr(config, "attn_logit_softcapping", None):
        return "it caps the logits of its attention"
    return None


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
