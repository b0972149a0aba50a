"""DIN: a CTR model that looks at the recent events through the target item, with the texts beside them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.deepctr import AttentionSequencePoolingLayer
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.rankers.inputs import ItemEmbeddings, NumberInputs, TextInputs, network, real_events, start_linear_layers


class DIN(nn.Module):
    """Deep Interest Network.

    A recent event has its rating's embedding behind its item's, the target the embedding of "no rating". The attention
    is a weighted sum without softmax, as in the paper: with softmax the library gives an empty sequence the mean of
    its padding.

    Args:
        sizes: of the data.
        settings: sizes of the model.

    Source:
        Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction", section 4.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        size = settings.embedding
        self.items = ItemEmbeddings(sizes, size)
        self.numbers = NumberInputs(sizes)
        event = 2 * size
        width = size + self.numbers.width
        self.attention = None
        if sizes.recent > 0:
            self.attention = AttentionSequencePoolingLayer(
                settings.attention_units, att_activation="sigmoid", weight_normalization=False, embedding_dim=event
            )
            width += event
        self.texts = TextInputs(sizes, settings)
        self.network = network(width + self.texts.width, settings)
        self.logit = nn.Linear(settings.hidden_units[-1], 1)
        start_linear_layers(self, settings.start)

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """See :class:`trackrec.rankers.base.Ranker`."""
        target, recent = self.items(batch.item, batch.recent)
        parts = [target, self.numbers(batch)]
        if self.attention is not None:
            rating = self.items.rating
            query = torch.cat([target, rating(torch.zeros_like(batch.item))], dim=-1).unsqueeze(1)
            keys = torch.cat([recent, rating(batch.rating)], dim=-1)
            parts.append(attend(self.attention, query, keys, real_events(batch)))
        parts += self.texts(batch, vectors)
        logit: Tensor = self.logit(self.network(torch.cat(parts, dim=-1))).squeeze(-1)
        return logit


def attend(layer: Any, query: Tensor, keys: Tensor, real: Tensor) -> Tensor:
    """What the library's attention pooling computes, with its weights, in about half of the time.

    Its first layer reads (q, k, q - k, q * k) side by side. The part of q is the same for all events of an example, and
    the difference falls to its two terms, so half of the products and the long input itself need not be made.

    Args:
        layer: the library's, with sigmoid and without softmax.
        query: shape (batch, 1, width).
        keys: shape (batch, length, width).
        real: which keys are read, bool, shape (batch, length).

    Returns:
        Shape (batch, width).
    """
    first, *rest = layer.local_att.dnn.linears
    of_query, of_key, of_difference, of_product = first.weight.chunk(4, dim=1)
    of_keys = linear(keys, of_key - of_difference).flatten(0, 1)
    hidden = torch.addmm(of_keys, (query * keys).flatten(0, 1), of_product.t()).unflatten(0, keys.shape[:2])
    hidden = torch.sigmoid(hidden + linear(query, of_query + of_difference, first.bias))
    for deeper in rest:
        hidden = torch.sigmoid(deeper(hidden))
    weights: Tensor = layer.local_att.dense(hidden) * real.unsqueeze(2)
    return (weights * keys).sum(dim=1)  # so small a product is slower as one matrix an example
