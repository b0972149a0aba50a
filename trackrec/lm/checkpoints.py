"""States of a training that is under way, so that one that was killed goes on from the last of them.

A state is what ``transformers.Trainer`` keeps (optimiser, schedule, random numbers, place in the data) with our trained
weights in safetensors. The trainer reads its own files by ``torch.load(weights_only=True)``, which runs no code of
theirs. A state counts once its file of hashes is there: what was half written when a process died, or was damaged
since, is set aside.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from trackrec.files.hashes import file_hash
from trackrec.files.whole import write_json

log = logging.getLogger(__name__)

SEAL = "hashes.json"
WEIGHTS = "trained.safetensors"
FIGURES = "figures.json"


class Checkpoints:
    """The states of one training.

    Args:
        folder: where they are; made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def seal(self, step: int) -> None:
        """Note the hashes of the state of a step, which is complete now."""
        state = self.folder / f"checkpoint-{step}"
        write_json(state / SEAL, {path.name: file_hash(path) for path in sorted(state.iterdir())})

    def last(self) -> Path | None:
        """The latest state that is whole; later ones that are not are set aside, with a line."""
        states = [path for path in self.folder.iterdir() if re.fullmatch(r"checkpoint-\d+", path.name)]
        for state in sorted(states, key=lambda path: -int(path.name.partition("-")[2])):
            if _is_whole(state):
                return state
            aside = state.with_name(f"damaged-{state.name}")
            shutil.rmtree(aside, ignore_errors=True)
            state.replace(aside)
            log.warning(
                "the state %s of the training in %s is not whole (cut off or changed): set aside",
                state.name,
                self.folder,
            )
        return None


def _is_whole(state: Path) -> bool:
    try:
        hashes: Any = json.loads((state / SEAL).read_text(encoding="utf-8"))
        found = {path.name: file_hash(path) for path in sorted(state.iterdir()) if path.name != SEAL}
    except (OSError, ValueError):
        return False
    return bool(found) and found == hashes and _opens(state)


def _opens(state: Path) -> bool:
    """Whether PyTorch's own files hold numbers alone, which is all that is ever read of them."""
    from transformers.trainer_pt_utils import safe_globals

    try:
        with safe_globals():
            for path in (*state.glob("*.pt"), *state.glob("*.pth")):
                torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, UnpicklingError, EOFError, ValueError):
        return False
    return True


def save_trained(model: nn.Module, folder: Path, figures: list[dict[str, float]]) -> None:
    """Write what a training changes of a model, and the figures so far."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.detach().contiguous() for name, weight in model.named_parameters() if weight.requires_grad}
    save_file(weights, folder / WEIGHTS)
    (folder / FIGURES).write_text(json.dumps(figures), encoding="utf-8")


def load_trained(model: nn.Module, folder: Path) -> list[dict[str, float]]:
    """Put back what ``save_trained`` wrote.

    Returns:
        The figures.
    """
    from safetensors.torch import load_file

    weights = load_file(folder / WEIGHTS)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.copy_(weights[name])
    figures: list[dict[str, float]] = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
    return figures
