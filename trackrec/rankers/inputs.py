"""From examples to what a backbone reads: item and event embeddings, numbers, adapted texts, and one row per field."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, pad

from trackrec.rankers.adaptor import build_adaptor
from trackrec.rankers.base import BackboneSettings, RankerSizes, Start
from trackrec.rankers.deepctr import DNN
from trackrec.rankers.examples import Examples, VectorTable

WHOLE_CATALOGUE = 20_000
"""Up to so many items a step computes all their embeddings once, which is less work than doing it for each of
batch * recent lookups; beyond it only those looked up."""


class ItemEmbeddings(nn.Module):
    """An item is the sum of its id embedding, the mean embedding of its genres and the embedding of its year bucket.

    Args:
        sizes: of the data.
        size: width of an embedding.
    """

    genres: Tensor
    years: Tensor

    def __init__(self, sizes: RankerSizes, size: int) -> None:
        super().__init__()
        items = sizes.items
        self.register_buffer("genres", items.genres, persistent=False)
        self.register_buffer("years", items.years, persistent=False)
        self.item = nn.Embedding(len(items.years), size)
        self.genre = nn.Linear(items.genres.shape[1], size, bias=False)
        self.year = nn.Embedding(int(items.years.max()) + 1, size)
        self.rating = nn.Embedding(sizes.ratings, size)
        for table in (self.item, self.year, self.rating):
            nn.init.normal_(table.weight, std=0.05)  # an item that training never met stays close to "nothing known"

    def forward(self, *rows: Tensor) -> list[Tensor]:
        """Embeddings of items by their catalogue rows; each argument's shape gets an axis of ``size`` behind it."""
        if len(self.years) <= WHOLE_CATALOGUE:
            items = self._catalogue()
            return [embedding(part, items) for part in rows]
        return [self.item(part) + self.genre(self.genres[part]) + self.year(self.years[part]) for part in rows]

    def means(self, batch: Examples) -> list[Tensor]:
        """Means over the real events of their items and of their ratings, each of shape (batch, size)."""
        weights = real_events(batch).float() / batch.seen.clamp(min=1).unsqueeze(1)
        if len(self.years) <= WHOLE_CATALOGUE:
            items = embedding_bag(batch.recent, self._catalogue(), mode="sum", per_sample_weights=weights)
        else:
            items = torch.bmm(weights.unsqueeze(1), self(batch.recent)[0]).squeeze(1)
        shares = weights.new_zeros(len(weights), self.rating.num_embeddings).scatter_add(1, batch.rating, weights)
        return [items, shares @ self.rating.weight]  # a mean of few different rows is a product with their shares

    def _catalogue(self) -> Tensor:
        items: Tensor = self.item.weight + self.genre(self.genres) + self.year(self.years)
        return items


class NumberInputs(nn.Module):
    """Dense item features as they are; each validator's log-odds with its mask bit behind it (0, 0 where missing)."""

    def __init__(self, sizes: RankerSizes) -> None:
        super().__init__()
        self.scores = sizes.scores
        self.width = sizes.dense + 2 * sizes.scores

    def forward(self, batch: Examples) -> Tensor:
        """Shape (batch, width)."""
        if not self.scores:
            return batch.dense
        return torch.cat([batch.dense, torch.nan_to_num(batch.score), (~batch.score.isnan()).float()], dim=1)


class TextInputs(nn.Module):
    """The adaptor on every text source that the examples point to.

    Sources of different lengths are filled up with zeros to the longest, so that the shared experts fit them all.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        self.sources = len(sizes.texts)
        self.length = max(sizes.texts, default=0)
        self.adaptor = build_adaptor(self.sources, self.length, settings.adaptor) if sizes.texts else None
        self.width = self.adaptor.width if self.adaptor is not None else 0

    def forward(self, batch: Examples, vectors: VectorTable | None) -> list[Tensor]:
        """Nothing without sources; otherwise one tensor, shape (batch, width): per source its output and mask bit.

        Raises:
            ValueError: the tables are missing, or are not those that the model was built for.
        """
        if self.adaptor is None:
            return []
        if vectors is None:
            raise ValueError("This model takes a text vector: pass the table that batch.vector points to.")
        sources = vectors.look_up(batch)
        if len(sources) != self.sources:
            raise ValueError(
                f"This model was built for {self.sources} sources of text vectors, but got {len(sources)}: build it "
                "with RankerSizes.of the same examples and vectors."
            )
        own = self.sources == 1 and vectors.values.shape[1] == self.length
        if own and not self.training and len(vectors.values) < len(batch):
            # Many items for few texts, as when a list is ranked: each text goes through the adaptor once.
            rows = torch.arange(len(vectors.values), device=batch.vector.device)
            adapted = self.adaptor([vectors.values], [rows > 0])
            return [adapted[batch.vector]]
        values = [pad(values, (0, self.length - values.shape[1])) for values, _ in sources]
        return [self.adaptor(values, [present for _, present in sources])]


class FieldInputs(nn.Module):
    """Each example as rows of equal width, which the interaction models combine.

    The fields, in order: the target's id, its genres, its year bucket (each if the catalogue has them); the mean of the
    recent items and the mean of their ratings (if events are in view); all numbers together, brought to the width by a
    linear layer; each text source, likewise with its mask bit. The means count real events alone: without any they are
    zeros, and a padded row is never read.
    """

    def __init__(self, sizes: RankerSizes, settings: BackboneSettings) -> None:
        super().__init__()
        size = settings.embedding
        self.items = ItemEmbeddings(sizes, size)
        self.has_genres, self.has_years = sizes.items.genres.shape[1] > 0, int(sizes.items.years.max()) > 0
        self.recent = sizes.recent
        self.numbers = NumberInputs(sizes)
        self.number_field = nn.Linear(self.numbers.width, size) if self.numbers.width else None
        self.texts = TextInputs(sizes, settings)
        per_source = settings.adaptor.output + 1
        self.text_fields = nn.ModuleList(nn.Linear(per_source, size) for _ in range(self.texts.sources))
        own = 1 + self.has_genres + self.has_years + 2 * (sizes.recent > 0)
        self.count = own + (self.number_field is not None) + self.texts.sources
        """Number of fields."""
        self.width = self.count * size
        """Of all fields side by side."""

    def forward(self, batch: Examples, vectors: VectorTable | None = None) -> Tensor:
        """Shape (batch, count, embedding)."""
        items = self.items
        parts = [items.item(batch.item)]
        if self.has_genres:
            parts.append(items.genre(items.genres[batch.item]))
        if self.has_years:
            parts.append(items.year(items.years[batch.item]))
        if self.recent:
            parts += items.means(batch)
        if self.number_field is not None:
            parts.append(self.number_field(self.numbers(batch)))
        for adapted in self.texts(batch, vectors):
            sources = adapted.unflatten(1, (self.texts.sources, -1)).unbind(1)
            parts += [layer(source) for layer, source in zip(self.text_fields, sources, strict=True)]
        return torch.stack(parts, dim=1)


def real_events(batch: Examples) -> Tensor:
    """Which of the recent events are real, bool, shape (batch, length)."""
    return torch.arange(batch.recent.shape[1], device=batch.seen.device) < batch.seen.unsqueeze(1)


def network(width: int, settings: BackboneSettings) -> nn.Module:
    """The hidden layers above the fields: (batch, width) -> (batch, hidden_units[-1])."""
    layers: nn.Module = DNN(width, settings.hidden_units, activation="relu", dropout_rate=settings.dropout)
    return layers


def start_linear_layers(model: nn.Module, start: Start) -> None:
    """Draw all linear layers anew: the library starts some at 1e-4, from where a few hundred steps hardly get away.

    Source:
        Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", equation
        16, with normal draws, for "xavier"; :meth:`torch.nn.Linear.reset_parameters` for "torch".
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
            if start == "xavier":
                nn.init.xavier_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
