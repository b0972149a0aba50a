"""Linear layers: oneDNN's products are PyTorch's up to rounding, with their gradients; eight-bit weights come close."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_language import tiny_language_model
from torch import Tensor, nn

from trackrec.lm.linear import QuickLinear, product


def off(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("rows", [(1,), (33,), (2, 7)])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_a_product_is_that_of_pytorch(rows: tuple[int, ...], transposed: bool, with_bias: bool) -> None:
    x, weight = random(*rows, 48), random(48, 20).T if transposed else random(20, 48)
    bias = random(20) if with_bias else None
    assert off(product(x, weight, bias), nn.functional.linear(x, weight, bias)) < 1e-6


def test_other_types_are_left_to_pytorch() -> None:
    x, weight = random(3, 8).double(), random(5, 8).double()
    assert torch.equal(product(x, weight), nn.functional.linear(x, weight))


@pytest.mark.parametrize("trained", [False, True])
def test_gradients_are_those_of_a_plain_layer(trained: bool) -> None:
    plain = nn.Linear(48, 20).requires_grad_(trained)
    quick = nn.Linear(48, 20).requires_grad_(trained)
    quick.load_state_dict(plain.state_dict())
    quick.__class__ = QuickLinear
    gradients = []
    for layer in (plain, quick):
        x = random(2, 9, 48).requires_grad_()
        layer(x).square().sum().backward()
        gradients.append([x.grad, layer.weight.grad, layer.bias.grad])
    for expected, found in zip(*gradients, strict=True):
        assert (expected is None) == (found is None)
        if expected is not None and found is not None:
            assert off(found, expected) < 1e-5


def test_a_model_computes_by_quick_layers(tiny_model_folder: Path) -> None:
    model = tiny_language_model(tiny_model_folder)
    assert not any(type(module) is nn.Linear for module in model.merged(None).modules())
