"""The CTR backbones by name, and their way to and from a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trackrec.errors import RunError
from trackrec.ranking.autoint import AutoInt
from trackrec.ranking.dcn import DCN
from trackrec.ranking.dcnv2 import DCNv2
from trackrec.ranking.deepfm import DeepFM
from trackrec.ranking.dien import DIEN
from trackrec.ranking.din import DIN
from trackrec.ranking.dnn import PlainDNN
from trackrec.ranking.features import ItemTable
from trackrec.ranking.fibinet import FiBiNET
from trackrec.ranking.fignn import FiGNN
from trackrec.ranking.ranker import BackboneSettings, RankerSizes
from trackrec.ranking.xdeepfm import XDeepFM

Backbone = Literal["dnn", "deepfm", "xdeepfm", "dcn", "dcnv2", "autoint", "fibinet", "fignn", "din", "dien"]

BACKBONES: dict[Backbone, type[nn.Module]] = {
    "dnn": PlainDNN,
    "deepfm": DeepFM,
    "xdeepfm": XDeepFM,
    "dcn": DCN,
    "dcnv2": DCNv2,
    "autoint": AutoInt,
    "fibinet": FiBiNET,
    "fignn": FiGNN,
    "din": DIN,
    "dien": DIEN,
}
"""Each takes (sizes, settings) and is a :class:`trackrec.ranking.ranker.Ranker`."""

WEIGHTS = "ranker.safetensors"
DESCRIPTION = "ranker.json"


def build_ranker(backbone: Backbone, sizes: RankerSizes, settings: BackboneSettings) -> nn.Module:
    """A ranker with fresh weights; build it inside :func:`trackrec.ranking.fit.seeded`.

    Args:
        backbone: its name.
        sizes: of the data, see :meth:`RankerSizes.of`.
        settings: sizes of the model.
    """
    return BACKBONES[backbone](sizes, settings)


def save_ranker(
    folder: Path, model: nn.Module, backbone: Backbone, sizes: RankerSizes, settings: BackboneSettings
) -> None:
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
        RunError: the folder holds no ranker, or one of a backbone that is not known here.
    """
    if not (folder / DESCRIPTION).is_file() or not (folder / WEIGHTS).is_file():
        raise RunError(f"{folder} holds no ranker: expected {WEIGHTS} and {DESCRIPTION}, as save_ranker writes them.")
    described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    if described["backbone"] not in BACKBONES:
        raise RunError(
            f"{folder / DESCRIPTION} names the backbone {described['backbone']!r}; known are {', '.join(BACKBONES)}."
        )
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
