"""A shard's files: what their columns are, and how they become visible all at once."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import polars as pl

from trackrec.errors import RunError
from trackrec.files.tables import table_of
from trackrec.writing.manifest_schemas import ShardManifest, checked, damaged
from trackrec.writing.place import Place
from trackrec.writing.text_check import SENTENCES

LISTED = ("name", "rows", "bytes", "sha256", "file_version")
"""What a version's manifest says of each shard; ``file_version`` only where the file is an older version's."""


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
    told = manifest | {
        "name": name,
        "rows": rows.height,
        "rejected": rejected.height,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    place.write(f"versions/{version}/shards/{name}.parquet", content)
    return _put_manifest(place, version, name, rejected, told)


def commit_reference(
    place: Place, version: str, earlier: str, name: str, rejected: pl.DataFrame, manifest: dict[str, Any]
) -> dict[str, Any]:
    """Commit a shard that is an earlier version's file: nothing is copied, the manifest says where it lies.

    Args:
        place, version, name: as for ``commit``.
        earlier: the version that has the shard, as a file or as a reference itself.
        rejected: the shard's users without a text, as they are now.
        manifest: what there is to say of the shard.

    Returns:
        The manifest that counts; ``file_version`` is the version in whose folder the file is.
    """
    found = known_part(place, earlier, name)
    told = manifest | {key: found[key] for key in ("rows", "bytes", "sha256")}
    told |= {"name": name, "rejected": rejected.height, "file_version": found.get("file_version", earlier)}
    return _put_manifest(place, version, name, rejected, told)


def _put_manifest(
    place: Place, version: str, name: str, rejected: pl.DataFrame, told: dict[str, Any]
) -> dict[str, Any]:
    folder = f"versions/{version}"
    place.write(f"{folder}/rejected/{name}.parquet", parquet_bytes(rejected))
    if not place.create_json(f"{folder}/shards/{name}.json", told):
        told = part_of(place, version, name) or told
    return told


def shard_file(version: str, shard: dict[str, Any]) -> str:
    """The file of a shard that a manifest lists, from the place's root: in the version's folder, or in an older one's.

    >>> shard_file("000042", {"name": "00012-of-00064", "file_version": "000040"})
    'versions/000040/shards/00012-of-00064.parquet'
    """
    return f"versions/{shard.get('file_version', version)}/shards/{shard['name']}.parquet"


def part_of(place: Place, version: str, name: str) -> dict[str, Any] | None:
    """The manifest of a shard; None: there is none, the shard does not count.

    Raises:
        WriteError: it is damaged.
    """
    file = f"versions/{version}/shards/{name}.json"
    found: dict[str, Any] | None = checked(place.read_json(file), ShardManifest, place.path(file))
    return found


def known_part(place: Place, version: str, name: str) -> dict[str, Any]:
    """The manifest of a shard of a whole version.

    Raises:
        WriteError: it is damaged, or not there.
    """
    found = part_of(place, version, name)
    if found is None:
        raise damaged(place.path(f"versions/{version}/shards/{name}.json"), "it is gone")
    return found


def read_shard(place: Place, version: str, shard: dict[str, Any], columns: Sequence[str] | None = None) -> pl.DataFrame:
    """A shard of a whole version.

    Args:
        place, version: of the shard.
        shard: what a manifest says of it.
        columns: those that are wanted; None: all.

    Raises:
        WriteError: it is not what its manifest says.
        FileNotFoundError: it is not there.
    """
    file = shard_file(version, shard)
    content = place.read(file)
    if hashlib.sha256(content).hexdigest() != shard["sha256"]:
        raise damaged(place.path(file), "it is not what its manifest says")
    try:
        return table_of(content, file, columns)
    except RunError as error:
        raise damaged(place.path(file), error.__cause__) from error


def finished(place: Place, version: str, shards: int) -> set[int]:
    """The shards of a version that count."""
    names = {f"{shard_name(shard, shards)}.json": shard for shard in range(shards)}
    return {names[name] for name in place.names(f"versions/{version}/shards") if name in names}
