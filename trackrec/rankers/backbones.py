"""Rankers by the name of their backbone, and their way to and from a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trackrec.errors import RunError
from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.examples import ItemTable
from trackrec.registry import find

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
