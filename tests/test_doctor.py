"""What `trackrec doctor` says of a machine and of an endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest
from command_line import call

from trackrec import doctor


@contextmanager
def models_endpoint(status: int, body: bytes) -> Iterator[tuple[str, list[str | None]]]:
    """A server that answers `GET /v1/models`; its address, and the keys that arrived."""
    keys: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers.get("Authorization"))
            self.send_response(status if self.path == "/v1/models" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", keys
    finally:
        server.shutdown()
        server.server_close()


def last(found: list[doctor.Finding]) -> doctor.Finding:
    assert found[-1].part == "endpoint"
    return found[-1]


def test_this_environment_has_what_is_needed() -> None:
    found = doctor.examine()
    assert next(one for one in found if one.part == "packages").state == "ok"
    assert not [one for one in found if one.part == "endpoint"]
    assert {one.name for one in found if one.part == "machine"} >= {"trackrec", "Python", "processors", "memory"}


def test_what_an_extra_lacks_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["numpy>=2", 'not-there>=1; extra == "lake"', 'numpy>=999; extra == "sql"', 'numpy>=1; extra == "serve"']
    monkeypatch.setattr(doctor, "requires", lambda name: lines)
    extras = {one.name: one for one in doctor.examine() if one.part == "extras"}
    assert {name: one.state for name, one in extras.items()} == {"lake": "absent", "sql": "absent", "serve": "ok"}
    assert extras["lake"].says == "not-there is not installed: pip install 'trackrec[lake]'"
    assert extras["sql"].says.startswith(f"numpy is {metadata.version('numpy')}, expected >=999")


def test_a_needed_package_that_is_missing_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "requires", lambda name: ["not-there>=1", 'gone; sys_platform == "never"'])
    assert call(monkeypatch, "doctor", "--json") == 1
    wrong = [one for one in json.loads(capsys.readouterr().out) if one["state"] == "wrong"]
    assert [(one["part"], one["says"]) for one in wrong] == [("packages", "not-there is not installed")]


def test_an_endpoint_tells_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "sk-123456")
    with models_endpoint(200, b'{"data": [{"id": "qwen"}, {"id": "llama"}]}') as (base_url, keys):
        assert last(doctor.examine(base_url)) == doctor.Finding(
            "endpoint", base_url, "ok", "answers, with the models qwen, llama"
        )
        assert last(doctor.examine(base_url, "SHOP_KEY")).state == "ok"
    assert keys == [None, "Bearer sk-123456"]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"no key sk-123456", "answers HTTP 401: no key [key]"),
        (302, b"", "answers HTTP 302: "),
        (200, b"<html>hello", "is no list of them: <html>hello"),
        (200, b'{"data": [1]}', "is no list of them"),
        (200, b"[]", "is no list of them"),
        (200, b" " * (5 << 20), "longer than 4,194,304 bytes"),
    ],
)
def test_a_bad_answer_is_wrong_and_the_key_is_in_no_word(
    status: int, body: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", "sk-123456")
    with models_endpoint(status, body) as (base_url, _):
        found = last(doctor.examine(base_url, "SHOP_KEY"))
    assert found.state == "wrong"
    assert said in found.says
    assert "sk-123456" not in found.says


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9/v1", "ftp://127.0.0.1/v1", "no address"])
def test_no_answer_is_wrong(base_url: str) -> None:
    found = last(doctor.examine(base_url, seconds=2))
    assert found.state == "wrong"
    assert "does not answer" in found.says


def test_a_variable_without_a_key_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_KEY", raising=False)
    assert last(doctor.examine("http://127.0.0.1:9/v1", "SHOP_KEY")).says == (
        "the environment variable SHOP_KEY is empty"
    )


def test_a_cache_that_does_not_exist_yet_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKREC_CACHE", str(tmp_path / "new" / "cache"))
    assets = {one.name: one for one in doctor.examine() if one.part == "assets"}
    assert assets.pop("cache").state == "ok"
    assert {one.state for one in assets.values()} == {"absent"}
    assert not (tmp_path / "new").exists()
