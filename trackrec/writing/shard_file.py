"""A shard's files: what their columns are, and how they become visible all at once."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import polars as pl

from trackrec.writing.place import Place
from trackrec.writing.told import ShardManifest, checked, damaged
from trackrec.writing.truth import SENTENCES


def schema(user: pl.DataType, item: pl.DataType) -> pl.Schema:
    """The columns of a shard.

    Args:
        user, item: types of the ids, Int64 or String.
    """
    event = pl.Struct({"number": pl.Int32, "item_id": item, "rating": pl.Float64, "timestamp": pl.Int64})
    return pl.Schema(
        {
            "user_id": user,
            "text": pl.String(),
            "sentences": SENTENCES,
            "vector": pl.List(pl.Float32),
            "raw_vector": pl.List(pl.Float32),
            "history": pl.List(event),
            "events": pl.Int32(),
            "last_event": pl.Int64(),
            "written": pl.Int64(),
            "expires": pl.Int64(),
            "version": pl.String(),
        }
    )


def shard_name(shard: int, shards: int) -> str:
    """The name of a shard, such as ``00012-of-00064``."""
    return f"{shard:05d}-of-{shards:05d}"


def parquet_bytes(table: pl.DataFrame) -> bytes:
    """A table as a Parquet file; equal tables give equal bytes."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", compression_level=3, statistics=True, row_group_size=50_000)
    return buffer.getvalue()


def commit(
    place: Place, version: str, name: str, rows: pl.DataFrame, rejected: pl.DataFrame, manifest: dict[str, Any]
) -> dict[str, Any]:
    """Put a shard's two tables, then its manifest, which makes it count. Done twice, the first one counts.

    Returns:
        The manifest that counts, with size and SHA-256 of the shard.
    """
    content = parquet_bytes(rows)
    folder = f"versions/{version}"
    told = manifest | {
        "name": name,
        "rows": rows.height,
        "rejected": rejected.height,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    place.write(f"{folder}/rejected/{name}.parquet", parquet_bytes(rejected))
    place.write(f"{folder}/shards/{name}.parquet", content)
    if not place.create_json(f"{folder}/shards/{name}.json", told):
        told = part_of(place, version, name) or told
    return told


def part_of(place: Place, version: str, name: str) -> dict[str, Any] | None:
    """The manifest of a shard; None: there is none, the shard does not count.

    Raises:
        WriteError: it is damaged.
    """
    file = f"versions/{version}/shards/{name}.json"
    found: dict[str, Any] | None = checked(place.read_json(file), ShardManifest, place.path(file))
    return found


def read_shard(place: Place, version: str, name: str) -> pl.DataFrame:
    """A shard of a whole version.

    Raises:
        WriteError: it is not what its manifest says.
        FileNotFoundError: it is not there.
    """
    file, part = f"versions/{version}/shards/{name}.parquet", part_of(place, version, name)
    if part is None or hashlib.sha256(place.read(file)).hexdigest() != part["sha256"]:
        raise damaged(place.path(file), "it is not what its manifest says")
    return place.read_table(file)


def finished(place: Place, version: str, shards: int) -> set[int]:
    """The shards of a version that count."""
    names = {f"{shard_name(shard, shards)}.json": shard for shard in range(shards)}
    return {names[name] for name in place.names(f"versions/{version}/shards") if name in names}
