"""A small publication, in the layout that `trackrec write` leaves, and the catalogue that its histories are of."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import save_file

GENRES = ("Comedy", "Drama", "Thriller", "Sci-Fi", "Romance")
ITEMS = 30
WRITTEN = 1_700_000_000
DIMENSIONS = 384
EVENT = ("number", "item_id", "rating", "timestamp")


def made_items(title: str = "Film") -> pl.DataFrame:
    """A catalogue with cards."""
    return pl.DataFrame(
        {
            "item_id": list(range(1, ITEMS + 1)),
            "title": [f"{title} {number} ({1970 + number})" for number in range(1, ITEMS + 1)],
            "year": [1970 + number for number in range(1, ITEMS + 1)],
            "genres": [[GENRES[number % 5]] for number in range(1, ITEMS + 1)],
            "known": [2 if number % 3 else 0 for number in range(1, ITEMS + 1)],
            "tags": [["cult", "dry humour"] if number % 3 else [] for number in range(1, ITEMS + 1)],
            "gist": [f"Somebody does something, take {number}." for number in range(1, ITEMS + 1)],
        }
    )


def made_row(user: Any, version: str = "one", written: int = WRITTEN, **changes: Any) -> dict[str, Any]:
    """A row of a shard: a user who likes a genre and dislikes another; vectors tell which."""
    number = user if isinstance(user, int) else len(str(user))
    likes, dislikes = GENRES[number % 5], GENRES[(number + 2) % 5]
    items = [1 + (number * 7 + place) % ITEMS for place in range(1, 9)]
    liked, disliked = (
        [place for place, item in enumerate(items, start=1) if GENRES[item % 5] == genre] for genre in (likes, dislikes)
    )
    sentences = [
        {"text": f"This viewer enjoys {likes} {liked}.", "verdict": "supported", "way": "liked", "events": liked},
        {
            "text": f"They turn away from {dislikes} {disliked}.",
            "verdict": "contradicted",
            "way": "disliked",
            "events": disliked,
        },
        {"text": f"So recommend more {likes} to them.", "verdict": "not_checkable", "way": "", "events": []},
    ]
    chance = np.random.default_rng(number)
    raw = chance.normal(0, 0.01, DIMENSIONS)
    raw[number % 5] = 1.0
    ratings = [5.0 if place in liked else 1.0 if place in disliked else 3.0 for place in range(1, 9)]
    history = [
        {"number": place, "item_id": item, "rating": rating, "timestamp": 900 + place}
        for place, item, rating in zip(range(1, 9), items, ratings, strict=True)
    ]
    row = {
        "user_id": user,
        "text": " ".join(one["text"] for one in sentences),
        "sentences": sentences,
        "vector": [float(value) for value in raw[:6]],
        "raw_vector": [float(value) for value in raw],
        "history": history,
        "events": 8,
        "last_event": 908,
        "written": written,
        "expires": None,
        "version": version,
    }
    return row | changes


def write_publication(
    place: Path, rows: Sequence[dict[str, Any]], version: str = "one", shards: int = 2, encoder: str = "none"
) -> Path:
    """Write a version and point to it; the place again. The projection keeps the first six numbers."""
    folder = place / "versions" / version
    (folder / "shards").mkdir(parents=True)
    item = type(rows[0]["history"][0]["item_id"]) if rows and rows[0]["history"] else int
    event = pl.Struct(
        {
            "number": pl.Int32,
            "item_id": pl.Int64 if item is int else pl.String,
            "rating": pl.Float64,
            "timestamp": pl.Int64,
        }
    )
    sentence = pl.Struct({"text": pl.String, "verdict": pl.String, "way": pl.String, "events": pl.List(pl.Int32)})
    users = pl.Int64 if all(isinstance(row["user_id"], int) for row in rows) else pl.String
    schema = {
        "user_id": users,
        "text": pl.String,
        "sentences": pl.List(sentence),
        "vector": pl.List(pl.Float32),
        "raw_vector": pl.List(pl.Float32),
        "history": pl.List(event),
        "events": pl.Int32,
        "last_event": pl.Int64,
        "written": pl.Int64,
        "expires": pl.Int64,
        "version": pl.String,
    }
    told = []
    for number in range(shards):
        name = f"{number:05d}-of-{shards:05d}"
        table = pl.DataFrame(list(rows[number::shards]), schema=schema)
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        (folder / "shards" / f"{name}.parquet").write_bytes(buffer.getvalue())
        told.append({"name": name, "rows": table.height, "sha256": hashlib.sha256(buffer.getvalue()).hexdigest()})
    save_file(
        {
            "mean": np.zeros(DIMENSIONS, dtype=np.float32),
            "directions": np.eye(DIMENSIONS, 6, dtype=np.float32),
        },
        folder / "projection.safetensors",
    )
    manifest = {
        "version": version,
        "created": WRITTEN,
        "run": "runs/made",
        "encoder": encoder,
        "projection": "projection.safetensors",
        "high_water": 908,
        "counts": {"rows": len(rows)},
        "shards": told,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (place / "current.json").write_text(json.dumps({"version": version}), encoding="utf-8")
    return place
