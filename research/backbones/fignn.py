"""FiGNN: fields are the nodes of a graph and tell each other what they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.rankers.inputs import FieldInputs, start_linear_layers


class FieldGraph(nn.Module):
    """Steps of message passing on the complete graph of the fields.

    The weight of edge i -> j comes from both nodes (softmax over i, no edge to itself); a message is mapped by a
    matrix of its sender and one of its receiver; a recurrent cell takes it in, and the start is added again.

    Args:
        fields: nodes.
        size: width of a node's state.
        steps: rounds of messages.

    Source:
        Li et al. 2019, "Fi-GNN: Modeling Feature Interactions via Graph Neural Networks for CTR Prediction",
        section 3.3.
    """

    alone: Tensor

    def __init__(self, fields: int, size: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        bound = size**-0.5
        self.sender = nn.Parameter(torch.empty(fields, size, size).uniform_(-bound, bound))
        self.receiver = nn.Parameter(torch.empty(fields, size, size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(size))
        self.from_sender = nn.Linear(size, 1, bias=False)
        self.from_receiver = nn.Linear(size, 1, bias=False)
        self.cell = nn.GRUCell(size, size)
        self.register_buffer("alone", torch.eye(fields, dtype=torch.bool), persistent=False)

    def forward(self, start: Tensor) -> Tensor:
        """Shape (batch, fields, size) -> (batch, fields, size)."""
        edges = leaky_relu(self.from_receiver(start) + self.from_sender(start).transpose(1, 2))
        weights = torch.softmax(edges.masked_fill(self.alone, -1e9), dim=2).masked_fill(self.alone, 0.0)
        state = start
        for _ in range(self.steps):
            sent = torch.einsum("bfs,fst->bft", state, self.sender)
            message = torch.einsum("bfs,fst->bft", torch.bmm(weights, sent), self.receiver) + self.bias
            state = self.cell(message.flatten(0, 1), state.flatten(0, 1)).view_as(start) + start
        return state


class FiGNN(nn.Module):
    """Fields exchange messages; then each gives a logit, and they are added by how much each counts.

    Args:
        sizes: of the data.
        settings: sizes of the model.

    Source:
        Li et al. 2019, "Fi-GNN: Modeling Feature Interactions via Graph Neural Networks for CTR Prediction",
        section 3.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        self.inputs = FieldInputs(sizes, settings)
        size = settings.embedding
        self.attention = nn.MultiheadAttention(size, settings.heads, batch_first=True)
        self.graph = FieldGraph(self.inputs.count, size, settings.cross_layers)
        self.logits = nn.Linear(size, 1)
        self.weights = nn.Linear(self.inputs.width, self.inputs.count)
        start_linear_layers(self, settings.start)

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """See :class:`trackrec.rankers.base.Ranker`."""
        fields = self.inputs(batch, vectors)
        start = torch.relu(self.attention(fields, fields, fields, need_weights=False)[0] + fields)
        state = self.graph(start)
        counts = torch.sigmoid(self.weights(state.flatten(1)))
        logit: Tensor = (counts * self.logits(state).squeeze(2)).sum(dim=1)
        return logit
