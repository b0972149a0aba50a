"""The judge (the paper's validator V): whatever predicts better with a good RecCoT."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

Kind = Literal["lm", "ranker"]


class Validator(Protocol):
    """What the loop knows of a validator.

    ``targets`` have the columns ``user_id, event_id, item_id, label, raters, likes`` (the last two: how many other
    users, of those whose ratings may be used, rated the item, and how many of them liked it). In ``reccots`` a null
    ``text`` stands for the fixed placeholder.
    """

    kind: str

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
