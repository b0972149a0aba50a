"""The service when its store is down, slow, empty, half-loaded or of another schema."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path

import httpx
import pytest

from tests.made_service import made_service, read_problem
from tests.redis_server import redis_server
from tests.running import running
from trackrec.serving.app import build_app
from trackrec.serving.service import Service
from trackrec.serving.settings import ServiceSettings
from trackrec.store.opening import open_store
from trackrec.testing.store_suite import made_record


def test_an_empty_and_a_half_loaded_store_are_not_ready(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store.sqlite"))
    with running(build_app(Service(store))) as address, httpx.Client(base_url=address) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        assert client.get("/v1/users/1").status_code == 503
        assert client.get("/metrics").status_code == 200

        def breaks_off():  # type: ignore[no-untyped-def]
            yield made_record(1)
            raise OSError("gone")

        with pytest.raises(OSError, match="gone"):
            store.load("one", breaks_off())
        assert client.get("/readyz").status_code == 503
        assert client.get("/v1/users/1?version=one").status_code == 404
        told = client.post("/v1/vectors", json={"ids": [1]}).json()
        assert (told["version"], told["vectors"][0]["status"]) == (None, "unknown")
        store.load("one", [made_record(1)])
        store.switch("one")
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/users/1").status_code == 200


def test_a_store_of_another_schema_is_unavailable_and_says_nothing_of_the_machine(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store.sqlite"))
    store.tables.change_state(lambda _: b'{"trackrec_store": 99}')
    with running(build_app(Service(store))) as address, httpx.Client(base_url=address) as client:
        for path in ("/readyz", "/v1/users/1", "/metrics", "/v1/overview"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert str(tmp_path) not in read_problem(answer)["detail"]


def test_a_slow_or_dead_redis_is_503_in_time_and_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    with redis_server(tmp_path) as (url, process):
        store = open_store(url, seconds=0.5)
        store.load("one", [made_record(1)])
        store.switch("one")
        service = Service(store, ServiceSettings(seconds=0.4))
        with running(build_app(service)) as address, httpx.Client(base_url=address, timeout=30) as client:
            assert client.get("/v1/users/1").status_code == 200
            os.kill(process.pid, signal.SIGSTOP)
            started = time.monotonic()
            answer = client.get("/v1/users/1")
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert time.monotonic() - started < 3
            assert client.get("/healthz").status_code == 200
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.2)
            assert client.get("/v1/users/1").status_code == 200
            process.kill()
            process.wait()
            assert client.get("/v1/users/1").status_code == 503


def test_a_file_that_somebody_else_holds_is_read_but_not_written(tmp_path: Path) -> None:
    service = made_service(tmp_path, ranker=False, seconds=0.3)
    store = open_store(str(tmp_path / "store.sqlite"), seconds=0.3)
    service.store = store
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    with running(build_app(service)) as address, httpx.Client(base_url=address, timeout=30) as client:
        other.execute("BEGIN IMMEDIATE")
        said = {"kind": "add", "sentence": "I like opera."}
        started = time.monotonic()
        refused = client.post("/v1/users/7/objections", json=said)
        assert refused.status_code == 503
        assert str(tmp_path) not in read_problem(refused)["detail"]
        assert time.monotonic() - started < 5
        assert client.get("/v1/users/7").json()["objections"] == 0
        other.execute("ROLLBACK")
        assert client.post("/v1/users/7/objections", json=said).json()["user"]["objections"] == 1
    other.close()
