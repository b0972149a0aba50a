"""DIEN: how interests change over the recent events, seen through the target item."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from research.backbones.layers import AUGRUCell
from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.deepctr import AttentionSequencePoolingLayer
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.rankers.inputs import ItemEmbeddings, NumberInputs, TextInputs, network, real_events, start_linear_layers


class DIEN(nn.Module):
    """Deep Interest Evolution Network, without its auxiliary loss.

    One recurrent layer turns events into interests, attention to the target weighs them, and a second one, whose
    update gate the weight scales, follows them. The recurrent layers run over the padding too, since it comes after
    all real events: it changes no state that is read, and the second layer keeps its state there. So an empty history
    gives zeros (the library's own model fails on a batch without any history).

    Args:
        sizes: of the data.
        settings: sizes of the model.

    Source:
        Zhou et al. 2019, "Deep Interest Evolution Network for Click-Through Rate Prediction", section 4.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        size = settings.embedding
        self.items = ItemEmbeddings(sizes, size)
        self.numbers = NumberInputs(sizes)
        self.texts = TextInputs(sizes, settings)
        event = 2 * size
        width = size + self.numbers.width + self.texts.width
        self.recent = sizes.recent
        if self.recent:
            self.interests = nn.GRU(event, event, batch_first=True)
            self.attention = AttentionSequencePoolingLayer(
                settings.attention_units, weight_normalization=True, return_score=True, embedding_dim=event
            )
            self.evolution = AUGRUCell(event, event)
            # The library leaves the cell's weights as it finds memory, and gives both its biases one tensor.
            self.evolution.bias_ih = nn.Parameter(torch.zeros(3 * event))
            for weight in (self.evolution.weight_ih, self.evolution.weight_hh):
                nn.init.uniform_(weight, -(event**-0.5), event**-0.5)
            width += event
        self.network = network(width, settings)
        self.logit = nn.Linear(settings.hidden_units[-1], 1)
        start_linear_layers(self, settings.start)

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """See :class:`trackrec.rankers.base.Ranker`."""
        target, recent = self.items(batch.item, batch.recent)
        parts = [target, self.numbers(batch), *self.texts(batch, vectors)]
        if self.recent:
            parts.append(self._evolved(target, recent, batch))
        logit: Tensor = self.logit(self.network(torch.cat(parts, dim=1))).squeeze(1)
        return logit

    def _evolved(self, target: Tensor, recent: Tensor, batch: Examples) -> Tensor:
        """The last interest of each example, shape (batch, 2 * embedding)."""
        query = torch.cat([target, self.items.rating(torch.zeros_like(batch.item))], dim=-1).unsqueeze(1)
        interests, _ = self.interests(torch.cat([recent, self.items.rating(batch.rating)], dim=-1))
        weights = self.attention(query, interests, batch.seen.unsqueeze(1)).squeeze(1)
        real = real_events(batch).unsqueeze(2)
        state = torch.zeros_like(interests[:, 0])
        for step in range(self.recent if len(target) else 0):
            state = torch.where(real[:, step], self.evolution(interests[:, step], state, weights[:, step]), state)
        return state
