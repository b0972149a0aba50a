"""From lists to dense inputs of a re-ranker: one vector a candidate, one a recent event."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import embedding

from research.reranking.examples import ListExamples
from trackrec.rankers.adaptor import AdaptorSettings, build_adaptor
from trackrec.rankers.deepctr import AttentionSequencePoolingLayer
from trackrec.rankers.examples import ItemTable, VectorTable
from trackrec.settings import Positive, Settings


class ListModelSettings(Settings):
    """Sizes of a re-ranker; each model reads those that it has a use for."""

    embedding: int = Field(default=16, ge=1)
    """Width of an item's embedding, and of a rating's."""
    attention_units: tuple[Positive, ...] = (32,)
    """Hidden layers of the attention that looks at the recent events through each candidate."""
    width: int = Field(default=32, ge=2)
    """Width of a candidate inside the re-ranker: GRU state, self-attention, LSTM. A multiple of ``heads``, even."""
    heads: int = Field(default=2, ge=1)
    """Heads of self-attention (PRM, SetRank, MIR)."""
    layers: int = Field(default=1, ge=1)
    """Blocks of self-attention (PRM, SetRank)."""
    hidden_units: tuple[Positive, ...] = (32,)
    """Hidden layers of the network that ends in a candidate's score (PRM, SetRank, MIR)."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout in self-attention and in that network."""
    initial_places: bool = False
    """SetRank alone: whether it knows the initial order (the paper's ordinal embeddings)."""
    adaptor: AdaptorSettings = AdaptorSettings()


@dataclass(frozen=True)
class ListShape:
    """What a re-ranker is built for."""

    items: ItemTable
    """The catalogue."""
    ratings: int
    """Number of rating buckets, "no rating" included."""
    length: int
    """Places of a list."""
    recent: int
    """Recent events in view; 0: none."""
    dense: int
    """Dense features of a candidate."""
    components: int = 0
    """Length of a projected text vector."""
    user_text: bool = False
    """Whether it reads the user's text vector."""
    item_text: bool = False
    """Whether it reads the candidates' text vectors."""


@dataclass(frozen=True)
class ListFeatures:
    """A batch of lists, embedded."""

    candidates: Tensor
    """Shape (lists, length, width), 0 where padded."""
    mask: Tensor
    """Where a candidate is, bool, shape (lists, length)."""


class ListEncoder(nn.Module):
    """What all re-rankers share: embeddings, attention over recent events, and the adaptor of the texts.

    A candidate is the sum of an embedding of its id, of its genres and of its year; behind that its dense features,
    what the recent events say through it (DIN's attention, where there are any in view), and what the adaptor
    makes of the user's text vector and its own.

    Args:
        shape: what it is built for.
        settings: sizes.
    """

    genres: Tensor
    years: Tensor

    def __init__(self, shape: ListShape, settings: ListModelSettings) -> None:
        super().__init__()
        size = settings.embedding
        self.shape = shape
        self.register_buffer("genres", shape.items.genres, persistent=False)
        self.register_buffer("years", shape.items.years, persistent=False)
        self.item = nn.Embedding(len(shape.items.years), size)
        self.genre = nn.Linear(shape.items.genres.shape[1], size, bias=False)
        self.year = nn.Embedding(int(shape.items.years.max()) + 1, size)
        self.rating = nn.Embedding(shape.ratings, size)
        for table in (self.item, self.year, self.rating):
            nn.init.normal_(table.weight, std=0.05)  # an item that training never met stays close to "nothing known"
        self.width = size + shape.dense
        self.attention = None
        if shape.recent > 0:
            self.attention = AttentionSequencePoolingLayer(
                settings.attention_units, att_activation="sigmoid", weight_normalization=False, embedding_dim=2 * size
            )
            for layer in self.attention.modules():
                if isinstance(layer, nn.Linear):
                    layer.reset_parameters()
            self.width += 2 * size
        sources = int(shape.user_text) + int(shape.item_text)
        self.adaptor = build_adaptor(sources, shape.components, settings.adaptor) if sources else None
        self.width += self.adaptor.width if self.adaptor else 0

    def forward(
        self, batch: ListExamples, users: VectorTable | None = None, items: VectorTable | None = None
    ) -> ListFeatures:
        """Embed a batch.

        Args:
            batch: see :class:`ListExamples`.
            users: the vectors that ``batch.vector`` points to, for a model that reads them.
            items: those that ``batch.item_vector`` points to, likewise.
        """
        lists, length = batch.item.shape
        catalogue = self.item.weight + self.genre(self.genres) + self.year(self.years)
        candidates = embedding(batch.item, catalogue)
        parts = [candidates, batch.dense]
        if self.attention is not None:
            unrated = self.rating(torch.zeros_like(batch.item))
            query = torch.cat([candidates, unrated], dim=-1).reshape(lists * length, 1, -1)
            keys = torch.cat([embedding(batch.recent, catalogue), self.rating(batch.rating)], dim=-1)
            keys = keys.repeat_interleave(length, dim=0)
            seen = batch.seen.repeat_interleave(length).unsqueeze(1)
            parts.append(self.attention(query, keys, seen).reshape(lists, length, -1))
        if self.adaptor is not None:
            vectors, present = self._texts(batch, users, items)
            parts.append(self.adaptor(vectors, present).reshape(lists, length, -1))
        mask = batch.mask
        return ListFeatures(torch.cat(parts, dim=-1) * mask.unsqueeze(-1), mask)

    def fields(self, items: Tensor, ratings: Tensor) -> Tensor:
        """Items field by field: id, genres, year, rating. Shape (lists, n) -> (lists, n, 4, embedding)."""
        genres = self.genre(embedding(items, self.genres))
        return torch.stack([self.item(items), genres, self.year(self.years[items]), self.rating(ratings)], dim=2)

    def _texts(
        self, batch: ListExamples, users: VectorTable | None, items: VectorTable | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Per source the vectors, shape (lists * length, components), and where there is one."""
        length = batch.item.shape[1]
        wanted: list[tuple[bool, VectorTable | None, Tensor, str]] = [
            (self.shape.user_text, users, batch.vector.repeat_interleave(length), "users: the table that batch.vector"),
            (self.shape.item_text, items, batch.item_vector.flatten(), "items: the table that batch.item_vector"),
        ]
        vectors, present = [], []
        for reads, table, rows, name in wanted:
            if not reads:
                continue
            if table is None:
                raise ValueError(f"This model takes text vectors: pass {name} points to.")
            vectors.append(table.values[rows])
            present.append(rows > 0)
        return vectors, present


def score_network(width: int, settings: ListModelSettings) -> nn.Sequential:
    """The network that turns a candidate of this width into its score, shape (..., width) -> (..., 1)."""
    layers: list[nn.Module] = []
    for units in settings.hidden_units:
        layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(settings.dropout)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, 1))


def self_attention(settings: ListModelSettings, layers: int) -> nn.TransformerEncoder:
    """Blocks of self-attention over candidates of the settings' width; nothing in them depends on an order."""
    block = nn.TransformerEncoderLayer(
        settings.width, settings.heads, 2 * settings.width, settings.dropout, batch_first=True
    )
    return nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
