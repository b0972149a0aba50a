"""What goes wrong in the service itself is told in words, and nobody's id gets into its log."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.made_service import read_problem
from tests.running import running
from trackrec.serving.app import build_app
from trackrec.serving.service import Service
from trackrec.serving.settings import ServiceSettings


class Broken:
    """A store with a fault in it."""

    tables = SimpleNamespace(embedded=True, read_only=True, seconds=1.0)

    def read(self, ids: list[str], version: str | None = None) -> Any:
        raise RuntimeError(f"a fault with {ids}")


@pytest.mark.parametrize("log_ids", [False, True])
def test_a_fault_is_told_in_words_and_its_log_says_where(log_ids: bool, caplog: pytest.LogCaptureFixture) -> None:
    broken: Any = Broken()
    service = Service(broken, ServiceSettings(log_ids=log_ids))
    with running(build_app(service)) as address, httpx.Client(base_url=address, timeout=30) as client:
        # The first is answered in front of FastAPI, the second behind it.
        for answer in (client.get("/v1/users/zabriskie"), client.post("/v1/vectors", json={"ids": ["zabriskie"]})):
            assert answer.status_code == 500
            assert read_problem(answer)["detail"] == "the service has a fault; its log says where"
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.get("/healthz").status_code == 200
        text = client.get("/v1/users/zabriskie", headers={"Origin": "http://evil.example"})
        assert text.status_code == 403, "the service goes on, with its guard"
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    told = "\n".join(record.getMessage() + str(record.exc_text) for record in records)
    assert told.count("RuntimeError in ") == 2
    assert "read (test_service_faults.py:" in told
    assert ("zabriskie" in told) == log_ids


def test_behind_a_proxy_the_rate_is_that_of_each_client() -> None:
    """A proxy on this machine names them; whoever asks from elsewhere is not believed (uvicorn's rule)."""
    broken: Any = Broken()
    service = Service(broken, ServiceSettings(rate=2.0))
    with running(build_app(service)) as address, httpx.Client(base_url=address, timeout=30) as client:

        def ask(person: str, times: int) -> list[int]:
            return [client.get("/healthz", headers={"X-Forwarded-For": person}).status_code for _ in range(times)]

        assert 429 in ask("203.0.113.1", 40)
        assert ask("203.0.113.2", 1) == [200]
