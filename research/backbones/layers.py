"""The layers that studied backbones take from DeepCTR-Torch (see :mod:`trackrec.rankers.deepctr`).

Shapes of what goes in and comes out:

=============================  =============================================================================
AUGRUCell                      input (batch, width), state (batch, hidden), attention (batch,) -> state
CIN                            fields (batch, fields, width) -> (batch, feature maps)
CrossNet                       (batch, width) -> (batch, width)
FM                             fields (batch, fields, width) -> (batch, 1)
InteractingLayer, SENETLayer   fields (batch, fields, width) -> the same shape
=============================  =============================================================================
"""

from __future__ import annotations

from typing import Any

from trackrec.rankers.deepctr import layers

AUGRUCell: Any = layers.sequence.AUGRUCell
CIN: Any = layers.interaction.CIN
CrossNet: Any = layers.interaction.CrossNet
FM: Any = layers.interaction.FM
InteractingLayer: Any = layers.interaction.InteractingLayer
SENETLayer: Any = layers.interaction.SENETLayer
