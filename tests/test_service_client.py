"""The Python client says what the service says."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.made_publication import made_row
from tests.made_service import USERS, made_service
from tests.redis_server import free_port
from tests.running import running
from trackrec.serving.app import build_app
from trackrec.serving.client import Client, ServiceError

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    rows = [made_row(user) for user in range(1, USERS + 1)] + [made_row("a/b ü..")]
    rows = [row | {"user_id": str(row["user_id"])} for row in rows]
    with running(build_app(made_service(tmp_path_factory.mktemp("client"), rows), token="t")) as address:
        client = Client(address, token="t")
        yield client
        client.close()


def test_its_answers_are_typed(client: Client) -> None:
    assert client.user(7).sentences[0].events == made_row(7)["sentences"][0]["events"]
    assert client.user("a/b ü..").user_id == "a/b ü.."
    told = client.vectors([7, "nobody"])
    assert [one.status for one in told.vectors] == ["ok", "unknown"]
    assert told.vectors[0].vector == pytest.approx(made_row(7)["vector"])
    ranked = client.rank(7, [1, 2, 3], [{"item_id": 4, "rating": 5.0}])
    assert (ranked.text, ranked.events, len(ranked.items)) == ("used", 1, 3)
    assert client.item(4).tags == ["cult", "dry humour"]
    assert client.why(7, ranked.items[0].item_id).item_id == ranked.items[0].item_id


def test_refusals_are_errors_in_words(client: Client) -> None:
    with pytest.raises(ServiceError, match="answered 404: nobody of that id") as refused:
        client.user("nobody")
    assert refused.value.status == 404
    with pytest.raises(ServiceError, match="cannot be reached"):
        Client(f"http://127.0.0.1:{free_port()}", Path(__file__).name, seconds=1).item(1)


def test_the_token_is_needed(client: Client) -> None:
    with pytest.raises(ServiceError, match="answered 401"):
        Client(str(client._client.base_url)).user(7)


def test_the_example_runs(client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    script = str(ROOT / "examples" / "ask_the_service.py")

    def example(person: str, token: str) -> None:
        monkeypatch.setenv("TRACKREC_TOKEN", token)
        monkeypatch.setattr(sys, "argv", [script, str(client._client.base_url), person])
        runpy.run_path(script, run_name="__main__")

    example("7", "t")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == client.user(7).text
    assert lines[1].startswith("  supported: This viewer enjoys Thriller.")
    assert [line for line in lines if line.startswith("vector: [")]
    assert len([line for line in lines if ", without the text " in line]) == 3
    with pytest.raises(SystemExit, match="answered 404: nobody of that id"):
        example("nobody", "t")
    with pytest.raises(SystemExit, match="answered 401"):
        example("7", "wrong")


def test_the_documents_python_asks_as_shown(client: Client) -> None:
    page = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    shown: dict[str, object] = {"os": os, "Client": lambda _, token: client}
    exec(compile(code, "docs/service.md", "exec"), shown)
    assert shown["vector"] == pytest.approx(made_row(7)["vector"])
    assert [item.item_id in (3, 14, 25) for item in shown["ranked"].items] == [True, True]  # type: ignore[attr-defined]
