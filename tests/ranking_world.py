"""A made-up world for the tests of the rankers: users differ in how much they like, and their text says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class World:
    """Looks like a split; ``habit`` is each user's true log-odds of liking anything."""

    histories: pl.DataFrame
    examples: pl.DataFrame
    items: pl.DataFrame
    roles: pl.DataFrame
    habit: dict[int, float]


class HabitEncoder:
    """Reads the number in "habit 1.5 ..." into the first coordinate; the others are noise that follows the text."""

    def encode(self, texts: list[str]) -> np.ndarray:
        rows = []
        for text in texts:
            noise = np.random.default_rng(abs(hash_of(text))).normal(size=7)
            rows.append([float(text.split()[1]), *noise])
        return np.asarray(rows, dtype=np.float32).reshape(len(texts), 8)


def hash_of(text: str) -> int:
    """A hash that is the same in every process."""
    return int.from_bytes(text.encode()[-8:], "little")


def make_world(users: int = 90, per_user: int = 20, items: int = 30, seed: int = 0) -> World:
    """``users`` ranker users in three folds; recent events carry neutral ratings, so the habit is only in the text."""
    rng = np.random.default_rng(seed)
    habit = {user: float(value) for user, value in enumerate(rng.choice([-2.0, 2.0], users))}
    quality = rng.normal(0, 0.5, items)
    rows, past = [], []
    for user in range(users):
        for _event in range(10):
            label = int(rng.random() < 1 / (1 + np.exp(-habit[user])))
            past.append((user, int(rng.integers(items)), label))
        for number in range(per_user):
            item = int(rng.integers(items))
            label = int(rng.random() < 1 / (1 + np.exp(-habit[user] - quality[item])))
            recent = [int(row) for row in rng.integers(items, size=min(number, 4))]
            rows.append((user, user * 1000 + number, item, label, recent, [3.0] * len(recent)))
    schema = ["user_id", "event_id", "item_id", "label", "recent_item_ids", "recent_ratings"]
    types = {"recent_item_ids": pl.List(pl.Int64), "recent_ratings": pl.List(pl.Float64)}
    return World(
        histories=pl.DataFrame(past, schema=["user_id", "item_id", "label"], orient="row"),
        examples=pl.DataFrame(rows, schema=schema, orient="row", schema_overrides=types),
        items=pl.DataFrame(
            {
                "item_id": range(items),
                "genres": [["A", "B"] if item % 2 else ["A"] for item in range(items)],
                "year": [1950 + item if item else None for item in range(items)],
            }
        ),
        roles=pl.DataFrame(
            {"user_id": range(users), "role": ["ranker"] * users, "fold": [u % 3 for u in range(users)]}
        ),
        habit=habit,
    )
