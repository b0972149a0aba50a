"""PRM: self-attention over the candidates, which know their place in the initial order and their user."""

from __future__ import annotations

from torch import Tensor, nn

from research.reranking.examples import ListExamples
from research.reranking.list_inputs import ListEncoder, ListModelSettings, ListShape, score_network, self_attention
from trackrec.rankers.examples import VectorTable


class PRM(nn.Module):
    """Personalized Re-ranking Model.

    The paper's personalised vector of user and item comes from a pre-trained ranker; here that is what the encoder
    makes of the recent events and of the text vectors, trained along.

    Args:
        shape: what it is built for.
        settings: sizes.

    Source:
        Pei et al. 2019, "Personalized Re-ranking for Recommendation", section 4 (equation 2: learned places).
    """

    pointwise = False

    def __init__(self, shape: ListShape, settings: ListModelSettings) -> None:
        super().__init__()
        self.encoder = ListEncoder(shape, settings)
        self.inputs = nn.Linear(self.encoder.width, settings.width)
        self.place = nn.Embedding(shape.length, settings.width)
        nn.init.normal_(self.place.weight, std=0.05)
        self.blocks = self_attention(settings, settings.layers)
        self.score = score_network(settings.width, settings)

    def forward(
        self, batch: ListExamples, users: VectorTable | None = None, items: VectorTable | None = None
    ) -> Tensor:
        """Scores, shape (lists, length); those of padding mean nothing."""
        features = self.encoder(batch, users, items)
        inputs = self.inputs(features.candidates) + self.place(batch.place)
        scores: Tensor = self.score(self.blocks(inputs, src_key_padding_mask=~features.mask)).squeeze(-1)
        return scores
