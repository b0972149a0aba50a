"""Linear layers with eight-bit weights: a copy of a model that writes faster and not quite the same.

Weights are rounded once, with a scale for each output; inputs are rounded on the fly, with a scale for each row. The
products are of whole numbers (``torch._int_mm``) and therefore exact. Meant for sampling alone: what was sampled is
scored once more with the true weights, so that preference training has the log-probabilities that it needs.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


def rounded(values: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers from -127 to 127 and the scale of each row, so that ``values`` is about their product.

    Args:
        values: shape (rows, columns), float32.

    Returns:
        int8, shape (rows, columns), and float32, shape (rows, 1).

    >>> rounded(torch.tensor([[0.5, -1.0], [0.0, 0.0]]))[0].tolist()
    [[64, -127], [0, 0]]
    """
    scale = values.abs().amax(dim=1, keepdim=True).clamp(min=1e-30) / 127
    return (values / scale).round_().to(torch.int8), scale


class Int8Linear(nn.Module):
    """``x W^T + b`` with rounded weights.

    Args:
        layer: the layer that it stands for.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        numbers, scale = rounded(layer.weight.detach().float())
        # Inputs times transposed weights: the view is what oneDNN's kernel takes as it is.
        self.numbers, self.scale, self.bias = numbers.t(), scale[:, 0], layer.bias

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., inputs) to (..., outputs), in the type of ``x``."""
        numbers, scale = rounded(x.reshape(-1, x.shape[-1]).float())
        result = torch._int_mm(numbers, self.numbers).float().mul_(scale).mul_(self.scale)
        if self.bias is not None:
            result += self.bias
        return result.to(x.dtype).view(*x.shape[:-1], -1)


def quantised(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of a model whose linear layers, its head among them, have eight-bit weights."""
    model = copy.deepcopy(model)
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    for name, layer in layers:
        model.set_submodule(name, Int8Linear(layer))
    return model
