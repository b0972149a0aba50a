"""Linear layers with eight-bit weights: a copy of a model that writes faster and not quite the same.

Weights are rounded once, with a scale for each output; inputs are rounded on the fly. Products are of whole numbers.
Meant for sampling alone: what was sampled is scored once more with the true weights, so that preference training has
the log-probabilities that it needs.

Two kernels, since neither is quick everywhere: oneDNN's (``torch._int_mm``) needs AVX-512 (without it, 32 rows of a
576 x 1536 layer take thirty times as long as in float32); FBGEMM's takes less than half of float32's time on AVX2.
"""

from __future__ import annotations

import copy
import warnings

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_SEVEN_BITS = 63


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
    """``x W^T + b`` with rounded weights, each row of ``x`` rounded with a scale of its own.

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


class PackedInt8Linear(nn.Module):
    """``x W^T + b`` with weights rounded and laid out for FBGEMM.

    FBGEMM rounds all rows of ``x`` with one scale: rows are brought to one size before, and back afterwards. On AVX2 it
    adds products of neighbours in sixteen bits: weights keep seven, lest these overflow.

    Args:
        layer: the layer that it stands for.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach().float()
        scale = (weight.abs().amax(dim=1).clamp(min=1e-30) / _SEVEN_BITS).double()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*quantized tensor creation.*")  # the pinned PyTorch has them
            zeros = torch.zeros(len(scale), dtype=torch.long)
            numbers = torch.quantize_per_channel(weight, scale, zeros, 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(numbers, None)
        self.bias = layer.bias

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., inputs) to (..., outputs), in the type of ``x``."""
        size = x.abs().amax(dim=-1, keepdim=True).clamp(min=1e-30)
        result: Tensor = torch.ops.quantized.linear_dynamic((x / size).float(), self.packed, reduce_range=False)
        result *= size
        if self.bias is not None:
            result += self.bias
        return result.to(x.dtype)


def quick_kernel() -> type[Int8Linear] | type[PackedInt8Linear]:
    """The layer whose kernel is the quicker one on this processor."""
    packs = "fbgemm" in torch.backends.quantized.supported_engines
    return PackedInt8Linear if packs and torch.backends.cpu.get_cpu_capability() == "AVX2" else Int8Linear


def quantised(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of a model whose linear layers, its head among them, have eight-bit weights."""
    model, kernel = copy.deepcopy(model), quick_kernel()
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    for name, layer in layers:
        model.set_submodule(name, kernel(layer))
    return model
