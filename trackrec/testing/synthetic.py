"""A small made-up world for the shared suites: users like one of two genres, and a text can say which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

GENRES = ("Comedy", "Horror")
HISTORY, EXAMPLES = 6, 8
"""Events of a user's history, and examples after it."""


@dataclass(frozen=True)
class SyntheticData:
    """Tables as a run has them."""

    items: pl.DataFrame
    """``item_id, title, year, genres``: even items are comedies, odd ones horror films."""
    histories: pl.DataFrame
    """``user_id, position, event_id, item_id, rating, timestamp, label, expected``."""
    examples: pl.DataFrame
    """``user_id, event_id, item_id, label, raters, likes, recent_item_ids, recent_ratings``."""
    texts: pl.DataFrame
    """``user_id, text``: a text that tells the truth of each user."""

    @property
    def targets(self) -> pl.DataFrame:
        """The examples as judges take them."""
        return self.examples.select("user_id", "event_id", "item_id", "label", "raters", "likes")


def make_synthetic(users: int = 40, items: int = 30, seed: int = 0) -> SyntheticData:
    """Even users like comedies, odd ones horror films; one event in ten says otherwise."""
    draw = np.random.default_rng(seed)
    histories, examples = [], []
    for user in range(users):
        films = draw.permutation(items)[: HISTORY + EXAMPLES]
        past: list[tuple[int, float]] = []
        for place, film in enumerate(films.tolist()):
            liked = (film % 2 == user % 2) != (draw.random() < 0.1)
            event, rating = user * 1000 + place, 5.0 if liked else 2.0
            if place < HISTORY:
                histories.append((user, place, event, film, rating, 1_000_000 + 60 * place, int(liked), 0.5))
                past.append((film, rating))
            else:
                examples.append((user, event, film, int(liked), 10, 5, [p[0] for p in past], [p[1] for p in past]))
    event_schema: dict[str, Any] = {
        "user_id": pl.Int64,
        "position": pl.Int32,
        "event_id": pl.UInt32,
        "item_id": pl.Int64,
    }
    event_schema |= {"rating": pl.Float64, "timestamp": pl.Int64, "label": pl.Int8, "expected": pl.Float64}
    target: dict[str, Any] = {
        "user_id": pl.Int64,
        "event_id": pl.UInt32,
        "item_id": pl.Int64,
        "label": pl.Int8,
        "raters": pl.Int64,
    }
    target |= {"likes": pl.Int64, "recent_item_ids": pl.List(pl.Int64), "recent_ratings": pl.List(pl.Float64)}
    return SyntheticData(
        pl.DataFrame(
            {
                "item_id": range(items),
                "title": [f"Film {item} ({1950 + item})" for item in range(items)],
                "year": range(1950, 1950 + items),
                "genres": [[GENRES[item % 2]] for item in range(items)],
            }
        ),
        pl.DataFrame(histories, schema=event_schema, orient="row"),
        pl.DataFrame(examples, schema=target, orient="row"),
        pl.DataFrame(
            {"user_id": range(users), "text": [f"This viewer likes {GENRES[user % 2]} films." for user in range(users)]}
        ),
    )
