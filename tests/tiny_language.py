"""What the tests of the language model share: the tiny model with adapters, and plain passes to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trackrec.lm.model import AdapterSettings, LanguageModel, LanguageModelSettings
from trackrec.lm.tree import Tree


def tiny_language_model(folder: Path, rank: int = 4) -> LanguageModel:
    """The tiny model of ``tiny_model_folder`` on one CPU thread."""
    settings = LanguageModelSettings(name=str(folder), device="cpu", threads=1)
    return LanguageModel(settings, AdapterSettings(rank=rank, alpha=2 * rank))


def adapter_weights(model: LanguageModel, name: str) -> dict[str, Tensor]:
    """The adapter's parameters themselves, by their names."""
    return {key: value for key, value in model.peft.named_parameters() if f".{name}." in key}


def copy_weights(model: LanguageModel, name: str) -> dict[str, Tensor]:
    """A copy of them, to compare with later."""
    return {
        key.replace(f".{name}.", "."): value.detach().clone() for key, value in adapter_weights(model, name).items()
    }


def add_moved(model: LanguageModel, name: str, seed: int, scale: float = 0.1) -> None:
    """Add an adapter as if it had been trained: a fresh one has an update of 0, and everything would equal the base."""
    model.add(name, seed)
    generator = torch.Generator().manual_seed(seed)
    for key, value in adapter_weights(model, name).items():
        if "lora_B" in key:
            value.data = scale * torch.randn(value.shape, generator=generator)


def path(tree: Tree, segment: int) -> list[int]:
    """The tokens from the root to the end of a segment: its unrolled copy."""
    parent = tree.parents[segment]
    return (path(tree, parent) if parent >= 0 else []) + tree.segments[segment]


def plain_logits(model: Any, tokens: Sequence[int]) -> Tensor:
    """Logits of an ordinary forward pass over one text, shape (tokens, vocabulary)."""
    return model(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0]  # type: ignore[no-any-return]


def plain_logprobs(model: Any, prompt: Sequence[int], tokens: Sequence[int]) -> Tensor:
    """Log-probability of each of ``tokens`` after ``prompt``, by an ordinary forward pass."""
    logits = plain_logits(model, [*prompt, *tokens])[len(prompt) - 1 : -1].log_softmax(dim=-1)
    return logits.gather(-1, torch.tensor(list(tokens))[:, None])[:, 0]


def relative_error(value: Tensor, expected: Tensor) -> float:
    """Length of the difference over the length of what is expected."""
    return float((value - expected).detach().norm() / expected.detach().norm().clamp(min=1e-12))
