"""DIN: a CTR model that looks at the recent events through the target item, with the user's RecCoT beside them.

Which library the layers come from, and why (looked at: FuxiCTR 2.3.10, DeepCTR-Torch 0.3.0, torch-rechub 0.9.0):

=============  ==========================  ================================  =====================================
library        DIN attention on padding    Dice activation                   default install adds to ours
=============  ==========================  ================================  =====================================
FuxiCTR        masked, right               right                             ray and 8 more packages, 265 MB
DeepCTR-Torch  masked by length, right     right                             itself (84 kB)
torch-rechub   not masked; batch norm in   normalises over units instead of  itself (158 kB)
               the attention mixes the     the batch: not the paper's
               padding into every row
=============  ==========================  ================================  =====================================

All three had releases this year and none asks for tensorflow, an old numpy or an old pandas any more. FuxiCTR and
DeepCTR-Torch are right about padding; importing FuxiCTR's layers imports ray, so DeepCTR-Torch it is: its attention
pooling and its network. What we do about its rough edges: no call to pypi.org at import (``deepctr.py``); weights
start as torch's linear layers do instead of at 1e-4, from which a few hundred steps hardly get away; the attention is
a weighted sum without softmax, as in the DIN paper (with softmax the library gives an empty sequence the mean of its
padding).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from trackrec.ranking.adaptor import AdaptorSettings, HybridExpertAdaptor
from trackrec.ranking.deepctr import DNN, AttentionSequencePoolingLayer
from trackrec.ranking.features import Examples, ItemTable, VectorTable
from trackrec.settings import Settings


class DINSettings(Settings):
    """Sizes of the DIN."""

    embedding: int = 16
    """Width of an item's embedding, and of a rating's."""
    attention_units: tuple[int, ...] = (32,)
    """Hidden layers of the attention over recent events."""
    hidden_units: tuple[int, ...] = (64, 32)
    """Hidden layers of the network that ends in the logit."""
    dropout: float = 0.2
    """Dropout in that network."""
    adaptor: AdaptorSettings = AdaptorSettings()


class DIN(nn.Module):
    """Deep Interest Network with an optional text vector of the user.

    An item is the sum of its id embedding, the mean embedding of its genres and the embedding of its year bucket; a
    recent event has its rating's embedding behind that, the target the embedding of "no rating".

    Args:
        items: the catalogue; its tensors become buffers of the model.
        ratings: number of rating buckets, "no rating" included.
        recent: number of recent events in view; 0: no sequence at all.
        dense: number of dense item features.
        components: length of a user's projected text vector; 0: the model takes no text.
        settings: sizes.

    Source:
        Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction", section 4.
    """

    genres: Tensor
    years: Tensor

    def __init__(
        self, items: ItemTable, ratings: int, recent: int, dense: int, components: int, settings: DINSettings
    ) -> None:
        super().__init__()
        size = settings.embedding
        self.register_buffer("genres", items.genres, persistent=False)
        self.register_buffer("years", items.years, persistent=False)
        self.item = nn.Embedding(len(items.years), size)
        self.genre = nn.Linear(items.genres.shape[1], size, bias=False)
        self.year = nn.Embedding(int(items.years.max()) + 1, size)
        self.rating = nn.Embedding(ratings, size)
        for table in (self.item, self.year, self.rating):
            nn.init.normal_(table.weight, std=0.05)  # an item that training never met stays close to "nothing known"
        event = 2 * size
        width = size + dense
        self.attention = None
        if recent > 0:
            self.attention = AttentionSequencePoolingLayer(
                settings.attention_units, att_activation="sigmoid", weight_normalization=False, embedding_dim=event
            )
            width += event
        self.adaptor = HybridExpertAdaptor(1, components, settings.adaptor) if components else None
        width += self.adaptor.width if self.adaptor else 0
        self.network = DNN(width, settings.hidden_units, activation="relu", dropout_rate=settings.dropout)
        self.logit = nn.Linear(settings.hidden_units[-1], 1)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """Logits that the user likes the target, shape (batch,).

        Args:
            batch: see :class:`Examples`.
            vectors: the text vectors that ``batch.vector`` points to; needed by a model that takes text.
        """
        # The whole catalogue once a step is far less work than its parts for each of batch * recent events.
        items = self.item.weight + self.genre(self.genres) + self.year(self.years)
        target = embedding(batch.item, items)
        parts = [target, batch.dense]
        if self.attention is not None:
            query = torch.cat([target, self.rating(torch.zeros_like(batch.item))], dim=-1).unsqueeze(1)
            keys = torch.cat([embedding(batch.recent, items), self.rating(batch.rating)], dim=-1)
            parts.append(self.attention(query, keys, batch.seen.unsqueeze(1)).squeeze(1))
        if self.adaptor is not None:
            if vectors is None:
                raise ValueError("This model takes a text vector: pass the table that batch.vector points to.")
            parts.append(self.adaptor([vectors.values[batch.vector]], [batch.vector > 0]))
        logit: Tensor = self.logit(self.network(torch.cat(parts, dim=-1))).squeeze(-1)
        return logit
