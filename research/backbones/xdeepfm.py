"""xDeepFM: explicit crosses of fields, coordinate by coordinate, beside a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from research.backbones.first_order import FirstOrder
from research.backbones.layers import CIN
from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.rankers.inputs import FieldInputs, network, start_linear_layers


class XDeepFM(nn.Module):
    """Linear part, compressed interaction network and network.

    Half of each layer's feature maps but the last's go to the output, the other half to the next layer.

    Args:
        sizes: of the data.
        settings: sizes of the model.

    Source:
        Lian et al. 2018, "xDeepFM: Combining Explicit and Implicit Feature Interactions", section 3.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        self.inputs = FieldInputs(sizes, settings)
        self.first_order = FirstOrder(sizes, self.inputs)
        self.crosses = CIN(self.inputs.count, settings.cin_units)
        self.network = network(self.inputs.width, settings)
        maps = sum(units // 2 for units in settings.cin_units[:-1]) + settings.cin_units[-1]
        self.logit = nn.Linear(settings.hidden_units[-1] + maps, 1)
        start_linear_layers(self, settings.start)

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """See :class:`trackrec.rankers.base.Ranker`."""
        fields = self.inputs(batch, vectors)
        both = torch.cat([self.network(fields.flatten(1)), self.crosses(fields)], dim=1)
        logit: Tensor = (self.first_order(batch, fields) + self.logit(both)).squeeze(1)
        return logit
