"""Every store passes the one suite; what only one of them can get wrong is below."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.redis_server import redis_server
from trackrec.errors import StoreError
from trackrec.store.opening import open_store
from trackrec.store.record import Event, Sentence, Stored, encode_record, key_of
from trackrec.store.sqlite_tables import SqliteTables
from trackrec.store.tables import Tables
from trackrec.testing.store_suite import StoreSuite, made_record


class TestSqlite(StoreSuite):
    def open_tables(self, tmp_path: Path) -> Tables:
        return SqliteTables(tmp_path / "store.sqlite")


class TestLmdb(StoreSuite):
    def open_tables(self, tmp_path: Path) -> Tables:
        pytest.importorskip("lmdb")
        from trackrec.store.lmdb_tables import LmdbTables

        return LmdbTables(tmp_path / "store")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("redis")
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


class TestRedis(StoreSuite):
    url = ""

    @pytest.fixture(autouse=True)
    def emptied(self, redis_url: str) -> None:
        import redis

        self.url = redis_url
        redis.Redis.from_url(redis_url).flushall()

    def open_tables(self, tmp_path: Path) -> Tables:
        from trackrec.store.redis_tables import RedisTables

        return RedisTables(self.url)


@pytest.mark.parametrize("kind", ["sqlite", "lmdb"])
def test_a_read_only_store_reads_and_refuses_to_write(kind: str, tmp_path: Path) -> None:
    place = f"{kind}:{tmp_path / 'store'}"
    with pytest.raises(StoreError, match="there is no store"):
        open_store(place, read_only=True)
    writer = open_store(place)
    writer.load("one", [made_record(1)])
    writer.switch("one")
    writer.close()
    reader = open_store(place, read_only=True)
    assert reader.read([1]).found[0] is not None
    with pytest.raises(StoreError, match="for reading only"):
        reader.forget(1)
    reader.close()


def test_a_forgotten_text_is_not_left_in_the_file(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store.sqlite"))
    secret = made_record(1, "Zabriskie")
    store.load("one", [secret, *(made_record(other) for other in range(2, 50))])
    assert any(b"Zabriskie" in path.read_bytes() for path in tmp_path.iterdir())
    store.forget(1)
    store.close()
    assert [path.name for path in tmp_path.iterdir() if b"Zabriskie" in path.read_bytes()] == []


def test_a_file_that_is_no_store_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, and long enough to be taken for one" * 20)
    with pytest.raises(StoreError, match="is it a SQLite file of a store"):
        open_store(str(tmp_path / "notes.txt"))
    with pytest.raises(StoreError, match="no store is known at ftp"):
        open_store("ftp://somewhere/store")


def test_a_redis_that_hangs_or_dies_is_given_up_in_time(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    with redis_server(tmp_path) as (url, process):
        store = open_store(url, seconds=0.3)
        store.load("one", [made_record(1)])
        store.switch("one")
        os.kill(process.pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(StoreError, match=r"does not answer as it should within 0\.3 s"):
            store.read([1])
        assert time.monotonic() - started < 2
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.1)
        assert store.read([1]).found[0] is not None, "it comes back by itself"
        process.kill()
        process.wait()
        with pytest.raises(StoreError, match="does not answer"):
            store.read([1])


def test_a_record_that_was_cut_or_is_of_another_kind_is_refused(tmp_path: Path) -> None:
    whole = encode_record(made_record(1))
    with pytest.raises(StoreError, match="cut off"):
        _ = Stored(whole[:-3]).body
    with pytest.raises(StoreError, match="another version of TrackRec"):
        _ = Stored(b"XXXX" + whole[4:]).vector
    with pytest.raises(StoreError, match="another version of TrackRec"):
        _ = Stored(b"").vector


def test_long_ids_have_keys_of_their_own() -> None:
    keys = {key_of("x" * size) for size in (399, 400, 401, 5_000, 10_000)}
    assert len(keys) == 5
    assert max(map(len, keys)) <= 400
    assert key_of(5) == key_of("5")


def test_age_and_expiry_with_a_clock_that_was_set_back() -> None:
    from dataclasses import replace

    record = replace(made_record(1, written=1_000), expires=2_000)
    assert record.age(1_500) == 500
    assert record.age(10) == 0
    assert not record.expired(1_999)
    assert record.expired(2_000)
    assert not record.expired(10)
    assert replace(record, expires=900).expired(10), "it was too old when it was written"
    for one in (record, replace(record, expires=900), replace(record, text='"expires":null')):
        for now in (10, 1_999, 2_000):
            assert Stored(encode_record(one)).expired(now) == one.expired(now)
    assert not Stored(encode_record(replace(record, expires=None))).expired(1e12)


def test_a_store_without_sqlite_state_is_read_as_empty(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "store.sqlite").close()
    store = open_store(str(tmp_path / "store.sqlite"))
    assert store.state().versions == {}


ODD = '],"events":[1],"history":[ \\" ,"history":[], '
"""What would be found in a record if strings were not escaped in it."""


@pytest.mark.parametrize("history", [(), (Event(1, ODD, 2.5, None),), (Event(1, 5, None, 9), Event(2, ODD, 1.0, 10))])
def test_a_history_is_passed_on_as_it_lies(history: tuple[Event, ...]) -> None:
    record = replace(made_record(1), user_id=ODD, text=ODD, sentences=(Sentence(ODD, ODD, ODD, (1, 2)),))
    stored = Stored(encode_record(replace(record, history=history)))
    told, lies = stored.told()
    assert json.loads(lies) == stored.body["history"]
    assert told == {**stored.body, "history": []}
    assert stored.has_vector == (stored.raw_vector is not None)
