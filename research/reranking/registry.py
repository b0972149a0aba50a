"""The re-rankers by name, what they have in common, and how they are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol, cast, get_args

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from research.reranking.dlcm import DLCM
from research.reranking.examples import ListExamples
from research.reranking.list_inputs import ListModelSettings, ListShape
from research.reranking.mir import MIR
from research.reranking.prm import PRM
from research.reranking.setrank import SetRank
from trackrec.errors import RunError
from trackrec.rankers.examples import VectorTable

RerankerName = Literal["dlcm", "prm", "setrank", "mir"]

RERANKERS: dict[RerankerName, type[nn.Module]] = {"dlcm": DLCM, "prm": PRM, "setrank": SetRank, "mir": MIR}
"""Each is built from a ``ListShape`` and ``ListModelSettings`` and is a :class:`Reranker`."""


class Reranker(Protocol):
    """What fit and comparison ask of a re-ranker, which is a ``torch.nn.Module`` besides."""

    pointwise: bool
    """Whether its paper trains each candidate by itself (LogLoss) instead of the list as a whole."""

    def __call__(
        self, batch: ListExamples, users: VectorTable | None = None, items: VectorTable | None = None
    ) -> Tensor:
        """Scores, shape (lists, length); those of padding mean nothing."""
        ...


def build_reranker(name: RerankerName, shape: ListShape, settings: ListModelSettings) -> nn.Module:
    """A re-ranker with fresh weights; build it inside :func:`trackrec.rankers.fit.seeded` to fix them by a seed."""
    assert name in get_args(RerankerName)
    return RERANKERS[name](shape, settings)


def as_reranker(model: nn.Module) -> Reranker:
    """The same object, as the type checker is to see it."""
    return cast(Reranker, model)


def save_reranker(model: nn.Module, path: Path) -> None:
    """Write the weights (safetensors). The catalogue's own tensors are not weights and come with the shape."""
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)


def load_reranker(model: nn.Module, path: Path) -> None:
    """Read weights into a re-ranker of the same name, shape and settings, and put it into evaluation mode.

    Raises:
        RunError: there is no such file, or it is of another model.
    """
    if not path.is_file():
        raise RunError(f"no re-ranker in {path}: expected the safetensors file that save_reranker wrote")
    try:
        model.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise RunError(
            f"{path} does not fit this {type(model).__name__}: build it with the catalogue, the events in view and the "
            f"settings that it was trained with ({str(error).splitlines()[-1].strip()})"
        ) from error
    model.eval()
