"""Adaptors: text vectors become small dense inputs of a recommender."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trackrec.settings import Settings


class AdaptorSettings(Settings):
    """The adaptor between text vectors and recommender."""

    kind: Literal["hybrid-expert", "mlp", "linear"] = "hybrid-expert"
    """hybrid-expert: shared and dedicated experts, mixed by a gate of each source's own (KAR's); mlp: one network with
    one hidden layer a source; linear: one linear layer a source."""
    shared: int = Field(default=2, ge=0)
    """Experts that all sources (user text, item text) share."""
    dedicated: int = Field(default=2, ge=0)
    """Experts of each source's own."""
    hidden: int = Field(default=32, ge=1)
    """Units of a hidden layer (of an expert, or of the mlp)."""
    output: int = Field(default=16, ge=1)
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
        if settings.shared + settings.dedicated == 0:
            raise ValueError("A hybrid-expert adaptor needs an expert: set adaptor.shared or adaptor.dedicated to 1.")
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
            values = _read(vectors[source], here)
            own = self.dedicated[source]
            assert isinstance(own, nn.ModuleList)
            experts = torch.stack([expert(values) for expert in [*self.shared, *own]], dim=1)
            gate = torch.softmax(self.gates[source](values), dim=-1)
            mixed = torch.einsum("be,beo->bo", gate, experts)
            parts += [torch.where(here, mixed, self.missing[source]), here.to(mixed.dtype)]
        return torch.cat(parts, dim=1)


class PlainAdaptor(nn.Module):
    """A network of each source's own, without experts or gates; arguments and results as the hybrid one's."""

    def __init__(self, sources: int, width: int, settings: AdaptorSettings) -> None:
        super().__init__()
        linear = settings.kind == "linear"
        self.networks = nn.ModuleList(
            nn.Linear(width, settings.output) if linear else _expert(width, settings) for _ in range(sources)
        )
        self.missing = nn.Parameter(torch.zeros(sources, settings.output))
        self.width = sources * (settings.output + 1)

    def forward(self, vectors: Sequence[Tensor], present: Sequence[Tensor]) -> Tensor:
        """See :meth:`HybridExpertAdaptor.forward`."""
        parts = []
        for source, network in enumerate(self.networks):
            here = present[source].unsqueeze(1)
            adapted = network(_read(vectors[source], here))
            parts += [torch.where(here, adapted, self.missing[source]), here.to(adapted.dtype)]
        return torch.cat(parts, dim=1)


def build_adaptor(sources: int, width: int, settings: AdaptorSettings) -> HybridExpertAdaptor | PlainAdaptor:
    """The adaptor that the settings name."""
    kind = HybridExpertAdaptor if settings.kind == "hybrid-expert" else PlainAdaptor
    return kind(sources, width, settings)


def _read(values: Tensor, here: Tensor) -> Tensor:
    return torch.where(here, values, torch.zeros_like(values))


def _expert(width: int, settings: AdaptorSettings) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, settings.output))
