"""A publication as written by ``trackrec write``, read shard by shard, and loaded into a store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import fsspec
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load

from trackrec.errors import RunError, StoreError
from trackrec.features.projection import Projection
from trackrec.files.tables import table_of
from trackrec.store.objections import Rewriter, apply_objections, objections_of
from trackrec.store.record import Record, key_of, read_value, record_from_row
from trackrec.store.store import FEEDBACK, Store
from trackrec.store.summary import summarise
from trackrec.store.versions import Version

_FITS: dict[str, Callable[[Any], bool]] = {
    "user_id": lambda kind: kind is not None,
    **dict.fromkeys(("text", "version"), lambda kind: kind == pl.String),
    **dict.fromkeys(("sentences", "history", "vector", "raw_vector"), lambda kind: isinstance(kind, pl.List)),
    **dict.fromkeys(
        ("events", "last_event", "written", "expires"),
        lambda kind: kind is not None and (kind.is_integer() or kind == pl.Null),
    ),
}
"""Whether a column's type, None if there is no such column, is one that records can be made of."""


class Published(Protocol):
    """Versions of texts that can be loaded into a store."""

    place: str
    """Where they lie, for people."""

    def current(self) -> str:
        """The version to load if none is named."""
        ...

    def manifest(self, version: str) -> dict[str, Any]:
        """What the version says of itself: ``encoder``, and ``shards`` with their ``rows``."""
        ...

    def projection(self, version: str) -> Projection | None:
        """What made the vectors; None: they are the encoder's own."""
        ...

    def records(self, version: str) -> Iterator[Record]:
        """All records of the version."""
        ...


class Publication:
    """Versions at a place, see :class:`Published`; read only.

    Args:
        place: a folder's path, or a URL that fsspec opens, such as ``s3://bucket/profiles``.

    Raises:
        StoreError: the URL's protocol needs a package that is not installed.
    """

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/")
        try:
            # The path of a folder is a path, whatever characters are in it.
            self._fs, self._root = fsspec.url_to_fs(
                self.place if "://" in self.place else Path(self.place).absolute().as_uri()
            )
        except (ImportError, ValueError) as error:
            raise StoreError(f"{place} cannot be opened: {error}") from error
        if "://" not in self.place:
            self._root = str(Path(self.place).absolute())

    def current(self) -> str:
        """The version that the place points to.

        Raises:
            StoreError: it points to none.
        """
        try:
            return str(json.loads(self._read("current.json"))["version"])
        except (FileNotFoundError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise StoreError(
                f"{self.place} holds no publication (no current.json that names a version): write one first with "
                "trackrec write"
            ) from error

    def manifest(self, version: str) -> dict[str, Any]:
        """What the version says of itself; it is written last, so a version without one is not whole.

        Raises:
            StoreError: there is none, or it lists no shards.
        """
        if not _is_folder_name(version):
            raise StoreError(f"a version is asked for by {version!r}, but a version's name is a folder's name")
        try:
            manifest: dict[str, Any] = json.loads(self._read(f"versions/{version}/manifest.json"))
            for shard in manifest["shards"]:
                if not (_is_folder_name(shard.get("file_version", version)) and _is_folder_name(shard["name"])):
                    raise ValueError("a shard's name or file_version is no name of a file")
                if not (isinstance(shard["rows"], int) and isinstance(shard["sha256"], str)):
                    raise TypeError("a shard's rows are no number, or its sha256 is no text")
        except FileNotFoundError as error:
            raise StoreError(
                f"version {version!r} of {self.place} has no manifest: it is not there, or not written whole; go on "
                "with trackrec write"
            ) from error
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise StoreError(
                f"the manifest of version {version!r} in {self.place} cannot be used: it must list its shards with "
                "name, rows and sha256, as trackrec write does"
            ) from error
        return manifest

    def records(self, version: str) -> Iterator[Record]:
        """All records of a version, shard by shard, each shard held against its checksum first.

        Raises:
            StoreError: a shard is missing, or is not what the manifest says.
        """
        for shard in self.manifest(version)["shards"]:
            for row in self.shard(version, shard).iter_rows(named=True):
                try:
                    yield record_from_row(row)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise StoreError(
                        f"a row of {shard['name']} of {self.place} cannot be used ({type(error).__name__}: {error}): "
                        "write the version again"
                    ) from error

    def shard(self, version: str, shard: dict[str, Any]) -> pl.DataFrame:
        """A shard that the manifest names; its file may lie in the folder of an older version.

        Raises:
            StoreError: it is missing, or is not what the manifest says.
        """
        name = f"versions/{shard.get('file_version', version)}/shards/{shard['name']}.parquet"
        try:
            content = self._read(name)
        except FileNotFoundError as error:
            raise StoreError(
                f"{name} of {self.place} is missing, but the manifest lists it: write the version again"
            ) from error
        found = hashlib.sha256(content).hexdigest()
        if found != shard["sha256"]:
            raise StoreError(
                f"{name} of {self.place} has SHA-256 {found[:12]}..., but the manifest says {shard['sha256'][:12]}...: "
                "it was changed or damaged; write the version again"
            )
        try:
            table = table_of(content, name)
        except RunError as error:
            raise StoreError(
                f"{name} of {self.place} cannot be read ({error.__cause__}): write the version again"
            ) from error
        if table.height != shard["rows"]:
            raise StoreError(f"{name} of {self.place} has {table.height} rows, but the manifest says {shard['rows']}")
        odd = [column for column, fits in _FITS.items() if not fits(table.schema.get(column))]
        if odd:
            raise StoreError(
                f"{name} of {self.place} lacks columns, or has them as something else: {', '.join(odd)}; write the "
                "version again"
            )
        return table

    def projection(self, version: str) -> Projection | None:
        """The projection that made the vectors; None: they are the encoder's own.

        Raises:
            StoreError: the manifest names one that is not there or cannot be read.
        """
        name = self.manifest(version).get("projection")
        if not name:
            return None
        try:
            tensors = load(self._read(f"versions/{version}/projection.safetensors"))
            return Projection(tensors["mean"], tensors["directions"])
        except (FileNotFoundError, KeyError, SafetensorError) as error:
            raise StoreError(
                f"the projection of version {version!r} in {self.place} cannot be read ({error}): expected tensors "
                "mean and directions in projection.safetensors"
            ) from error

    def _read(self, name: str) -> bytes:
        return bytes(self._fs.cat_file(f"{self._root}/{name}"))


def _is_folder_name(name: Any) -> bool:
    return isinstance(name, str) and bool(name) and not name.startswith(".") and not set(name) & {"/", "\\", "\0"}


def publish(
    publication: Published, store: Store, version: str | None = None, switch: bool = True, keep: int = 2
) -> tuple[str, Version]:
    """Load a version, check it, and serve it.

    What people objected to before is taken out of the new texts as well, and what they added is added again.

    Args:
        publication: where the version lies.
        store: where it goes.
        version: its name; None: the publication's current one.
        switch: serve it at once.
        keep: how many versions stay in the store; the oldest ones beyond that are dropped, never the one that is
            served nor the one before it.

    Returns:
        The version's name, and what the store says of it. A version that was loaded before is only switched to.

    Raises:
        StoreError: the publication or the store cannot be used, or what was loaded is not what was written.
    """
    name = publication.current() if version is None else version
    manifest = publication.manifest(name)
    known = store.state().versions.get(name)
    if known is None or known.state != "ready":
        expected = sum(int(shard["rows"]) for shard in manifest["shards"])
        short = {key: value for key, value in manifest.items() if key != "shards"} | {"place": publication.place}
        projection = publication.projection(name)
        if projection is not None:
            short["projection_tensors"] = {
                "mean": projection.mean.tolist(),
                "directions": projection.directions.tolist(),
            }
        records = _as_people_want(publication, name, store, Rewriter.named(manifest.get("encoder"), projection))
        store.load(name, records, short, lambda stored: summarise(stored, store.clock()), expected)
    if switch:
        store.switch(name)
    _drop_old(store, keep)
    return name, store.state().named(name)


def _as_people_want(publication: Published, version: str, store: Store, rewriter: Rewriter) -> Iterator[Record]:
    told: dict[bytes, list[dict[str, Any]]] = {key: read_value(value) for key, value in store.tables.scan(FEEDBACK)}
    for record in publication.records(version):
        entries = told.get(key_of(record.user_id))
        yield record if entries is None else apply_objections(record, objections_of(entries), rewriter)


def _drop_old(store: Store, keep: int) -> None:
    state = store.state()
    ready = [(int(one.table.removeprefix("v")), name) for name, one in state.versions.items() if one.state == "ready"]
    spare = [name for _, name in sorted(ready) if name not in (state.current, state.previous)]
    for name in spare[: max(0, len(ready) - keep)]:
        store.drop(name)
