"""SetRank: self-attention over the candidates as a set, so that their initial order cannot matter."""

from __future__ import annotations

from torch import Tensor, nn

from research.reranking.examples import ListExamples
from research.reranking.list_inputs import ListEncoder, ListModelSettings, ListShape, score_network, self_attention
from trackrec.rankers.examples import VectorTable


class SetRank(nn.Module):
    """SetRank with multi-head self-attention blocks (MSAB).

    Without ``settings.initial_places`` a permuted list gets the permuted scores, whatever the initial order was. The
    induced variant (IMSAB) is for lists far longer than ten.

    Args:
        shape: what it is built for.
        settings: sizes.

    Source:
        Pang et al. 2020, "SetRank: Learning a Permutation-Invariant Ranking Model for Information Retrieval",
        section 4 (4.2: ordinal embeddings of the initial rank, a choice).
    """

    pointwise = False

    def __init__(self, shape: ListShape, settings: ListModelSettings) -> None:
        super().__init__()
        self.encoder = ListEncoder(shape, settings)
        self.inputs = nn.Linear(self.encoder.width, settings.width)
        self.place = nn.Embedding(shape.length, settings.width) if settings.initial_places else None
        if self.place is not None:
            nn.init.normal_(self.place.weight, std=0.05)
        self.blocks = self_attention(settings, settings.layers)
        self.score = score_network(settings.width, settings)

    def forward(
        self, batch: ListExamples, users: VectorTable | None = None, items: VectorTable | None = None
    ) -> Tensor:
        """Scores, shape (lists, length); those of padding mean nothing."""
        features = self.encoder(batch, users, items)
        inputs = self.inputs(features.candidates)
        if self.place is not None:
            inputs = inputs + self.place(batch.place)
        scores: Tensor = self.score(self.blocks(inputs, src_key_padding_mask=~features.mask)).squeeze(-1)
        return scores
