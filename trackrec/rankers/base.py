"""What every CTR ranker has in common: its settings, the sizes that the data decide, and what the fit needs of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import Field
from torch import Tensor, nn

from trackrec.rankers.adaptor import AdaptorSettings
from trackrec.rankers.examples import Examples, ItemTable, RatingScale, VectorTable
from trackrec.settings import Positive, Settings

Start = Literal["torch", "xavier"]


class BackboneSettings(Settings):
    """Sizes of a CTR backbone; each reads those that it has a part for."""

    embedding: int = Field(default=16, ge=1)
    """Width of an item's embedding, and of every other field's."""
    attention_units: tuple[Positive, ...] = (32,)
    """Hidden layers of the attention over recent events (DIN, DIEN)."""
    hidden_units: tuple[Positive, ...] = (64, 32)
    """Hidden layers of the network that ends in the logit."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout in that network."""
    cross_layers: int = Field(default=2, ge=1)
    """Layers of the crosses (DCN, DCNv2) and of the self-attention between fields (AutoInt); steps of FiGNN."""
    cin_units: tuple[Positive, ...] = (32, 32)
    """Feature maps of xDeepFM's compressed interaction; even but for the last."""
    heads: int = Field(default=2, ge=1)
    """Heads of AutoInt's self-attention; they divide ``embedding``."""
    start: Start = "torch"
    """First draws of the linear layers. torch: uniform, narrow; xavier: normal, 1.4 to 2 times as wide, with no bias,
    which learns faster. Worth trying where there are many examples."""
    adaptor: AdaptorSettings = AdaptorSettings()


@dataclass(frozen=True)
class RankerSizes:
    """What a model must know of its data before it has seen an example."""

    items: ItemTable
    """The catalogue; its tensors become buffers of the model."""
    ratings: int
    """Number of rating buckets, "no rating" included."""
    recent: int = 0
    """Recent events in view; 0: no sequence at all."""
    dense: int = 0
    """Dense item features."""
    scores: int = 0
    """Log-odds that validators give to the example."""
    texts: tuple[int, ...] = ()
    """Length of each source's text vectors: the user's first, if there is one, then the item's."""

    @classmethod
    def of(
        cls, items: ItemTable, scale: RatingScale, examples: Examples, vectors: VectorTable | None = None
    ) -> RankerSizes:
        """The sizes of these examples and the text vectors that they point to."""
        return cls(
            items,
            scale.buckets,
            examples.recent.shape[1],
            examples.dense.shape[1],
            examples.score.shape[1],
            () if vectors is None else vectors.widths,
        )


class Trainable(Protocol):
    """A torch module, as far as the training loop knows it."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...

    def train(self, mode: bool = True) -> Any: ...

    def eval(self) -> Any: ...

    def to(self, device: Any) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> Any: ...


class Ranker(Trainable, Protocol):
    """A torch module that gives logits; what training and prediction ask of it."""

    def __call__(self, batch: Examples, vectors: VectorTable | None = None) -> Any:
        """Logits that the users like the targets, shape (batch,); a row's logit does not depend on the other rows."""
