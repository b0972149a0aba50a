"""Tables in one SQLite file with a write-ahead log: readers are never held up by the one who writes."""

from __future__ import annotations

import itertools
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from trackrec.errors import StoreError
from trackrec.store.tables import View

_BATCH = 2_000
_MOST_KEYS = 500
"""Keys of one statement: SQLite takes at least 999 parameters."""
_NAME = re.compile(r"[A-Za-z0-9]+")


class SqliteTables:
    """See :class:`trackrec.store.tables.Tables`.

    Args:
        path: of the file; made if it is missing, unless it is opened for reading.
        read_only: nothing is written through this object.
        seconds: how long to wait for another writer.
    """

    embedded = True

    def __init__(self, path: Path, read_only: bool = False, seconds: float = 5.0) -> None:
        if read_only and not path.is_file():
            raise StoreError(f"there is no store {path}: publish into it first (trackrec publish ... --to {path})")
        self.path, self.read_only, self.seconds = path, read_only, seconds
        self._guess: tuple[bytes, str, str] | None = None
        """The last state, its table, and one statement that reads a key of it together with the state."""
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._errors():
                self._connection().execute("CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY, value BLOB)")

    def view(self, table: Callable[[bytes], str | None], keys: Sequence[bytes]) -> View:
        """See :class:`trackrec.store.tables.Tables`."""
        guess = self._guess
        if len(keys) == 1 and guess is not None:
            # One statement sees one moment, and four take twice as long: so guess the table by the last state. If it
            # was dropped, or the store cannot be read, the long way below says so.
            try:
                state, value = self._connection().execute(guess[2], (keys[0],)).fetchone()
            except sqlite3.Error:
                self._guess = None
            else:
                if state == guess[0] and table(state) == guess[1]:
                    return View(state, [value])
        with self._errors():
            connection = self._connection()
            connection.execute("BEGIN")  # a read transaction: one moment for all of its statements
            try:
                row = connection.execute("SELECT value FROM state").fetchone()
                state = b"" if row is None else bytes(row[0])
                name = table(state) if keys else None
                if name is None:
                    return View(state, [None] * len(keys))
                sql = f"SELECT (SELECT value FROM state), (SELECT value FROM {_checked(name)} WHERE key = ?)"
                self._guess = (state, name, sql)
                return View(state, _values(connection, name, keys))
            finally:
                connection.execute("COMMIT")

    def change_state(self, change: Callable[[bytes], bytes]) -> bytes:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._writing() as connection:
            row = connection.execute("SELECT value FROM state").fetchone()
            state = change(b"" if row is None else bytes(row[0]))
            connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (state,))
            return state

    def write(self, table: str, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """See :class:`trackrec.store.tables.Tables`."""
        rows = iter(pairs)
        name = _checked(table)
        with self._writing() as connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {name} (key BLOB PRIMARY KEY, value BLOB NOT NULL)")
        while batch := list(itertools.islice(rows, _BATCH)):
            with self._writing() as connection:
                connection.executemany(f"INSERT OR REPLACE INTO {name} VALUES (?, ?)", batch)

    def replace(self, table: str, key: bytes, old: bytes, new: bytes) -> bool:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._writing() as connection:
            if not _there(connection, table):
                return False
            found = connection.execute(
                f"UPDATE {_checked(table)} SET value = ? WHERE key = ? AND value = ?", (new, key, old)
            )
            return found.rowcount == 1

    def erase(self, table: str, keys: Sequence[bytes]) -> int:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._writing() as connection:
            if not _there(connection, table):
                return 0
            connection.execute("PRAGMA secure_delete = ON")  # the bytes too, not only the way to them
            gone = 0
            for key in keys:
                gone += connection.execute(f"DELETE FROM {_checked(table)} WHERE key = ?", (key,)).rowcount
        if gone:
            with self._errors():  # the log beside the file still holds the old page until it is taken over
                self._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def drop(self, table: str) -> None:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._writing() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {_checked(table)}")

    def scan(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors(), closing(self._new()) as connection:
            if _there(connection, table):
                for key, value in connection.execute(f"SELECT key, value FROM {_checked(table)}"):
                    yield bytes(key), bytes(value)

    def count(self, table: str) -> int:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors():
            connection = self._connection()
            if not _there(connection, table):
                return 0
            return int(connection.execute(f"SELECT COUNT(*) FROM {_checked(table)}").fetchone()[0])

    def keys(self, table: str, prefix: bytes, most: int) -> list[bytes]:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors():
            connection = self._connection()
            if not _there(connection, table):
                return []
            sql = f"SELECT key FROM {_checked(table)} WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
            return [bytes(key) for (key,) in connection.execute(sql, (prefix, prefix + b"\xff" * 8, most))]

    def close(self) -> None:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
            self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        """This thread's own."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._new()
            with self._lock:
                self._opened.append(connection)
            self._local.connection = connection
        return connection

    def _new(self) -> sqlite3.Connection:
        path = self.path.absolute()
        if self.read_only:
            connection = sqlite3.connect(
                f"{path.as_uri()}?mode=ro",
                uri=True,
                timeout=self.seconds,
                isolation_level=None,
                check_same_thread=False,
            )
        else:
            connection = sqlite3.connect(path, timeout=self.seconds, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA mmap_size = 4294967296")
        return connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        if self.read_only:
            raise StoreError(f"the store {self.path} was opened for reading only: open it for writing")
        with self._errors():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                f"the store {self.path} cannot be read or written ({error}): is it a SQLite file of a store, is there "
                "room on the disk, does another process hold it?"
            ) from error


def _values(connection: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
    try:
        if len(keys) == 1:
            row = connection.execute(f"SELECT value FROM {table} WHERE key = ?", (keys[0],)).fetchone()
            return [None if row is None else row[0]]
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), _MOST_KEYS):
            part = keys[start : start + _MOST_KEYS]
            marks = ",".join("?" * len(part))
            found.update(connection.execute(f"SELECT key, value FROM {table} WHERE key IN ({marks})", part))
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return [None] * len(keys)
        raise
    return [found.get(key) for key in keys]


def _there(connection: sqlite3.Connection, table: str) -> bool:
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(sql, (table,)).fetchone() is not None


def _checked(table: str) -> str:
    """A name that may stand in a statement."""
    if not _NAME.fullmatch(table):
        raise StoreError(f"a table of a store is called {table!r}, but such names are letters and digits")
    return table
