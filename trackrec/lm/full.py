"""Full fine-tuning: whole copies of a model under names, as adapters are, few of them in memory at a time.

What is trained is kept in float32, since updates of a learning rate near 1e-6 are smaller than what bfloat16 can tell
apart; it computes in the type that the recipe names. What is saved is an ordinary folder of transformers (safetensors,
configuration, tokenizer): any later stage, any server and `model.name` of another recipe takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trackrec.errors import RunError

Maker = Callable[[torch.dtype], PreTrainedModel]
"""Loads the plain base model, with the attention it is to have, in a type."""


class FullVersions:
    """Versions of a model, each with all its weights.

    A fresh version is the base model until it is trained. Versions that were loaded from a folder leave memory when
    another one comes, and are read again when they are asked for; those that were trained stay until ``drop``.

    Args:
        make: loads the base model.
        tokenizer: saved beside the weights.
        dtype: what the model computes in.
    """

    def __init__(self, make: Maker, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype) -> None:
        self._make, self._tokenizer, self._dtype = make, tokenizer, dtype
        self._models: dict[str, PreTrainedModel] = {}
        self._folders: dict[str, Path | None] = {}
        """Where a version is read from; None: it is the base model."""

    def add(self, name: str) -> None:
        """A fresh version."""
        self.drop(name)
        self._folders[name] = None

    def load(self, name: str, folder: Path) -> None:
        """A version that was saved.

        Raises:
            RunError: the folder holds no model, or one of another shape.
        """
        if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
            raise RunError(
                f"no model in {folder}: expected config.json and safetensors there, as full fine-tuning "
                "(adapter.method: full) saves them"
            )
        self.drop(name)
        self._folders[name] = folder
        self.get(name)  # what is wrong with it is said here

    def drop(self, name: str) -> None:
        """Forget a version."""
        self._models.pop(name, None)
        self._folders.pop(name, None)

    def get(self, name: str) -> PreTrainedModel:
        """The version itself, in float32."""
        if name not in self._models:
            for other in [other for other in self._models if other in self._folders]:
                del self._models[other]
            self._models[name] = self._read(name, torch.float32)
        return self._models[name]

    def train(self, name: str) -> PreTrainedModel:
        """The version, which is about to change: from now on memory alone holds it."""
        model = self.get(name)
        self._folders.pop(name, None)
        return model.requires_grad_(True)

    def copy(self, name: str) -> PreTrainedModel:
        """A copy of the version in the type that it computes in, for writing and scoring."""
        if name not in self._models:
            return self._read(name, self._dtype).requires_grad_(False)
        copy = self._make(self._dtype)
        copy.load_state_dict(self._models[name].state_dict())
        return copy.requires_grad_(False)

    def save(self, name: str, folder: Path) -> None:
        """Write the version, in float32, with its tokenizer."""
        self.get(name).save_pretrained(str(folder))
        self._tokenizer.save_pretrained(str(folder))

    def _read(self, name: str, dtype: torch.dtype) -> PreTrainedModel:
        if name not in self._folders:
            raise RunError(f"no version {name!r} of the model: expected one of {', '.join(self._folders) or 'none'}")
        folder, model = self._folders[name], self._make(dtype)
        if folder is not None:
            _fill(model, folder)
        return model


def _fill(model: PreTrainedModel, folder: Path) -> None:
    """Put the weights of a folder into a model of the same shape."""
    from safetensors.torch import load_file

    found: set[str] = set()
    unknown: list[str] = []
    try:
        for file in sorted(folder.glob("*.safetensors")):
            weights = load_file(file, device="cpu")
            unknown += model.load_state_dict(weights, strict=False).unexpected_keys
            found |= set(weights)
    except (SafetensorError, RuntimeError) as error:
        raise RunError(f"the weights in {folder} are damaged or of another model: {str(error)[:300]}") from error
    tied: Any = getattr(model, "all_tied_weights_keys", None) or {}
    missing = set(model.state_dict()) - found - set(tied)
    if missing or unknown:
        raise RunError(
            f"the weights in {folder} are of another model: {len(missing)} are missing and {len(unknown)} unknown, "
            f"such as {sorted([*missing, *unknown])[0]!r}"
        )
