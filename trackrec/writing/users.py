"""Which shard a user belongs to: by a hash of the id that is the same on every machine and in every version."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import polars as pl

from trackrec.data.log import stable_hash


def shard_of(users: pl.Series, shards: int) -> pl.Series:
    """The shard of each user, UInt32; rows without a user are all in one.

    Whole numbers are mixed by SplitMix64's finaliser, texts by BLAKE2b, each different text once.

    Args:
        users: Int64 or String ids, repeated as they come.
        shards: how many there are, 1 or more.

    Example:
        >>> shard_of(pl.Series([1, 2, 1]), 1000).to_list()
        [465, 110, 465]
    """
    if shards == 1:
        return pl.repeat(0, len(users), dtype=pl.UInt32, eager=True)
    if users.dtype == pl.String:
        distinct = users.drop_nulls().unique()
        hashes = [int.from_bytes(hashlib.blake2b(u.encode(), digest_size=8).digest(), "big") % shards for u in distinct]
        return users.replace_strict(distinct, pl.Series(hashes, dtype=pl.UInt32), default=0, return_dtype=pl.UInt32)
    mixed = _mix(users.fill_null(0).cast(pl.Int64).to_numpy().astype(np.uint64)) % np.uint64(shards)
    return pl.Series(mixed.astype(np.uint32))


def draw(seed: int, user: Any) -> float:
    """A number in [0, 1) from a seed and a user's id alone."""
    return stable_hash(f"{seed}/{stable_hash(user)}") / 2**64


def _mix(bits: np.typing.NDArray[np.uint64]) -> np.typing.NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        z = bits + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)
