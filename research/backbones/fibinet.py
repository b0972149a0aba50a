"""FiBiNET: pairs of fields through bilinear products, on the fields and on their re-weighted selves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from research.backbones.first_order import FirstOrder
from research.backbones.layers import SENETLayer
from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.rankers.inputs import FieldInputs, network, start_linear_layers


class PairProducts(nn.Module):
    """For each pair of fields i < j the vector (W(i,j) f(i)) * f(j), a matrix a pair.

    The library's layer walks through the pairs one by one; here they are one batched product.

    Args:
        fields: number of fields.
        size: width of a field.

    Source:
        Huang et al. 2019, "FiBiNET: Combining Feature Importance and Bilinear feature Interaction", section 3.4.
    """

    first: Tensor
    second: Tensor

    def __init__(self, fields: int, size: int) -> None:
        super().__init__()
        first, second = torch.triu_indices(fields, fields, offset=1)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        self.weight = nn.Parameter(torch.empty(len(first), size, size).uniform_(-(size**-0.5), size**-0.5))

    def forward(self, fields: Tensor) -> Tensor:
        """Shape (batch, fields, size) -> (batch, pairs, size)."""
        by_pair = fields.transpose(0, 1)
        mapped = torch.bmm(by_pair[self.first], self.weight.transpose(1, 2))
        return (mapped * by_pair[self.second]).transpose(0, 1)


class FiBiNET(nn.Module):
    """Linear part, and a network on the pair products of the fields and of the fields that SENET has re-weighted.

    With fewer than two fields (an id and nothing else) there are no pairs, and the network reads the field itself.

    Args:
        sizes: of the data.
        settings: sizes of the model.

    Source:
        Huang et al. 2019, "FiBiNET: Combining Feature Importance and Bilinear feature Interaction", section 3.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        self.inputs = FieldInputs(sizes, settings)
        count, size = self.inputs.count, settings.embedding
        self.first_order = FirstOrder(sizes, self.inputs)
        self.importance = SENETLayer(count)
        self.pairs = PairProducts(count, size)
        self.pairs_of_important = PairProducts(count, size)
        self.network = network(size * max(1, count * (count - 1)), settings)
        self.logit = nn.Linear(settings.hidden_units[-1], 1)
        start_linear_layers(self, settings.start)

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """See :class:`trackrec.rankers.base.Ranker`."""
        fields = self.inputs(batch, vectors)
        read = [fields]
        if self.inputs.count > 1:
            read = [self.pairs(fields), self.pairs_of_important(self.importance(fields))]
        deep = self.logit(self.network(torch.cat(read, dim=1).flatten(1)))
        logit: Tensor = (self.first_order(batch, fields) + deep).squeeze(1)
        return logit
