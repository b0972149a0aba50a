"""A ranker for a store's version: the run's examples, the published texts' vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from trackrec.files.manifests import as_written
from trackrec.files.tables import read_table
from trackrec.recipe import load_recipe
from trackrec.run import written_whole
from trackrec.serving.ranker import fit_serving_ranker
from trackrec.store.store import Store

_BATCH = 1_000


def fit_for_store(run: Path, store: Store, version: str) -> dict[str, Any]:
    """Fit a ranker into ``RUN/ranker``; its figures.

    Args:
        run: the run's folder.
        store: with the version.
        version: whose vectors are used, of the people that the run knows.

    Raises:
        RunError: the run lacks a table, or the version has too few of its people.
    """
    recipe = load_recipe(run / "recipe.yaml")
    users = read_table(as_written(run, run / "tables" / "histories.parquet"), ["user_id"])["user_id"].unique().sort()
    known, vectors = [], []
    for start in range(0, users.len(), _BATCH):
        part = users[start : start + _BATCH].to_list()
        for user, found in zip(part, store.read(part, version).found, strict=True):
            if found is not None and found.raw_vector is not None:
                known.append(user)
                vectors.append(found.raw_vector.tolist())
    schema = {"user_id": users.dtype, "vector": pl.List(pl.Float32)}
    table = pl.DataFrame({"user_id": known, "vector": vectors}, schema=schema)
    with written_whole(run / "ranker") as partial:
        partial.mkdir()
        return fit_serving_ranker(run, table, recipe.ranking, partial, recipe.seed)
