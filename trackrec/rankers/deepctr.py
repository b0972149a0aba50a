"""The layers that we take from DeepCTR-Torch, imported without its call home; why that library: docs/rankers.md.

``deepctr_torch/__init__.py`` starts a thread that asks pypi.org for the newest version, on every import. Nothing may
leave the machine unasked, and on a machine without a network the thread prints a line and can hold up the exit. The
module with that check (``deepctr_torch.utils``, which holds nothing else) is therefore replaced by an empty one while
the package is imported.

Shapes of what goes in and comes out:

=============================  =============================================================================
AttentionSequencePoolingLayer  query (batch, 1, width), keys (batch, length, width), keys_length (batch, 1)
                               -> (batch, 1, width), or the weights (batch, 1, length) with ``return_score``
DNN                            (batch, width) -> (batch, last hidden layer)
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


layers = _import_layers()
"""All layers of the library."""
AttentionSequencePoolingLayer: Any = layers.sequence.AttentionSequencePoolingLayer
DNN: Any = layers.core.DNN
