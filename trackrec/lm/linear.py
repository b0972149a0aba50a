"""Linear layers in float32 on a CPU, by oneDNN.

PyTorch hands float32 products to MKL, which on some CPUs (AMD's with AVX-512 among them) reaches half of what oneDNN
does with the same numbers; PyTorch carries both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x W^T + b``, as ``torch.nn.functional.linear``, without a gradient.

    Args:
        x: shape (..., inputs).
        weight: shape (outputs, inputs); a transposed view is as good.
        bias: shape (outputs,), or none.

    Returns:
        Shape (..., outputs).
    """
    if _HAS_ONEDNN and x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]
    return nn.functional.linear(x, weight, bias)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x if weight.requires_grad else None, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0]
        rows = gradient.reshape(-1, weight.shape[0])
        of_x = product(gradient, weight.T) if ctx.needs_input_grad[0] else None
        of_weight = product(rows.T, x.reshape(-1, weight.shape[1]).T) if ctx.needs_input_grad[1] else None
        of_bias = rows.sum(dim=0) if ctx.needs_input_grad[2] else None
        return of_x, of_weight, of_bias


class QuickLinear(nn.Linear):
    """``torch.nn.Linear`` with the same weights, computed by ``product``."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled(x.device.type):  # the types change on the way, which a backward of ours misses
            return super().forward(x)
        if torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad):
            return _Product.apply(x, self.weight, self.bias)  # type: ignore[no-any-return, no-untyped-call]
        return product(x, self.weight, self.bias)


def quicken(model: PreTrainedModel) -> PreTrainedModel:
    """Let a model's plain linear layers compute by ``product``; its weights and their names stay as they are."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = QuickLinear
    return model
