"""A small search on validation users: the same declared trials for every arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from pydantic import Field

from trackrec.rankers.adaptor import AdaptorSettings
from trackrec.rankers.fit import FitSettings
from trackrec.settings import Settings

Trained = TypeVar("Trained")


class Trial(Settings):
    """One point of the search; null: as the recipe has it."""

    adaptor: Literal["hybrid-expert", "mlp", "linear"] | None = None
    """Kind of the adaptor."""
    output: int | None = Field(default=None, ge=1)
    """Width of what the adaptor gives for each source."""
    vector_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Share of training examples whose text vector is switched off."""
    weight_decay: float | None = Field(default=None, ge=0)
    """AdamW's decay."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the training examples, as a share of the recipe's."""

    def fit(self, settings: FitSettings) -> FitSettings:
        """The training of this trial."""
        changes = {"weight_decay": self.weight_decay, "vector_dropout": self.vector_dropout}
        known = {name: value for name, value in changes.items() if value is not None}
        epochs = settings.epochs if self.epochs is None else max(1, round(self.epochs * settings.epochs))
        return settings.model_copy(update={**known, "epochs": epochs})

    def adapt(self, settings: AdaptorSettings) -> AdaptorSettings:
        """The adaptor of this trial."""
        changes = {"kind": self.adaptor, "output": self.output}
        return settings.model_copy(update={name: value for name, value in changes.items() if value is not None})


def search(
    trials: Sequence[Trial], train: Callable[[Trial, int], tuple[float, Trained]], seeds: Sequence[int]
) -> list[tuple[int, Trained]]:
    """Try each trial with the first seed, and train the best with the others.

    Args:
        trials: the declared ones; none: the recipe's settings alone.
        train: given a trial and a seed, the loss on the validation users and whatever was trained.
        seeds: of the trainings.

    Returns:
        For each seed the number of the chosen trial, the same for all, and what was trained. Of equal losses the first
        trial wins.
    """
    tried = [train(trial, seeds[0]) for trial in trials or (Trial(),)]
    best = min(range(len(tried)), key=lambda number: tried[number][0])
    rest = [train((trials or (Trial(),))[best], seed)[1] for seed in seeds[1:]]
    return [(best, trained) for trained in [tried[best][1], *rest]]
