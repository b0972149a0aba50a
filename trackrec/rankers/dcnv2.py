"""DCNv2: crosses by a matrix a layer, beside a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.rankers.inputs import FieldInputs, network, start_linear_layers


class MatrixCross(nn.Module):
    """x(k+1) = x(0) * (W x(k) + b) + x(k).

    The library's layer does the same with a product of the matrix and each example's vector, which is several times
    slower than one product for the whole batch.

    Args:
        width: of x.
        layers: crosses.

    Source:
        Wang et al. 2021, "DCN V2: Improved Deep & Cross Network", equation 1.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))

    def forward(self, start: Tensor) -> Tensor:
        """Shape (batch, width) -> (batch, width)."""
        crossed = start
        for layer in self.layers:
            crossed = torch.addcmul(crossed, start, layer(crossed))
        return crossed


class DCNv2(nn.Module):
    """Deep & Cross Network V2, in parallel, with full matrices.

    Args:
        sizes: of the data.
        settings: sizes of the model.

    Source:
        Wang et al. 2021, "DCN V2: Improved Deep & Cross Network", section 3.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        self.inputs = FieldInputs(sizes, settings)
        self.crosses = MatrixCross(self.inputs.width, settings.cross_layers)
        self.network = network(self.inputs.width, settings)
        self.logit = nn.Linear(self.inputs.width + settings.hidden_units[-1], 1)
        start_linear_layers(self, settings.start)

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """See :class:`trackrec.rankers.base.Ranker`."""
        fields = self.inputs(batch, vectors).flatten(1)
        logit: Tensor = self.logit(torch.cat([self.crosses(fields), self.network(fields)], dim=1)).squeeze(1)
        return logit
