"""MIR: the set of candidates meets the list of recent events, item by item and field by field."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from research.reranking.examples import ListExamples
from research.reranking.list_inputs import ListEncoder, ListModelSettings, ListShape, score_network, self_attention
from trackrec.rankers.examples import VectorTable

FIELDS = 4
"""Fields of an item: id, genres, year, rating."""


class SetListAttention(nn.Module):
    """Co-attention between a set of candidates and an ordered list of events (the paper's SLAttention).

    The affinity of a candidate and an event fades with the event's distance from now, at a learned rate. Each
    candidate gets the mean of the events by its affinities, and the events are summed up once as the candidates see
    them.

    Args:
        candidate, event: widths.
        width: width of what is compared.
    """

    def __init__(self, candidate: int, event: int, width: int) -> None:
        super().__init__()
        self.candidate = nn.Linear(candidate, width, bias=False)
        self.event = nn.Linear(event, width, bias=False)
        self.weight = nn.Linear(width, 1, bias=False)
        self.fading = nn.Parameter(torch.tensor(-2.0))
        self.width = 2 * event

    def forward(self, candidates: Tensor, events: Tensor, mask: Tensor, real: Tensor, distance: Tensor) -> Tensor:
        """What the events say to each candidate.

        Args:
            candidates: shape (lists, candidates, candidate).
            events: shape (lists, events, event).
            mask: where a candidate is, bool, shape (lists, candidates).
            real: where an event is, bool, shape (lists, events); may be nowhere.
            distance: of an event from now, 1 for the newest, float, shape (lists, events).

        Returns:
            Shape (lists, candidates, 2 * event); 0 for lists without events.
        """
        left, right = self.candidate(candidates), self.event(events)
        affinity = torch.tanh(left @ right.transpose(1, 2) / right.shape[-1] ** 0.5)
        fade = torch.exp(-softplus(self.fading) * (distance - 1))
        affinity = affinity * fade.unsqueeze(1) * mask.unsqueeze(-1)
        own = _mean_where(affinity, real.unsqueeze(1)) @ events
        seen = torch.tanh(right + affinity.transpose(1, 2) @ left)
        together = _mean_where(self.weight(seen).transpose(1, 2), real.unsqueeze(1)) @ events
        return torch.cat([own, together.expand_as(own)], dim=-1)


class MIR(nn.Module):
    """Multi-level Interaction Reranking with user behaviour history.

    Within the set the candidates meet by self-attention, within the list of recent events a bidirectional LSTM keeps
    the order; across the two, :class:`SetListAttention` at the level of items and at that of their fields. A set has
    no order: a permuted list gets the permuted scores. With no events in view only the set is left.

    Where we differ: the rate at which events fade is one number a level, not one a user, since rankers meet new users.

    Args:
        shape: what it is built for.
        settings: sizes.

    Source:
        Xi et al. 2022, "Multi-Level Interaction Reranking with User Behavior History", section 4.
    """

    pointwise = True

    def __init__(self, shape: ListShape, settings: ListModelSettings) -> None:
        super().__init__()
        self.encoder = ListEncoder(shape, settings)
        self.inputs = nn.Linear(self.encoder.width, settings.width)
        self.set = self_attention(settings, 1)
        width = self.encoder.width + settings.width
        self.history = None
        if shape.recent > 0:
            size = settings.embedding
            self.history = nn.LSTM(FIELDS * size, settings.width // 2, batch_first=True, bidirectional=True)
            states = 2 * (settings.width // 2)
            self.by_item = SetListAttention(settings.width, states, settings.width)
            self.by_field = SetListAttention(size, size, size)
            width += self.by_item.width + self.by_field.width
        self.score = score_network(width, settings)

    def forward(
        self, batch: ListExamples, users: VectorTable | None = None, items: VectorTable | None = None
    ) -> Tensor:
        """Scores (logits), shape (lists, length); those of padding mean nothing."""
        features = self.encoder(batch, users, items)
        within = self.set(self.inputs(features.candidates), src_key_padding_mask=~features.mask)
        parts = [features.candidates, within]
        if self.history is not None:
            parts += self._across(self.history, batch, within, features.mask)
        scores: Tensor = self.score(torch.cat(parts, dim=-1)).squeeze(-1)
        return scores

    def _across(self, history: nn.LSTM, batch: ListExamples, within: Tensor, mask: Tensor) -> list[Tensor]:
        lists, length = batch.item.shape
        recent = batch.recent.shape[1]
        fields = self.encoder.fields(batch.recent, batch.rating)
        packed = pack_padded_sequence(
            fields.flatten(2), batch.seen.clamp(min=1), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(history(packed)[0], batch_first=True, total_length=recent)
        place = torch.arange(recent)[None, :]
        real = place < batch.seen[:, None]
        distance = (batch.seen[:, None] - place).clamp(min=1).to(states.dtype)
        by_item = self.by_item(within, states, mask, real, distance)
        own = self.encoder.fields(batch.item, torch.zeros_like(batch.item)).flatten(1, 2)
        by_field = self.by_field(
            own,
            fields.flatten(1, 2),
            mask.repeat_interleave(FIELDS, dim=1),
            real.repeat_interleave(FIELDS, dim=1),
            distance.repeat_interleave(FIELDS, dim=1),
        )
        return [by_item, by_field.reshape(lists, length, FIELDS, -1).mean(dim=2)]


def _mean_where(scores: Tensor, real: Tensor) -> Tensor:
    """Softmax over the last dimension where ``real``; all 0 where nothing is."""
    return torch.softmax(scores.masked_fill(~real, -1e9), dim=-1) * real  # not -inf: its gradient would be NaN
