"""Tables in an LMDB folder: the quickest to read, and many processes of one host read the same pages."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from trackrec.errors import StoreError
from trackrec.store.tables import View

_BATCH = 5_000
_MAP = 1 << 40
"""Address space, not disk: the file grows as it is filled."""
_STATE = b"state"


class LmdbTables:
    """See :class:`trackrec.store.tables.Tables`.

    All tables share one database; a key begins with the table's name and a zero byte.

    Args:
        folder: of the environment; made if it is missing, unless it is opened for reading.
        read_only: nothing is written through this object.
    """

    embedded = True
    seconds = 5.0

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self.folder, self.read_only = folder, read_only
        if read_only and not (folder / "data.mdb").is_file():
            raise StoreError(
                f"there is no store {folder}: publish into it first (trackrec publish ... --to lmdb:{folder})"
            )
        if not read_only:
            folder.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self._environment: Any = lmdb.open(
                str(folder), map_size=_MAP, readonly=read_only, max_readers=512, readahead=False
            )

    def view(self, table: Callable[[bytes], str | None], keys: Sequence[bytes]) -> View:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors(), self._environment.begin() as transaction:
            state = bytes(transaction.get(_STATE) or b"")
            name = table(state) if keys else None
            if name is None:
                return View(state, [None] * len(keys))
            front = _front(name)
            values: list[Any] = [transaction.get(front + key) for key in keys]
            return View(state, values)

    def change_state(self, change: Callable[[bytes], bytes]) -> bytes:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors(), self._writing() as transaction:
            state = change(bytes(transaction.get(_STATE) or b""))
            transaction.put(_STATE, state)
            return state

    def write(self, table: str, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """See :class:`trackrec.store.tables.Tables`."""
        rows, front = iter(pairs), _front(table)
        while batch := list(itertools.islice(rows, _BATCH)):
            with self._errors(), self._writing() as transaction:
                for key, value in batch:
                    transaction.put(front + key, value)

    def replace(self, table: str, key: bytes, old: bytes, new: bytes) -> bool:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors(), self._writing() as transaction:
            if transaction.get(_front(table) + key) != old:
                return False
            return bool(transaction.put(_front(table) + key, new))

    def erase(self, table: str, keys: Sequence[bytes]) -> int:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors(), self._writing() as transaction:
            return sum(bool(transaction.delete(_front(table) + key)) for key in keys)

    def drop(self, table: str) -> None:
        """See :class:`trackrec.store.tables.Tables`."""
        front, more = _front(table), True
        while more:
            with self._errors(), self._writing() as transaction, transaction.cursor() as cursor:
                more = cursor.set_range(front) and cursor.key().startswith(front)
                for _ in range(_BATCH):
                    if not more or not cursor.delete():
                        break
                    more = cursor.key().startswith(front)

    def scan(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`trackrec.store.tables.Tables`."""
        front = _front(table)
        with self._errors(), self._environment.begin() as transaction, transaction.cursor() as cursor:
            there = cursor.set_range(front)
            while there and cursor.key().startswith(front):
                yield cursor.key()[len(front) :], cursor.value()
                there = cursor.next()

    def count(self, table: str) -> int:
        """See :class:`trackrec.store.tables.Tables`."""
        return sum(1 for _ in self.scan(table))

    def keys(self, table: str, prefix: bytes, most: int) -> list[bytes]:
        """See :class:`trackrec.store.tables.Tables`."""
        found: list[bytes] = []
        front = _front(table)
        with self._errors(), self._environment.begin() as transaction, transaction.cursor() as cursor:
            there = cursor.set_range(front + prefix)
            while there and len(found) < most and cursor.key().startswith(front + prefix):
                found.append(cursor.key()[len(front) :])
                there = cursor.next()
        return found

    def close(self) -> None:
        """See :class:`trackrec.store.tables.Tables`."""
        self._environment.close()

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        if self.read_only:
            raise StoreError(f"the store {self.folder} was opened for reading only: open it for writing")
        with self._environment.begin(write=True) as transaction:
            yield transaction

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except lmdb.Error as error:
            raise StoreError(
                f"the store {self.folder} cannot be read or written ({error}): is it an LMDB folder of a store, and is "
                "there room on the disk?"
            ) from error


def _front(table: str) -> bytes:
    return table.encode() + b"\0"
