"""Examples for the benchmark of the rankers, as plain arrays that every side reads from one file.

Each part (train, validation, test; different users) has ``item`` (n,), ``recent`` and ``rating`` (n, 10; oldest first,
0 behind is padding), ``seen`` (n,), ``label`` (n,).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

RECENT = 10
PARTS = ("train", "validation", "test")
Ints = npt.NDArray[np.int64]


def synthetic(path: Path, users: int, seed: int) -> None:
    """A made-up log of MovieLens-1M's size (6,000 users, 4,000 items, 167 examples each) with a known structure.

    A rating follows from the item's quality, the user's generosity and how well two vectors of six numbers fit; items
    are drawn by a popularity that falls as rank ** -0.8; a like is one of the upper two of five ratings.
    """
    rng = np.random.default_rng(seed)
    items, events, factors = 4000, 167 + RECENT, 6
    popularity = 1 / np.arange(1, items + 1) ** 0.8
    drawn = rng.choice(items, size=(users, events), p=popularity / popularity.sum())
    tastes, kinds = rng.normal(size=(users, factors)), rng.normal(size=(items, factors))
    score = 0.5 * np.einsum("uf,uef->ue", tastes, kinds[drawn])
    score += rng.normal(0, 0.6, items)[drawn] + rng.normal(0, 0.6, (users, 1)) + rng.normal(0, 0.8, (users, events))
    rating = 1 + np.searchsorted(np.quantile(score, [0.06, 0.17, 0.43, 0.78]), score)
    rows = np.arange(events - RECENT)[:, None] + np.arange(RECENT)[None, :]
    shortest = rng.integers(0, RECENT + 1, size=(users, events - RECENT))  # short histories, as at a user's beginning
    seen = np.where(rng.random((users, events - RECENT)) < 0.2, shortest, RECENT)
    place = np.arange(RECENT)
    last = rows[None, :, :] + (RECENT - seen)[:, :, None]  # the last `seen` events, oldest first
    real = place < seen[:, :, None]
    last = np.where(real, last, 0)
    person = np.arange(users)[:, None, None]
    arrays = {
        "item": drawn[:, RECENT:] + 1,
        "recent": np.where(real, drawn[person, last] + 1, 0),
        "rating": np.where(real, rating[person, last], 0),
        "seen": seen,
        "label": (rating[:, RECENT:] >= 4).astype(np.int64),
    }
    _write(path, arrays, rng.permutation(users) % 10, items)


def movielens(path: Path, seed: int) -> None:
    """All users' examples of MovieLens-100K after the split's histories, with up to ten events in view."""
    from trackrec import api as tr
    from trackrec.rankers.examples import ItemTable, RatingScale, build_examples

    log = tr.read_log(tr.SourceSettings())
    frame = tr.split_log(log, tr.SplitSettings()).examples.sort("user_id", "event_id")
    scale = RatingScale.fit(frame["recent_ratings"].explode())
    rows = build_examples(frame, ItemTable.from_catalogue(log.items), scale, RECENT)
    codes = frame["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
    tenth = np.random.default_rng(seed).permutation(int(codes.max()) + 1) % 10
    arrays = {name: getattr(rows, name).numpy() for name in ("item", "recent", "rating", "seen", "label")}
    _write(path, arrays, tenth[codes], log.items.height)


def _write(path: Path, arrays: dict[str, Ints], tenth: Ints, items: int) -> None:
    """Two tenths of the users validate and test, the others train; ``tenth`` is by user (rows of the arrays)."""
    chosen = {"train": tenth > 1, "validation": tenth == 0, "test": tenth == 1}
    out: dict[str, npt.NDArray[np.int64]] = {"items": np.array(items), "ratings": np.array(arrays["rating"].max())}
    for part, users in chosen.items():
        for name, values in arrays.items():
            shape = (-1, RECENT) if name in {"recent", "rating"} else (-1,)
            out[f"{part}.{name}"] = values[users].reshape(shape).astype(np.int64)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **out)  # type: ignore[arg-type]


def training_examples(path: Path) -> int:
    """How many examples the training part of a file has."""
    with np.load(path) as data:
        return len(data["train.label"])
