"""The store: versions loaded beside each other, checked, switched, rolled back; people read, forgotten, told."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trackrec.errors import StoreError
from trackrec.store.record import Record, Stored, encode_record, key_of, read_value
from trackrec.store.tables import Tables
from trackrec.store.versions import State, Version

FORGOTTEN = "forgotten"
FEEDBACK = "feedback"
ABOUT = "about"
MONITORED = "monitored"


@dataclass(frozen=True)
class Reading:
    """What a store said at one moment, all of one version."""

    version: str | None
    """That the records are of; None: the store serves none, or not the one that was asked for."""
    found: list[Stored | None]
    """One an id, in their order."""


class Store:
    """A store on some tables.

    A version is loaded into a table of its own while the one before is served, then counted and checked, and only
    then can be switched to; a reader gets state and records in one view, so never a mix of two.

    Args:
        tables: see :class:`trackrec.store.tables.Tables`.
        clock: seconds since 1970.
    """

    def __init__(self, tables: Tables, clock: Callable[[], float] = time.time) -> None:
        self.tables, self.clock = tables, clock
        self._parsed: tuple[bytes, State] = (b"", State())

    def read(self, ids: Sequence[Any], version: str | None = None) -> Reading:
        """The records of some people.

        Args:
            ids: of the people, numbers or texts.
            version: whose; None: that which is served.

        Raises:
            StoreError: the store is down, too slow, or of another schema.
        """
        view = self.tables.view(lambda raw: self._state(raw).table(version), [key_of(one) for one in ids])
        state = self._state(view.state)  # as it was when the values were read
        name = state.current if version is None else version
        found = [None if value is None else Stored(value) for value in view.values]
        return Reading(None if state.table(version) is None else name, found)

    def state(self) -> State:
        """Versions, and which is served."""
        return self._state(self.tables.view(lambda _: None, []).state)

    def load(
        self,
        version: str,
        records: Iterable[Record],
        manifest: dict[str, Any] | None = None,
        summarise: Callable[[Iterator[Stored]], dict[str, Any]] | None = None,
        expected: int | None = None,
    ) -> Version:
        """Load a version beside those that are there, and check it; it is served only after :meth:`switch`.

        A version that was half loaded is taken away and loaded anew. People who were forgotten after their text was
        written are left out.

        Args:
            version: its name.
            records: one a person.
            manifest: what the publication says of it.
            summarise: measures the records that lie there; kept with the version.
            expected: how many records the publication counts; None: unknown.

        Raises:
            StoreError: the version is served or ready already, or what lies in the store is not what was written.
        """
        table = self._begin(version)
        forgotten = self._forgotten()
        count, total, left_out = 0, 0, 0

        def pairs() -> Iterator[tuple[bytes, bytes]]:
            nonlocal count, total, left_out
            for record in records:
                key = key_of(record.user_id)
                if forgotten.get(_hash(key), -1) >= record.written:
                    left_out += 1
                    continue
                value = encode_record(record)
                count, total = count + 1, (total + _digest(key, value)) % 2**64
                yield key, value

        self.tables.write(table, pairs())
        if expected is not None and count + left_out != expected:
            raise StoreError(
                f"version {version!r} should have {expected} records, but its shards hold {count + left_out}: the "
                "publication is not whole; it is not switched to. Write it again"
            )
        self._check(table, version, count, total)
        count, total = self._erase_forgotten(table, count, total)
        summary = {} if summarise is None else summarise(Stored(value) for _, value in self.tables.scan(table))
        ready = Version(
            table=table,
            state="ready",
            records=count,
            checksum=f"{total:016x}",
            published=int(self.clock()),
        )
        self.tables.write(
            ABOUT, [(version.encode(), json.dumps({"manifest": manifest or {}, "summary": summary}).encode())]
        )

        def finish(state: State) -> State:
            if state.versions.get(version) is None or state.versions[version].table != table:
                raise StoreError(f"version {version!r} was taken away while it was loaded: publish it again")
            return state.model_copy(update={"versions": {**state.versions, version: ready}})

        self._change(finish)
        return ready

    def check(self, version: str) -> Version:
        """Read a version whole and compare it with what was loaded, objections and forgotten people since allowed for.

        Raises:
            StoreError: a record cannot be read, or the version is not ready.
        """
        found = self.state().named(version)
        if found.state != "ready":
            raise StoreError(f"version {version!r} is {found.state}: it was not loaded whole; publish it again")
        count = 0
        for _, value in self.tables.scan(found.table):
            _ = Stored(value).record
            count += 1
        if count > found.records or count != self.tables.count(found.table):
            raise StoreError(f"version {version!r} had {found.records} records, but now {count}: publish it again")
        return found

    def switch(self, version: str) -> str | None:
        """Serve a version from now on; the name of the one before.

        Raises:
            StoreError: it is not there or not ready.
        """
        before: str | None = None

        def change(state: State) -> State:
            nonlocal before
            before = state.current
            if state.named(version).state != "ready":
                raise StoreError(
                    f"version {version!r} is still loading, or its loading was broken off: publish it again"
                )
            if state.current == version:
                return state
            return state.model_copy(update={"current": version, "previous": state.current})

        self._change(change)
        return before

    def rollback(self) -> str:
        """Serve the version before the present one again; its name.

        Raises:
            StoreError: there is none.
        """
        state = self.state()
        if state.previous is None or state.table(state.previous) is None:
            raise StoreError("the store holds no version before the one that is served: there is nothing to go back to")
        self.switch(state.previous)
        return state.previous

    def drop(self, version: str) -> None:
        """Take a version away.

        Raises:
            StoreError: it is the one that is served, or not there.
        """

        def change(state: State) -> State:
            state.named(version)
            if state.current == version:
                raise StoreError(f"version {version!r} is served: switch to another one before it is dropped")
            left = {name: one for name, one in state.versions.items() if name != version}
            previous = None if state.previous == version else state.previous
            return state.model_copy(update={"versions": left, "previous": previous})

        table = self.state().named(version).table
        self._change(change)
        self.tables.drop(table)
        self.tables.erase(ABOUT, [version.encode()])

    def about(self, version: str) -> dict[str, Any]:
        """``manifest``: what the publication says of a version. ``summary``: what was measured when it was loaded."""
        value = self.tables.view(lambda _: ABOUT, [version.encode()]).values[0]
        told: dict[str, Any] = {"manifest": {}, "summary": {}} if value is None else read_value(value)
        return told

    def replace(self, version: str, before: Stored, after: Record) -> bool:
        """Put a person's record anew into a version, unless it was changed or forgotten meanwhile; whether it was."""
        table = self.state().named(version).table
        return self.tables.replace(table, key_of(after.user_id), before.value, encode_record(after))

    def forget(self, user_id: Any) -> int:
        """Take a person out of every version and out of the feedback; how many entries were there.

        That it was asked for, and when, is kept under a hash of the id, so that no older text comes back with a later
        version. A text that is written afterwards, from what the person does then, is accepted again.
        """
        key = key_of(user_id)
        self.tables.write(FORGOTTEN, [(_hash(key), str(int(self.clock())).encode())])
        tables = [one.table for one in self.state().versions.values()]
        return sum(self.tables.erase(table, [key]) for table in [*tables, FEEDBACK])

    def held(self, user_id: Any) -> dict[str, Any]:
        """All that is held about a person, for JSON: the record of every version, and the feedback."""
        state = self.state()
        versions = {name: self.read([user_id], name).found[0] for name in state.versions}
        return {
            "user_id": user_id,
            "served": state.current,
            "versions": {name: found.record.as_tree() for name, found in versions.items() if found is not None},
            "feedback": self.feedback(user_id),
        }

    def feedback(self, user_id: Any) -> list[dict[str, Any]]:
        """What a person objected to or added, oldest first."""
        value = self.tables.view(lambda _: FEEDBACK, [key_of(user_id)]).values[0]
        told: list[dict[str, Any]] = [] if value is None else read_value(value)
        return told

    def add_feedback(self, user_id: Any, entry: dict[str, Any]) -> None:
        """Keep one more objection or addition of a person."""
        key = key_of(user_id)
        while True:
            old = self.tables.view(lambda _: FEEDBACK, [key]).values[0]
            if old is None:
                self.tables.write(FEEDBACK, [(key, json.dumps([entry]).encode())])
                return
            if self.tables.replace(FEEDBACK, key, old, json.dumps([*read_value(old), entry]).encode()):
                return

    def keep_monitored(self, told: dict[str, Any]) -> None:
        """Keep what ``trackrec monitor`` found, for the overview and the metrics."""
        self.tables.write(MONITORED, [(b"last", json.dumps(told).encode())])

    def monitored(self) -> dict[str, Any] | None:
        """What ``trackrec monitor`` found last; None: it never ran on this store."""
        value = self.tables.view(lambda _: MONITORED, [b"last"]).values[0]
        told: dict[str, Any] | None = None if value is None else read_value(value)
        return told

    def some_ids(self, prefix: str, most: int) -> list[str]:
        """Ids of people in the version that is served which begin so."""
        table = self.state().table()
        if table is None:
            return []
        found = self.tables.keys(table, prefix.encode("utf-8", "surrogatepass"), most)
        return [key.decode("utf-8", "replace") for key in found if not key.startswith(b"\xff")]

    def close(self) -> None:
        """Let go of files and connections."""
        self.tables.close()

    def _begin(self, version: str) -> str:
        stale: str | None = None
        table = ""

        def change(state: State) -> State:
            nonlocal stale, table
            old = state.versions.get(version)
            if old is not None and old.state == "ready":
                raise StoreError(f"the store holds version {version!r} already: switch to it, or drop it first")
            stale = None if old is None else old.table
            table = f"v{state.serial + 1}"
            new = Version(table=table, state="loading")
            return state.model_copy(update={"serial": state.serial + 1, "versions": {**state.versions, version: new}})

        self._change(change)
        if stale is not None:
            self.tables.drop(stale)
        return table

    def _check(self, table: str, version: str, count: int, total: int) -> None:
        there, found = 0, 0
        for key, value in self.tables.scan(table):
            there, found = there + 1, (found + _digest(key, value)) % 2**64
        if (there, found) != (count, total):
            raise StoreError(
                f"version {version!r} was written with {count} records, but the store holds {there} (checksum "
                f"{found:016x} instead of {total:016x}): it is not switched to. Was a person in it twice, or did "
                "another process write into it?"
            )

    def _erase_forgotten(self, table: str, count: int, total: int) -> tuple[int, int]:
        """Take out who was forgotten while the version was loaded."""
        forgotten = self._forgotten()
        if not forgotten:
            return count, total
        gone = [
            (key, value)
            for key, value in self.tables.scan(table)
            if forgotten.get(_hash(key), -1) >= Stored(value).body["written"]
        ]
        for key, value in gone:
            total = (total - _digest(key, value)) % 2**64
        self.tables.erase(table, [key for key, _ in gone])
        return count - len(gone), total

    def _forgotten(self) -> dict[bytes, int]:
        return {key: int(value) for key, value in self.tables.scan(FORGOTTEN)}

    def _state(self, raw: bytes) -> State:
        known, state = self._parsed
        if raw != known:
            state = State.parse(raw)
            self._parsed = (raw, state)
        return state

    def _change(self, change: Callable[[State], State]) -> None:
        self.tables.change_state(lambda raw: change(self._state(raw)).dump())


def _hash(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=32, person=b"trackrec-forget").digest()


def _digest(key: bytes, value: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(len(key).to_bytes(4, "little") + key + value, digest_size=8).digest())
