"""Partitioning: one pass over the log puts each user's events into the file of the user's shard, batch by batch."""

from __future__ import annotations

import hashlib
import itertools
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet

from trackrec.data.log import stable_hash
from trackrec.errors import LogError
from trackrec.files.forgotten import Forgotten
from trackrec.writing.place import Place
from trackrec.writing.scratch import scratch_folder


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


log = logging.getLogger("trackrec.writing")

BATCH = 1_000_000
"""Events that are held at once."""
OPEN_FILES = 256
"""Files that are written at once; more shards are dealt in two passes."""


def partition_name(shard: int) -> str:
    """The file of a shard's events, in a version's ``work`` folder."""
    return f"dealt/{shard:05d}.parquet"


def partition_log(
    rows: pl.LazyFrame, shards: int, place: Place, folder: str, forgotten: Forgotten | None = None
) -> dict[str, int]:
    """Deal a log's rows into a file a shard: ``PLACE/FOLDER/dealt/00012.parquet``, all rows of a user in one of them,
    in the log's order. A shard without a row gets no file.

    Args:
        rows: with ``user_id`` and ``timestamp``, in the log's order.
        shards: how many.
        place, folder: where the files go.
        forgotten: people whose rows are left out.

    Returns:
        ``rows``, and ``high_water``: the newest time among rows that can be used.

    Raises:
        LogError: there is no row.
    """
    local = Path(place.path(folder)) if place.is_local else None
    if local is not None:
        local.mkdir(parents=True, exist_ok=True)
    with scratch_folder(local) as scratch:
        dealer = _Partitioner(scratch, shards, forgotten or Forgotten({}))
        groups = -(-shards // OPEN_FILES)
        if groups == 1:
            files = dealer.into_shards(rows, range(shards))
        else:
            size = -(-shards // groups)
            coarse = dealer.into_groups(rows, size, groups)
            files = {}
            for group, file in sorted(coarse.items()):
                members = range(group * size, min(shards, (group + 1) * size))
                again = pl.scan_parquet(file, glob=False)
                files |= dealer.into_shards(again, members, counted=True)
                file.unlink()
        if not dealer.rows:
            raise LogError("the log holds no row: expected a table with some")
        for shard, file in files.items():
            place.upload(file, f"{folder}/{partition_name(shard)}")
    return {"rows": dealer.rows, "high_water": dealer.high_water}


class _Partitioner:
    def __init__(self, scratch: Path, shards: int, forgotten: Forgotten) -> None:
        self.scratch, self.shards, self.forgotten = scratch, shards, forgotten
        self.rows, self.high_water = 0, 0

    def into_shards(self, rows: pl.LazyFrame, members: range, counted: bool = False) -> dict[int, Path]:
        """A file a shard."""
        return self._deal(rows, 1, members, "shard", counted)

    def into_groups(self, rows: pl.LazyFrame, size: int, groups: int) -> dict[int, Path]:
        """A file for every ``size`` shards."""
        return self._deal(rows, size, range(groups), "group", False)

    def _deal(self, rows: pl.LazyFrame, size: int, members: range, name: str, counted: bool) -> dict[int, Path]:
        files: dict[int, Path] = {}
        writers: dict[int, Any] = {}
        with ExitStack() as opened:
            for read in rows.collect_batches(chunk_size=BATCH, maintain_order=True, engine="streaming"):
                batch = self.forgotten.left_out(read)
                if not counted:
                    self._count(batch)
                place = (shard_of(batch["user_id"], self.shards) // size).to_numpy()
                order = np.argsort(place, kind="stable")
                ends = np.searchsorted(place[order], np.arange(members.start, members.stop + 1))
                sorted_rows = batch[order]
                for number, (start, end) in zip(members, itertools.pairwise(ends), strict=True):
                    if start == end:
                        continue
                    part = sorted_rows.slice(int(start), int(end - start)).to_arrow()
                    if number not in writers:
                        files[number] = self.scratch / f"{name}-{number:05d}"
                        options = {"compression": "lz4", "use_dictionary": ["unusable"], "write_statistics": False}
                        writer = pyarrow.parquet.ParquetWriter(files[number], part.schema, **options)
                        writers[number] = opened.enter_context(writer)
                    writers[number].write_table(part)
        return files

    def _count(self, batch: pl.DataFrame) -> None:
        self.rows += batch.height
        usable = batch.filter(pl.col("unusable").is_null()) if "unusable" in batch.columns else batch
        newest = usable["timestamp"].max()
        if isinstance(newest, int):
            self.high_water = max(self.high_water, newest)
