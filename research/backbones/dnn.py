"""DNN: a plain network above the fields, what every other backbone has to beat."""

from __future__ import annotations

from torch import Tensor, nn

from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.rankers.inputs import FieldInputs, network, start_linear_layers


class PlainDNN(nn.Module):
    """Hidden layers above all fields side by side.

    Args:
        sizes: of the data.
        settings: sizes of the model.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        self.inputs = FieldInputs(sizes, settings)
        self.network = network(self.inputs.width, settings)
        self.logit = nn.Linear(settings.hidden_units[-1], 1)
        start_linear_layers(self, settings.start)

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """See :class:`trackrec.rankers.base.Ranker`."""
        logit: Tensor = self.logit(self.network(self.inputs(batch, vectors).flatten(1))).squeeze(1)
        return logit
