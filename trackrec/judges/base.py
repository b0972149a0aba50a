"""The judge (the paper's validator V): whatever predicts better with a good RecCoT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from trackrec.features.encoder import Encoder
from trackrec.lm.model import LanguageModel
from trackrec.lm.training import Progress
from trackrec.prompts.renderer import Renderer
from trackrec.rankers.compare import SplitTables
from trackrec.users.catalogue import Row

JudgeName = str
"""A judge's short name, see :func:`trackrec.registry.short_name`; stages and tables carry it."""


@dataclass(frozen=True)
class JudgeContext:
    """What a judge may ask for when it is made; models are made at their first use."""

    name: str
    """Of this version of the judge: its adapter's, if it is one."""
    items: pl.DataFrame
    """The catalogue."""
    split: SplitTables
    """``histories`` and ``examples`` (with recent events), as tables."""
    histories: Mapping[Any, Sequence[Row]]
    """Each user's events, oldest first."""
    language_model: Callable[[], LanguageModel]
    renderer: Callable[[], Renderer]
    encoder: Callable[[], Encoder]
    progress: Progress | None = None
    """Called while training."""
    start: Path | None = None
    """Folder of the weights that ``fit`` starts from; None: from the beginning."""
    checkpoints: Path | None = None
    """Where ``fit`` may keep states of its training, to go on from after a kill; None: nowhere."""


class Validator(Protocol):
    """What the loop knows of a validator.

    ``targets`` have the columns ``user_id, event_id, item_id, label, raters, likes`` (the last two: how many other
    users, of those whose ratings may be used, rated the item, and how many of them liked it). In ``reccots`` a null
    ``text`` stands for the fixed placeholder.
    """

    kind: str
    learns_all_targets: bool
    """Whether ``fit`` wants every example of a user, or the few targets that RecCoTs are judged on."""
    scores_in_shards: bool
    """Whether scoring is slow, so that a restart should go on where it stopped."""

    def fit(self, targets: pl.DataFrame, reccots: pl.DataFrame, folder: Path, seed: int) -> dict[str, Any]:
        """Start anew, learn every target with the RecCoT (``user_id, text``) of its user, write ``folder``.

        Returns:
            Counts and figures of the training; ``curve`` holds a row an optimiser step, if there is one.
        """
        ...

    def score(self, targets: pl.DataFrame, reccots: pl.DataFrame) -> pl.DataFrame:
        """P(Yes) of every RecCoT (``user_id, sample, text``) on every target of its user.

        Returns:
            ``user_id, sample, event_id, label, yes_probability``, one row for each RecCoT and target.
        """
        ...

    def load(self, folder: Path) -> None:
        """Bring back what ``fit`` wrote."""
        ...
