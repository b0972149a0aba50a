"""AutoInt: self-attention between fields, beside a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from research.backbones.layers import InteractingLayer
from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.rankers.inputs import FieldInputs, network, start_linear_layers


class AutoInt(nn.Module):
    """Layers of multi-head self-attention over the fields, with the network of the paper's AutoInt+ beside them.

    Args:
        sizes: of the data.
        settings: sizes of the model.

    Source:
        Song et al. 2019, "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks",
        section 4.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        self.inputs = FieldInputs(sizes, settings)
        self.attention = nn.Sequential(
            *(InteractingLayer(settings.embedding, settings.heads) for _ in range(settings.cross_layers))
        )
        self.network = network(self.inputs.width, settings)
        self.logit = nn.Linear(self.inputs.width + settings.hidden_units[-1], 1)
        start_linear_layers(self, settings.start)

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """See :class:`trackrec.rankers.base.Ranker`."""
        fields = self.inputs(batch, vectors)
        both = torch.cat([self.attention(fields).flatten(1), self.network(fields.flatten(1))], dim=1)
        logit: Tensor = self.logit(both).squeeze(1)
        return logit
