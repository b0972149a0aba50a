"""DeepFM: a factorisation machine and a network on the same fields."""

from __future__ import annotations

from torch import Tensor, nn

from research.backbones.first_order import FirstOrder
from research.backbones.layers import FM
from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.rankers.inputs import FieldInputs, network, start_linear_layers


class DeepFM(nn.Module):
    """Linear part, all pairs of fields as inner products, and a network; their logits are added.

    Args:
        sizes: of the data.
        settings: sizes of the model.

    Source:
        Guo et al. 2017, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", section 2.1.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        self.inputs = FieldInputs(sizes, settings)
        self.first_order = FirstOrder(sizes, self.inputs)
        self.pairs = FM()
        self.network = network(self.inputs.width, settings)
        self.logit = nn.Linear(settings.hidden_units[-1], 1)
        start_linear_layers(self, settings.start)

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """See :class:`trackrec.rankers.base.Ranker`."""
        fields = self.inputs(batch, vectors)
        logit = self.first_order(batch, fields) + self.pairs(fields) + self.logit(self.network(fields.flatten(1)))
        result: Tensor = logit.squeeze(1)
        return result
