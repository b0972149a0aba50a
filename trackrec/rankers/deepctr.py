"""The layers that we take from DeepCTR-Torch, imported without its call home; why that library: docs/rankers.md.

``deepctr_torch/__init__.py`` starts a thread that asks pypi.org for the newest version, on every import. Nothing may
leave the machine unasked, and on a machine without a network the thread prints a line and can hold up the exit. The
module with that check (``deepctr_torch.utils``, which holds nothing else) is therefore replaced by an empty one while
the package is imported.

Shapes of what goes in and comes out:

=============================  =============================================================================
AttentionSequencePoolingLayer  query (batch, 1, width), keys (batch, length, width), keys_length (batch, 1)
                               -> (batch, 1, width), or the weights (batch, 1, length) with ``return_score``
AUGRUCell                      input (batch, width), state (batch, hidden), attention (batch,) -> state
CIN                            fields (batch, fields, width) -> (batch, feature maps)
CrossNet                       (batch, width) -> (batch, width)
DNN                            (batch, width) -> (batch, last hidden layer)
FM                             fields (batch, fields, width) -> (batch, 1)
InteractingLayer, SENETLayer   fields (batch, fields, width) -> the same shape
=============================  =============================================================================
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def _import_layers() -> Any:
    if "deepctr_torch" not in sys.modules:
        silent = ModuleType("deepctr_torch.utils")
        silent.check_version = lambda version: None  # type: ignore[attr-defined]
        sys.modules["deepctr_torch.utils"] = silent
    return importlib.import_module("deepctr_torch.layers")


_layers = _import_layers()
AttentionSequencePoolingLayer: Any = _layers.sequence.AttentionSequencePoolingLayer
AUGRUCell: Any = _layers.sequence.AUGRUCell
CIN: Any = _layers.interaction.CIN
CrossNet: Any = _layers.interaction.CrossNet
DNN: Any = _layers.core.DNN
FM: Any = _layers.interaction.FM
InteractingLayer: Any = _layers.interaction.InteractingLayer
SENETLayer: Any = _layers.interaction.SENETLayer
