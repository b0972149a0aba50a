"""LoRA layers that compute with the update added to their weights while they are trained.

PEFT adds the update in every layer and pass, by two products with an inner size of r: few operations, but slow ones,
which take as long as the layer's own product on a CPU. Here the update is added to the weights once an optimiser step;
the forward pass is one product, and the backward pass finds the gradients of A and B from the layer's input and output:

    y = x (W + s B A)^T,   dx = dy (W + s B A),   dA = s (dy B)^T x,   dB = s dy^T (x A^T)

These are PEFT's own results up to rounding. The price is a second copy of the adapted weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import Linear
from torch import Tensor

from trackrec.lm.linear import product


class _MergedLinear(torch.autograd.Function):
    """``x`` times the merged weights; gradients go to ``x``, A (rank, inputs) and B (outputs, rank)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, merged: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(x, merged, a, b)
        ctx.scale = scale
        return product(x, merged, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, merged, a, b = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, merged.shape[0])
        flat = x.reshape(-1, merged.shape[1])
        of_x = product(gradient, merged.T).view_as(x) if ctx.needs_input_grad[0] else None
        of_a = ctx.scale * (product(gradient, b.T).T @ flat)
        of_b = ctx.scale * (gradient.T @ product(flat, a))
        return of_x, None, None, of_a, of_b, None


class MergedAdapter:
    """An adapter's layers with their update added to a copy of their weights.

    Args:
        model: the PEFT model.
        adapter: the adapter that is trained.
    """

    def __init__(self, model: PeftModel, adapter: str) -> None:
        self.adapter = adapter
        self.layers: list[Any] = [
            module
            for module in model.modules()
            if isinstance(module, Linear) and adapter in module.lora_A and _is_plain(module, adapter)
        ]
        self.merged: list[Tensor] = [torch.empty_like(layer.get_base_layer().weight) for layer in self.layers]

    @torch.no_grad()
    def refresh(self) -> None:
        """Add the update as it is now: before each optimiser step."""
        for layer, merged in zip(self.layers, self.merged, strict=True):
            a, b = layer.lora_A[self.adapter].weight, layer.lora_B[self.adapter].weight
            torch.addmm(layer.get_base_layer().weight, b, a, alpha=layer.scaling[self.adapter], out=merged)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside the block the layers compute with the merged weights."""
        self.refresh()
        for layer, merged in zip(self.layers, self.merged, strict=True):
            layer.forward = self._forward(layer, merged)
        try:
            yield
        finally:
            for layer in self.layers:
                del layer.forward

    def _forward(self, layer: Any, merged: Tensor) -> Any:
        a, b = layer.lora_A[self.adapter].weight, layer.lora_B[self.adapter].weight
        bias, scale = layer.get_base_layer().bias, layer.scaling[self.adapter]

        def forward(x: Tensor, *_: Any, **__: Any) -> Tensor:
            return _MergedLinear.apply(x, merged, bias, a, b, scale)  # type: ignore[no-any-return, no-untyped-call]

        return forward


def _is_plain(layer: Any, adapter: str) -> bool:
    """Whether a layer's update is scale * B A and nothing else, in float32 on the CPU."""
    weight = layer.get_base_layer().weight
    plain = isinstance(layer.lora_dropout[adapter], torch.nn.Identity) and not layer.use_dora.get(adapter, False)
    return plain and weight.dtype == torch.float32 and weight.device.type == "cpu" and not layer.lora_bias[adapter]
