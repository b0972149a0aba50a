"""The targets of a user: the examples on which all of the user's RecCoTs are judged."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from trackrec.data.log import stable_hash
from trackrec.errors import LogError


def like_quota(likes: int, dislikes: int, per_user: int) -> int:
    """How many of ``per_user`` targets are likes: the user's own share, but one of each if there are both and room.

    Example:
        >>> like_quota(likes=30, dislikes=10, per_user=8), like_quota(likes=99, dislikes=1, per_user=8)
        (6, 7)
    """
    total = min(per_user, likes + dislikes)
    quota = int(total * likes / (likes + dislikes) + 0.5)
    if likes and dislikes and total >= 2:
        quota = min(max(quota, 1), total - 1)
    return min(max(quota, total - dislikes), likes)


def choose_targets(examples: pl.DataFrame, users: Iterable[int | str], per_user: int, seed: int) -> pl.DataFrame:
    """Draw each user's targets without replacement, likes and dislikes in the user's own proportion, in random order.

    Args:
        examples: ``Split.examples``.
        users: whose targets are drawn.
        per_user: the most targets that a user gets; a user with fewer examples gets all of them.
        seed: with the user's id it fixes the user's targets, whoever else is asked for.

    Returns:
        ``user_id, slot`` Int16 (0, 1, ... in the drawn order) ``, event_id, item_id, label``, by user as asked.

    Raises:
        LogError: a user has no example.
    """
    wanted = pl.Series("user_id", list(users), dtype=examples.schema["user_id"])
    mine = examples.filter(pl.col("user_id").is_in(wanted.implode())).sort("user_id", "event_id")
    begins = mine["user_id"].rle_id().to_numpy() if mine.height else np.zeros(0, dtype=np.int64)
    bounds = np.append(np.flatnonzero(np.diff(begins, prepend=-1)), mine.height)
    place = dict(zip(mine["user_id"].gather(bounds[:-1]).to_list(), range(len(bounds) - 1), strict=True))
    liked = mine["label"].to_numpy() == 1
    rows, slots = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for user in wanted.to_list():
        if user not in place:
            raise LogError(f"no targets for user {user!r}: expected a user of the split with at least one example")
        start, stop = bounds[place[user]], bounds[place[user] + 1]
        generator = np.random.default_rng([seed, stable_hash(user)])
        likes, dislikes = np.flatnonzero(liked[start:stop]), np.flatnonzero(~liked[start:stop])
        quota = like_quota(len(likes), len(dislikes), per_user)
        total = min(per_user, int(stop - start))
        drawn = np.concatenate(
            [
                generator.choice(likes, quota, replace=False),
                generator.choice(dislikes, total - quota, replace=False),
            ]
        )
        rows.append(start + generator.permutation(drawn))
        slots.append(np.arange(total))
    # One gather for everybody: rows of single users are never tables of their own.
    chosen = mine[np.concatenate(rows)].with_columns(pl.Series("slot", np.concatenate(slots), dtype=pl.Int16))
    return chosen.select("user_id", "slot", "event_id", "item_id", "label")
