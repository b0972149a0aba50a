"""Does the text still predict? The newest events of people with a text, ranked with it and without."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from trackrec.errors import RunError
from trackrec.files.manifests import as_written
from trackrec.files.tables import read_table
from trackrec.metrics.intervals import paired_bootstrap
from trackrec.metrics.probability import auc
from trackrec.serving.ranker import ServingRanker
from trackrec.store.store import Store

NEWEST = 10
"""So many of a person's newest events are predicted."""
MOST_PEOPLE = 2_000
DRAWS = 200


class Usefulness(NamedTuple):
    """What the text adds."""

    people: int
    events: int
    with_text: float
    """AUC with the text."""
    without_text: float
    gain: float
    """with_text less without_text."""
    low: float | None
    """Lower end of the gain's 95% interval over people; None: one person has none."""
    high: float | None


def _known(bound: float) -> float | None:
    return round(bound, 4) if math.isfinite(bound) else None


def usefulness(store: Store, version: str, run: Path) -> Usefulness | None:
    """Predict the newest events that the run knows of people with a text.

    Args:
        store: with the version.
        version: whose texts are tried.
        run: its ``tables/examples.parquet`` holds the events after each history, oldest first; ``ranker/`` predicts.

    Returns:
        The figures; None: nobody of the run has a text there, or all events are of one kind.

    Raises:
        RunError: the run has no ranker or no examples.
    """
    path = run / "tables" / "examples.parquet"
    if not path.is_file():
        raise RunError(f"the run {run} has no table 'examples' ({path}): usefulness needs newer events")
    ranker = ServingRanker(run / "ranker")
    examples = read_table(as_written(run, path), ["user_id", "item_id", "label", "recent_item_ids", "recent_ratings"])
    newest = examples.group_by("user_id", maintain_order=True).tail(NEWEST)
    users = newest["user_id"].unique(maintain_order=True).head(MOST_PEOPLE).to_list()
    found = dict(zip(users, store.read(users, version).found, strict=True))
    people, labels, chances, plain = [], [], [], []
    for (user,), part in newest.filter(pl.col("user_id").is_in(users)).group_by("user_id", maintain_order=True):
        stored = found[user]
        raw = None if stored is None else stored.raw_vector
        if raw is None or raw.shape != ranker.projection.mean.shape:
            continue
        for item, label, items, ratings in part.drop("user_id").iter_rows():
            if ranker.knows(item):
                with_text, without = ranker.rank(raw, list(zip(items, ratings, strict=True)), [item])
                people.append(user)
                labels.append(label)
                chances.append(with_text[0])
                plain.append(without[0])
    if len(set(labels)) < 2:
        return None
    label, one, other = np.asarray(labels), np.asarray(chances), np.asarray(plain)
    interval = paired_bootstrap(auc, np.asarray(people), label, one, other, seed=0, draws=DRAWS)
    figures = (auc(label, one), auc(label, other))
    return Usefulness(
        len(set(people)),
        len(labels),
        round(figures[0], 4),
        round(figures[1], 4),
        round(figures[0] - figures[1], 4),
        _known(interval.low),
        _known(interval.high),
    )
