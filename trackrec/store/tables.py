"""What a store is built on: named tables of bytes, one document of state, both read in one view."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol


class View(NamedTuple):
    """What was read at one moment."""

    state: bytes
    """The document of state; empty before it was first written."""
    values: list[bytes | None]
    """One a key, None where the table has no such key (or there is no such table)."""


class Tables(Protocol):
    """Named tables of key -> value, and a document of state. Each method is atomic; every one may be called from any
    thread. Names of tables are letters and digits."""

    read_only: bool
    """No method that writes works."""
    embedded: bool
    """A read takes microseconds and waits for no network, so that it may be done in the event loop."""
    seconds: float
    """How long a read may take before it is given up as StoreError."""

    def view(self, table: Callable[[bytes], str | None], keys: Sequence[bytes]) -> View:
        """State and values as of one moment.

        Args:
            table: state -> name of the table to read from; None: no table.
            keys: of the table.
        """

    def change_state(self, change: Callable[[bytes], bytes]) -> bytes:
        """Replace the state by what ``change`` makes of it, with nobody else's change in between; the new one."""

    def write(self, table: str, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Put pairs into a table, which is made if it is missing; an old value of a key is replaced."""

    def replace(self, table: str, key: bytes, old: bytes, new: bytes) -> bool:
        """Put a value in the place of another one, unless that is no longer there; whether it was done."""

    def erase(self, table: str, keys: Sequence[bytes]) -> int:
        """Take keys out of a table; how many were there."""

    def drop(self, table: str) -> None:
        """Take a table away."""

    def scan(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """All pairs of a table, in no promised order; empty if there is no such table."""

    def count(self, table: str) -> int:
        """How many keys a table has."""

    def keys(self, table: str, prefix: bytes, most: int) -> list[bytes]:
        """Some keys that begin so, at most so many."""

    def close(self) -> None:
        """Let go of files and connections."""
