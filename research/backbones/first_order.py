"""The linear part that the wide-and-deep family has beside its network."""

from __future__ import annotations

from torch import Tensor, nn

from trackrec.rankers.base import RankerSizes
from trackrec.rankers.examples import Examples
from trackrec.rankers.inputs import FieldInputs


class FirstOrder(nn.Module):
    """The linear part of the wide-and-deep family: a weight per item and one per coordinate of each field."""

    def __init__(self, sizes: RankerSizes, inputs: FieldInputs) -> None:
        super().__init__()
        self.item = nn.Embedding(len(sizes.items.years), 1)
        self.linear = nn.Linear(inputs.width, 1)
        nn.init.zeros_(self.item.weight)

    def forward(self, batch: Examples, fields: Tensor) -> Tensor:
        """Shape (batch, 1)."""
        logit: Tensor = self.item(batch.item) + self.linear(fields.flatten(1))
        return logit
