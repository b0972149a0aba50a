"""What every CTR ranker has in common: its settings, the sizes that the data decide, and what the fit needs of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl
import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trackrec.errors import RunError
from trackrec.rankers.adaptor import AdaptorSettings
from trackrec.rankers.examples import Examples, ItemTable, RatingScale, VectorTable
from trackrec.registry import find
from trackrec.settings import Positive, Settings

Start = Literal["torch", "xavier"]


class BackboneSettings(Settings):
    """Sizes of a CTR backbone; each reads those that it has a part for."""

    embedding: int = Field(default=16, ge=1)
    """Width of an item's embedding, and of every other field's."""
    attention_units: tuple[Positive, ...] = (32,)
    """Hidden layers of the attention over recent events (DIN, DIEN)."""
    hidden_units: tuple[Positive, ...] = (64, 32)
    """Hidden layers of the network that ends in the logit."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout in that network."""
    cross_layers: int = Field(default=2, ge=1)
    """Layers of the crosses (DCN, DCNv2) and of the self-attention between fields (AutoInt); steps of FiGNN."""
    cin_units: tuple[Positive, ...] = (32, 32)
    """Feature maps of xDeepFM's compressed interaction; even but for the last."""
    heads: int = Field(default=2, ge=1)
    """Heads of AutoInt's self-attention; they divide ``embedding``."""
    start: Start = "torch"
    """First draws of the linear layers. torch: uniform, narrow; xavier: normal, 1.4 to 2 times as wide, with no bias,
    which learns faster. Worth trying where there are many examples."""
    adaptor: AdaptorSettings = AdaptorSettings()


@dataclass(frozen=True)
class RankerSizes:
    """What a model must know of its data before it has seen an example."""

    items: ItemTable
    """The catalogue; its tensors become buffers of the model."""
    ratings: int
    """Number of rating buckets, "no rating" included."""
    recent: int = 0
    """Recent events in view; 0: no sequence at all."""
    dense: int = 0
    """Dense item features."""
    scores: int = 0
    """Log-odds that validators give to the example."""
    texts: tuple[int, ...] = ()
    """Length of each source's text vectors: the user's first, if there is one, then the item's."""

    @classmethod
    def of(
        cls, items: ItemTable, scale: RatingScale, examples: Examples, vectors: VectorTable | None = None
    ) -> RankerSizes:
        """The sizes of these examples and the text vectors that they point to."""
        return cls(
            items,
            scale.buckets,
            examples.recent.shape[1],
            examples.dense.shape[1],
            examples.score.shape[1],
            () if vectors is None else vectors.widths,
        )


class Trainable(Protocol):
    """A torch module, as far as the training loop knows it."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...

    def train(self, mode: bool = True) -> Any: ...

    def eval(self) -> Any: ...

    def to(self, device: Any) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> Any: ...


class Ranker(Trainable, Protocol):
    """A torch module that gives logits; what training and prediction ask of it."""

    def __call__(self, batch: Examples, vectors: VectorTable | None = None) -> Any:
        """Logits that the users like the targets, shape (batch,); a row's logit does not depend on the other rows."""


WEIGHTS = "ranker.safetensors"
DESCRIPTION = "ranker.json"


def build_ranker(backbone: str, sizes: RankerSizes, settings: BackboneSettings) -> nn.Module:
    """A ranker with fresh weights; build it inside :func:`trackrec.rankers.fit.seeded`.

    Args:
        backbone: a name or import path of the registry; the class takes (sizes, settings) and is a
            :class:`trackrec.rankers.base.Ranker`.
        sizes: of the data, see :meth:`RankerSizes.of`.
        settings: sizes of the model.
    """
    ranker: nn.Module = find("backbone", backbone)(sizes, settings)
    return ranker


def save_ranker(folder: Path, model: nn.Module, backbone: str, sizes: RankerSizes, settings: BackboneSettings) -> None:
    """Write ``ranker.safetensors`` (weights and catalogue) and ``ranker.json`` (the rest), enough to score anew."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    tensors |= {"items.genres": sizes.items.genres.contiguous(), "items.years": sizes.items.years.contiguous()}
    save_file(tensors, folder / WEIGHTS)
    described: dict[str, Any] = {
        "backbone": backbone,
        "settings": settings.model_dump(mode="json"),
        "sizes": {name: value for name, value in vars(sizes).items() if name != "items"},
        "item_ids": sizes.items.ids.to_list(),
        "item_id_type": "string" if sizes.items.ids.dtype == pl.String else "integer",
    }
    (folder / DESCRIPTION).write_text(json.dumps(described, ensure_ascii=False) + "\n", encoding="utf-8")


def load_ranker(folder: Path) -> tuple[nn.Module, RankerSizes]:
    """The ranker of a folder, in evaluation mode, and the sizes (with the catalogue) that it was built for.

    Raises:
        RunError: the folder holds no ranker, or its weights are not there.
    """
    if not (folder / DESCRIPTION).is_file() or not (folder / WEIGHTS).is_file():
        raise RunError(f"{folder} holds no ranker: expected {WEIGHTS} and {DESCRIPTION}, as save_ranker writes them.")
    described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    tensors = load_file(folder / WEIGHTS)
    kind = pl.String if described["item_id_type"] == "string" else pl.Int64
    ids = pl.Series("item_id", described["item_ids"], dtype=kind)
    items = ItemTable(ids, tensors.pop("items.genres"), tensors.pop("items.years"))
    sizes = RankerSizes(items, **{**described["sizes"], "texts": tuple(described["sizes"]["texts"])})
    settings = BackboneSettings.model_validate(described["settings"])
    with torch.random.fork_rng(devices=[]):
        model = build_ranker(described["backbone"], sizes, settings)
    model.load_state_dict({name.removeprefix("model."): value for name, value in tensors.items()})
    return model.eval(), sizes
