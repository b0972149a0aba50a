"""DLCM: a GRU reads the list from its bottom to its top, and its last state says how to read each candidate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from research.reranking.examples import ListExamples
from research.reranking.list_inputs import ListEncoder, ListModelSettings, ListShape
from trackrec.rankers.examples import VectorTable


class DLCM(nn.Module):
    """Deep Listwise Context Model.

    The score of candidate i is ``v . (o_i * tanh(W s + b))``: o_i is the GRU's output at it, s its state after the
    whole list. The best of the initial order is read last, since a GRU remembers best what it read last.

    Args:
        shape: what it is built for.
        settings: sizes.

    Source:
        Ai et al. 2018, "Learning a Deep Listwise Context Model for Ranking Refinement", sections 4.2 and 4.3
        (equation 8: the local ranking function).
    """

    pointwise = False

    def __init__(self, shape: ListShape, settings: ListModelSettings) -> None:
        super().__init__()
        self.encoder = ListEncoder(shape, settings)
        self.gru = nn.GRU(self.encoder.width, settings.width, batch_first=True)
        self.context = nn.Linear(settings.width, settings.width)
        self.score = nn.Linear(settings.width, 1, bias=False)

    def forward(
        self, batch: ListExamples, users: VectorTable | None = None, items: VectorTable | None = None
    ) -> Tensor:
        """Scores, shape (lists, length); those of padding mean nothing."""
        features = self.encoder(batch, users, items)
        # From the last place to the first; padding sorts behind, where the GRU's outputs are not read.
        order = torch.where(features.mask, -batch.place, 1).argsort(dim=1)
        read, _ = self.gru(_rows(features.candidates, order))
        last = read[torch.arange(len(read)), batch.size - 1]
        outputs = _rows(read, order.argsort(dim=1))
        scores: Tensor = self.score(outputs * torch.tanh(self.context(last)).unsqueeze(1)).squeeze(-1)
        return scores


def _rows(values: Tensor, order: Tensor) -> Tensor:
    """Each list's rows in the order given, shape (lists, length, width)."""
    return torch.gather(values, 1, order.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
