"""DCN: crosses by a vector a layer, beside a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from research.backbones.layers import CrossNet
from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.rankers.inputs import FieldInputs, network, start_linear_layers


class DCN(nn.Module):
    """Deep & Cross Network, both halves on the same fields.

    Args:
        sizes: of the data.
        settings: sizes of the model.

    Source:
        Wang et al. 2017, "Deep & Cross Network for Ad Click Predictions", section 2.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        self.inputs = FieldInputs(sizes, settings)
        self.crosses = CrossNet(self.inputs.width, settings.cross_layers, parameterization="vector")
        self.network = network(self.inputs.width, settings)
        self.logit = nn.Linear(self.inputs.width + settings.hidden_units[-1], 1)
        start_linear_layers(self, settings.start)

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """See :class:`trackrec.rankers.base.Ranker`."""
        fields = self.inputs(batch, vectors).flatten(1)
        logit: Tensor = self.logit(torch.cat([self.crosses(fields), self.network(fields)], dim=1)).squeeze(1)
        return logit
