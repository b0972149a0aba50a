"""A store by its place: a file, an LMDB folder or a Redis server."""

from __future__ import annotations

from pathlib import Path

from trackrec.errors import StoreError
from trackrec.store.store import Store
from trackrec.store.tables import Tables

FORMS = "a file (store.sqlite, sqlite:PATH), lmdb:FOLDER, redis://HOST:PORT/DATABASE, rediss:// or unix://SOCKET"


def open_store(place: str, read_only: bool = False, seconds: float = 5.0) -> Store:
    """The store at a place.

    Args:
        place: see :data:`FORMS`.
        read_only: nothing is written: no objection, no forgetting.
        seconds: how long to wait for the store before a read is given up.

    Raises:
        StoreError: there is no such kind of store, or the library for it is not installed.
    """
    scheme, _, rest = place.partition(":")
    tables: Tables
    try:
        if scheme in ("redis", "rediss", "unix"):
            from trackrec.store.redis_tables import RedisTables

            tables = RedisTables(place, seconds)
        elif scheme == "lmdb":
            from trackrec.store.lmdb_tables import LmdbTables

            tables = LmdbTables(Path(rest.removeprefix("//")), read_only)
        elif scheme == "sqlite" or "://" not in place:
            from trackrec.store.sqlite_tables import SqliteTables

            tables = SqliteTables(Path(rest.removeprefix("//") if scheme == "sqlite" else place), read_only, seconds)
        else:
            raise StoreError(f"no store is known at {scheme}://...: expected {FORMS}")
    except ImportError as error:
        raise StoreError(
            f"this kind of store needs the package {error.name}: pip install 'trackrec[{error.name}]'"
        ) from error
    return Store(tables)
