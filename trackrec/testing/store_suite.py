"""What every store must do. Subclass :class:`StoreSuite`, say how yours is opened, and run it with pytest.

>>> class TestMine(StoreSuite):  # doctest: +SKIP
...     def open_tables(self, tmp_path):
...         return MyTables(tmp_path)
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trackrec.errors import StoreError
from trackrec.store.record import Event, Record, Sentence
from trackrec.store.store import Store
from trackrec.store.tables import Tables

ODD_IDS = (7, "a/b?c#d", "🎬 ünïcode", "x" * 10_000, "<script>alert(1)</script>", "a\x00b", " spaces ", "%2F..")
"""Ids that have broken stores before: slashes, emoji, ten thousand characters, a zero byte, escapes."""


def made_record(user_id: Any, version: str = "one", written: int = 1_000, number: float = 0.5) -> Record:
    """A small record; ``number`` fills its vectors and is told in its text."""
    return Record(
        user_id=user_id,
        text=f"They like {version} [1, 2].",
        sentences=(Sentence(f"They like {version} [1, 2].", "supported", "liked", (1, 2)),),
        vector=np.full(6, number, dtype=np.float32),
        raw_vector=np.full(384, number, dtype=np.float32),
        history=(Event(1, 10, 5.0, 100), Event(2, "b", None, None)),
        events=2,
        last_event=100,
        written=written,
        expires=None,
        version=version,
    )


class StoreSuite(ABC):
    """The tests."""

    @abstractmethod
    def open_tables(self, tmp_path: Path) -> Tables:
        """The tables, empty at the test's first call; at a second call with the same path those of before."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        """An empty store whose clock stands at 2,000 s."""
        store = Store(self.open_tables(tmp_path), clock=lambda: 2_000.0)
        yield store
        store.close()

    def test_an_empty_store_serves_nothing(self, store: Store) -> None:
        """It has no version, and everybody is unknown."""
        reading = store.read([1, "a"])
        assert reading.version is None
        assert reading.found == [None, None]
        assert store.state().versions == {}
        with pytest.raises(StoreError, match="nothing to go back to"):
            store.rollback()

    def test_what_was_published_comes_back_to_the_bit(self, store: Store) -> None:
        """Also for ids with slashes, emoji and ten thousand characters."""
        records = [made_record(user, number=place / 7) for place, user in enumerate(ODD_IDS)]
        assert store.load("one", records, {"run": "r"}).records == len(ODD_IDS)
        assert store.read(ODD_IDS).found == [None] * len(ODD_IDS), "loaded is not yet served"
        store.switch("one")
        found = store.read(ODD_IDS).found
        for record, got in zip(records, found, strict=True):
            assert got is not None
            back = got.record
            assert back.vector is not None
            assert record.vector is not None
            assert back.vector.tobytes() == record.vector.tobytes()
            assert back.raw_vector is not None
            assert len(back.raw_vector) == 384
            assert back.as_tree() == record.as_tree()
        assert store.read(["7"]).found[0] is not None, "an id in a path is text"
        assert store.about("one") == {"manifest": {"run": "r"}, "summary": {}}

    def test_a_missing_vector_stays_missing(self, store: Store) -> None:
        """It does not become zeros."""
        store.load("one", [replace(made_record(1), vector=None, raw_vector=None)])
        store.switch("one")
        found = store.read([1]).found[0]
        assert found is not None
        assert found.vector is None
        assert found.raw_vector is None
        assert found.record.vector is None

    def test_versions_are_switched_rolled_back_and_dropped(self, store: Store) -> None:
        """Blue and green, and an unknown name is refused."""
        for name in ("one", "two"):
            store.load(name, [made_record(1, name), made_record(2, name)])
            store.switch(name)
        assert self._version_of(store, 1) == "two"
        assert store.rollback() == "one"
        assert self._version_of(store, 1) == "one"
        assert store.rollback() == "two", "back and forth"
        with pytest.raises(StoreError, match="is served"):
            store.drop("two")
        assert self._version_of(store, 1, "one") == "one", "side by side"
        store.drop("one")
        assert store.read([1], "one").version is None
        with pytest.raises(StoreError, match="no version 'one'"):
            store.switch("one")

    def test_a_version_that_is_not_whole_is_never_served(self, store: Store) -> None:
        """Broken off, too few, a person twice: the one before stays; the next try begins anew."""
        store.load("one", [made_record(1)])
        store.switch("one")

        def breaks_off() -> Iterator[Record]:
            yield made_record(1, "two")
            raise OSError("the disk went away")

        with pytest.raises(OSError, match="went away"):
            store.load("two", breaks_off())
        with pytest.raises(StoreError, match="still loading"):
            store.switch("two")
        assert store.read([1], "two").found == [None]
        with pytest.raises(StoreError, match="should have 3 records, but its shards hold 1"):
            store.load("two", [made_record(1, "two")], expected=3)
        with pytest.raises(StoreError, match="in it twice"):
            store.load("two", [made_record(1, "two"), made_record(1, "two", number=1.0)])
        assert self._version_of(store, 1) == "one"
        assert store.load("two", [made_record(1, "two")]).records == 1
        with pytest.raises(StoreError, match="already"):
            store.load("two", [made_record(1, "two")])

    def test_a_reader_never_sees_a_mix(self, store: Store) -> None:
        """While versions are switched to and fro, every answer is of one version."""
        people = list(range(50))
        for name in ("one", "two"):
            store.load(name, [made_record(person, name) for person in people])
        store.switch("one")
        stop = threading.Event()

        def switching() -> None:
            while not stop.is_set():
                store.switch("two")
                store.switch("one")

        thread = threading.Thread(target=switching)
        thread.start()
        seen = set()
        try:
            for _ in range(300):
                reading = store.read(people)
                told = {found.record.version for found in reading.found if found is not None}
                assert told == {reading.version}
                seen |= told
        finally:
            stop.set()
            thread.join()
        assert seen == {"one", "two"}, "the versions were not switched while they were read"

    def test_a_forgotten_person_is_gone_everywhere(self, store: Store) -> None:
        """From every version and the feedback, and no older text brings the person back; a newer one may."""
        store.load("one", [made_record(1), made_record(2)])
        store.load("two", [made_record(1, "two"), made_record(2, "two")])
        store.switch("two")
        store.add_feedback(1, {"kind": "wrong"})
        assert store.forget(1) == 3
        assert store.read([1, 2]).found[0] is None
        assert store.held(1)["versions"] == {}
        assert store.held(1)["feedback"] == []
        assert store.held("2")["versions"].keys() == {"one", "two"}
        assert store.load("three", [made_record(1, "three"), made_record(2, "three")]).records == 1
        assert store.load("four", [made_record(1, "four", written=2_001)]).records == 1

    def test_a_person_forgotten_while_a_version_is_loaded(self, store: Store) -> None:
        """The version comes without the person."""

        def rows() -> Iterator[Record]:
            yield made_record(1, "two")
            store.forget(1)
            yield made_record(2, "two")

        assert store.load("two", rows()).records == 1
        store.switch("two")
        assert store.read([1, 2]).found[0] is None
        assert store.check("two").records == 1

    def test_feedback_is_kept_in_order(self, store: Store) -> None:
        """Of each person, and apart from others'."""
        for number in range(3):
            store.add_feedback("a", {"number": number})
        store.add_feedback("b", {"number": 9})
        assert [entry["number"] for entry in store.feedback("a")] == [0, 1, 2]
        assert store.feedback("c") == []

    def test_a_record_is_replaced_only_if_nobody_changed_it(self, store: Store) -> None:
        """An objection does not bring a person back who was forgotten a moment ago."""
        store.load("one", [made_record(1)])
        store.switch("one")
        before = store.read([1]).found[0]
        assert before is not None
        changed = replace(made_record(1), text="They like something else.")
        assert store.replace("one", before, changed)
        assert not store.replace("one", before, made_record(1)), "the old one is no longer there"
        now = store.read([1]).found[0]
        assert now is not None
        assert now.record.text == "They like something else."
        store.forget(1)
        assert not store.replace("one", now, changed)
        assert store.read([1]).found == [None]

    def test_many_ids_at_once(self, store: Store) -> None:
        """More than one statement or script takes, known and unknown ones mixed, in their order."""
        store.load("one", [made_record(person) for person in range(3_000)])
        store.switch("one")
        asked = list(range(2_900, 12_000))
        found = store.read(asked).found
        assert [place for place, one in zip(asked, found, strict=True) if one is not None] == list(range(2_900, 3_000))

    def test_ids_by_their_beginning(self, store: Store) -> None:
        """For the search of the page."""
        store.load("one", [made_record(person) for person in ("ann", "anna", "bob")])
        assert store.some_ids("an", 5) == []
        store.switch("one")
        assert store.some_ids("an", 5) == ["ann", "anna"]
        assert len(store.some_ids("", 2)) == 2

    def test_another_schema_is_refused(self, store: Store) -> None:
        """With what was found and what was expected."""
        store.tables.change_state(lambda _: b'{"trackrec_store": 99}')
        with pytest.raises(StoreError, match="schema 99, but this TrackRec reads schema 1"):
            store.read([1])
        store.tables.change_state(lambda _: b"\x80not JSON")
        with pytest.raises(StoreError, match="schema None"):
            store.state()

    def test_it_is_there_after_it_was_closed(self, store: Store, tmp_path: Path) -> None:
        """Versions and what is served."""
        store.load("one", [made_record(1)])
        store.switch("one")
        store.close()
        again = Store(self.open_tables(tmp_path))
        assert self._version_of(again, 1) == "one"
        again.close()

    @staticmethod
    def _version_of(store: Store, user_id: Any, version: str | None = None) -> str:
        found = store.read([user_id], version).found[0]
        assert found is not None
        return found.record.version
