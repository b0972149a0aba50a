"""The hybrid-expert adaptor: text vectors become small dense inputs of a recommender."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trackrec.settings import Settings


class AdaptorSettings(Settings):
    """The hybrid-expert adaptor."""

    shared: int = 2
    """Experts that all sources (user text, item text) share."""
    dedicated: int = 2
    """Experts of each source's own."""
    hidden: int = 32
    """Units of an expert's hidden layer."""
    output: int = 16
    """Width of what the recommender receives for each source."""


class HybridExpertAdaptor(nn.Module):
    """Per source, a gate mixes shared and dedicated expert networks; what is missing gets a learned vector.

    Args:
        sources: number of text vectors an example has (one: the user's RecCoT).
        width: length of a text vector.
        settings: sizes.

    Source:
        KAR (arXiv 2306.10933, section 3.3), which TrackRec takes over.
    """

    def __init__(self, sources: int, width: int, settings: AdaptorSettings) -> None:
        super().__init__()
        self.sources = sources
        self.shared = nn.ModuleList(_expert(width, settings) for _ in range(settings.shared))
        self.dedicated = nn.ModuleList(
            nn.ModuleList(_expert(width, settings) for _ in range(settings.dedicated)) for _ in range(sources)
        )
        self.gates = nn.ModuleList(nn.Linear(width, settings.shared + settings.dedicated) for _ in range(sources))
        self.missing = nn.Parameter(torch.zeros(sources, settings.output))
        self.width = sources * (settings.output + 1)

    def forward(self, vectors: Sequence[Tensor], present: Sequence[Tensor]) -> Tensor:
        """Dense inputs of the recommender.

        Args:
            vectors: per source, shape (batch, width); the values of missing rows are never read.
            present: per source, shape (batch,), bool.

        Returns:
            Shape (batch, sources * (output + 1)): per source the mixed experts and the mask bit.
        """
        parts = []
        for source in range(self.sources):
            here = present[source].unsqueeze(1)
            values = torch.where(here, vectors[source], torch.zeros_like(vectors[source]))
            own = self.dedicated[source]
            assert isinstance(own, nn.ModuleList)
            experts = torch.stack([expert(values) for expert in [*self.shared, *own]], dim=1)
            gate = torch.softmax(self.gates[source](values), dim=-1)
            mixed = torch.einsum("be,beo->bo", gate, experts)
            parts += [torch.where(here, mixed, self.missing[source]), here.to(mixed.dtype)]
        return torch.cat(parts, dim=1)


def _expert(width: int, settings: AdaptorSettings) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, settings.output))
