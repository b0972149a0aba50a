"""A made-up run with a ranker, a published version in a store, and the service on both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.made_publication import DIMENSIONS, GENRES, ITEMS, made_items, made_row, write_publication
from trackrec.features.projection import Projection
from trackrec.rankers.compare import RankingSettings
from trackrec.serving.ranker import fit_serving_ranker
from trackrec.serving.service import Service
from trackrec.serving.settings import ServiceSettings
from trackrec.store.opening import open_store
from trackrec.store.publication import Publication, publish

USERS = 60


def made_run(folder: Path, title: str = "Film") -> Path:
    """A run's tables and its projection, which keeps the numbers that tell the genre.

    Each user likes the items of the genre that the user's text names, and dislikes the others.
    """
    chance = np.random.default_rng(3)
    items = made_items(title)
    genre = dict(items.select("item_id", pl.col("genres").list.first()).iter_rows())
    histories, examples = [], []
    for user in range(1, USERS + 1):
        for place, event in enumerate(made_row(user)["history"]):
            label = int(event["rating"] >= 4)
            histories.append((user, place, user * 100 + place, event["item_id"], event["rating"], 900 + place, label))
        for number, item in enumerate(chance.permutation(ITEMS)[:15].tolist()):
            label = int(genre[item + 1] == GENRES[user % 5])
            examples.append(
                (user, user * 100 + 50 + number, item + 1, 5.0 if label else 2.0, label, [1, 2], [3.0, 4.0])
            )
    (folder / "tables").mkdir(parents=True)
    items.write_parquet(folder / "tables" / "items.parquet")
    columns = ["user_id", "position", "event_id", "item_id", "rating", "timestamp", "label"]
    pl.DataFrame(histories, schema=columns, orient="row").write_parquet(folder / "tables" / "histories.parquet")
    columns = ["user_id", "event_id", "item_id", "rating", "label", "recent_item_ids", "recent_ratings"]
    pl.DataFrame(examples, schema=columns, orient="row").write_parquet(folder / "tables" / "examples.parquet")
    directions = np.eye(DIMENSIONS, 5, dtype=np.float32)
    Projection(np.zeros(DIMENSIONS, dtype=np.float32), directions).save(folder / "projection.safetensors")
    return folder


def fit_made_ranker(run: Path, backbone: str = "din") -> dict[str, Any]:
    vectors = pl.DataFrame(
        {"user_id": list(range(1, USERS + 1)), "vector": [made_row(user)["raw_vector"] for user in range(1, USERS + 1)]}
    )
    settings = RankingSettings(backbone=backbone, components=4)
    settings = settings.model_copy(
        update={
            "fit": settings.fit.model_copy(update={"epochs": 25, "patience": 25, "batch": 128, "learning_rate": 0.01})
        }
    )
    return fit_serving_ranker(run, vectors, settings, run / "ranker", seed=1)


def made_service(
    folder: Path, rows: list[dict[str, Any]] | None = None, title: str = "Film", ranker: bool = True, **settings: Any
) -> Service:
    """A service on a store with the version "one"."""
    run = made_run(folder / "run", title)
    if ranker:
        fit_made_ranker(run)
    place = write_publication(folder / "place", rows or [made_row(user) for user in range(1, USERS + 1)])
    store = open_store(str(folder / "store.sqlite"), seconds=1.0)
    publish(Publication(str(place)), store)
    return Service.of(store, ServiceSettings(**{"rate": 0.0, "serve_expired": False} | settings), run)


def read_problem(response: Any) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = json.loads(response.content)
    assert told["status"] == response.status_code
    return told
