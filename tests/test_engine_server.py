"""The engine for endpoints on a real server, which is killed, as is the client."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from counting_proxy import counting_proxy
from llama_server import KEY, LlamaServer, llama_server

from trackrec.engines.base import Decoding, GenerateRequest, Message, Prompt
from trackrec.engines.failures import EngineError
from trackrec.engines.openai import OpenAIEngine
from trackrec.engines.openai_settings import OpenAISettings
from trackrec.testing.engine_suite import check_engine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    with llama_server(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_KEY", KEY)


def settings(base_url: str, cache: Path, **others: Any) -> OpenAISettings:
    given = {"model": "smollm2", "consent": True, "api_key_env": "LLAMA_KEY", "server": "llama.cpp", "concurrency": 2}
    given["samples_per_call"] = 2  # as many as the server has slots
    # The prompt cache of llama.cpp changes the last bits, and with them a text now and then.
    given["extra_body"] = {"cache_prompt": False}
    return OpenAISettings(base_url=base_url, cache=str(cache), **{**given, **others})


@pytest.fixture
def make(server: LlamaServer, tmp_path: Path) -> Callable[..., OpenAIEngine]:
    return lambda name="answers", **others: OpenAIEngine(settings(server.base_url, tmp_path / name, **others))


def test_the_shared_suite(server: LlamaServer, tmp_path: Path) -> None:
    made = iter(range(1000))
    done = check_engine(
        lambda: OpenAIEngine(settings(server.base_url, tmp_path / f"cache-{next(made)}", concurrency=1)),
        token_ids=((1, 520, 9531), (1, 330, 2), (1, 617, 2025, 314)),
    )
    assert {"messages: json_schema", "messages: scoring", "token_ids: scoring", "token_ids: seeds"} <= set(done)


def test_a_wrong_key_and_a_missing_one(make: Callable[..., OpenAIEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    request = [GenerateRequest((Message("user", "Hello"),))]
    monkeypatch.setenv("LLAMA_KEY", "sk-wrong-9876543210")
    with pytest.raises(EngineError, match=r"wrong key.*Invalid API Key.*api_key_env") as got:
        make().generate(request, 1, Decoding())
    assert "sk-wrong" not in str(got.value)
    monkeypatch.delenv("LLAMA_KEY")
    with pytest.raises(EngineError, match="LLAMA_KEY is empty"):
        make()


def test_thirty_thousand_tokens_of_history(make: Callable[..., OpenAIEngine]) -> None:
    history = "".join(f"{i % 5 + 1}: Film number {i} (1997), Drama\n" for i in range(2_200))
    requests = [GenerateRequest((Message("user", text),)) for text in (history, "Hello")]
    answers = make().generate(requests, 1, Decoding(max_new_tokens=4))
    assert [group[0].failure for group in answers] == ["context_too_long", None]


def test_scores_agree_with_the_local_model(make: Callable[..., OpenAIEngine]) -> None:
    """The same weights (up to llama.cpp's arithmetic on four bits), the same prompt, P(Yes) by messages and by ids."""
    from trackrec.engines.torch import TorchEngine

    local, remote = TorchEngine(), make()
    questions = ("Is water wet? Answer Yes or No.", "Is a stone alive? Answer Yes or No.", "Answer Yes or No.")
    prompts = [Prompt((Message("system", "Answer."), Message("user", question))) for question in questions]
    ours, theirs = (engine.score(prompts, ("Yes", "No")) for engine in (local, remote))
    ids = [Prompt(token_ids=tuple(local._encode(prompt))) for prompt in prompts]
    tokens = [tuple(local._plain.encode(answer)) for answer in ("Yes", "No")]
    by_ids = remote.score(ids, tokens)
    for one, other, third in zip(ours, theirs, by_ids, strict=True):
        assert all(other.exact)
        assert one.shares()[0] == pytest.approx(other.shares()[0], abs=0.05)
        assert other.shares()[0] == pytest.approx(third.shares()[0], abs=0.01)


# Kills.

CLIENT = """
import json, sys
from pathlib import Path
from trackrec.engines.base import Decoding, GenerateRequest, Message
from trackrec.engines.openai import OpenAIEngine
from trackrec.engines.openai_settings import OpenAISettings

engine = OpenAIEngine(OpenAISettings(**json.loads(sys.argv[1])))
requests = [
    GenerateRequest((Message("user", f"Name a film of {1950 + i}."),), seed=i, subject=f"u{i}") for i in range(16)
]
answers = engine.generate(requests, 2, Decoding(max_new_tokens=12))
Path(sys.argv[2]).write_text(json.dumps([[a.text for a in group] for group in answers]))
"""


def start(base_url: str, folder: Path, **others: Any) -> subprocess.Popen[bytes]:
    """A client that asks for two texts each of sixteen films."""
    given = settings(base_url, folder / "answers", **others).model_dump_json()
    with (folder / "client.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", CLIENT, given, str(folder / "texts.json")], stderr=log, env={**os.environ}
        )


def cached(folder: Path) -> set[str]:
    """Keys of the requests whose answers are in the cache."""
    path = folder / "answers"
    if not path.exists():
        return set()
    with sqlite3.connect(path, timeout=30) as base:
        found = base.execute("SELECT name FROM sqlite_master WHERE name = 'answers'").fetchone()
        return {row[0] for row in base.execute("SELECT DISTINCT key FROM answers")} if found else set()


def wait_for(folder: Path, number: int) -> None:
    deadline = time.monotonic() + 600
    while len(cached(folder)) < number:
        assert time.monotonic() < deadline, (folder / "client.log").read_text()
        time.sleep(0.05)


def paid(folder: Path) -> list[tuple[str, int, int]]:
    """Key, first sample and number of samples of every paid call."""
    with sqlite3.connect(folder / "answers") as base:
        return base.execute("SELECT key, first, samples FROM calls WHERE outcome = 'answered'").fetchall()


def test_client_and_server_are_killed_and_no_answer_is_paid_twice(server: LlamaServer, tmp_path: Path) -> None:
    with counting_proxy(server.base_url) as proxy:
        client = start(proxy.base_url, tmp_path)
        wait_for(tmp_path, 4)
        os.kill(client.pid, signal.SIGKILL)
        client.wait()
        kept, asked = cached(tmp_path), len(proxy.asked)
        assert 4 <= len(kept) < 16
        with sqlite3.connect(tmp_path / "answers") as base:
            before = dict(base.execute("SELECT key, answer FROM answers WHERE sample = 0").fetchall())

        # The second client is left without a server for a while: it stops by itself, with what it has.
        client = start(proxy.base_url, tmp_path, retries=1)
        wait_for(tmp_path, len(kept) + 3)
        proxy.drop = True
        assert client.wait(timeout=600) == 1
        said = (tmp_path / "client.log").read_text()
        assert "run the same command again" in said
        assert re.search(r"\d+ of \d+ requests were answered now", said)

        proxy.drop = False
        client = start(proxy.base_url, tmp_path)
        assert client.wait(timeout=600) == 0, (tmp_path / "client.log").read_text()
        answered = Counter(proxy.answered)
        assert set(answered) == {f"Name a film of {1950 + i}." for i in range(16)}
        # A kill can lose only what was under way: two calls at a time, killed once and cut off once.
        assert sum(answered.values()) <= 16 + 2, f"answered twice: {[k for k, v in answered.items() if v > 1]}"
        assert asked < 16
    calls = paid(tmp_path)
    assert len(calls) == 16
    assert len({key for key, _, _ in calls}) == 16
    assert {(first, samples) for _, first, samples in calls} == {(0, 2)}
    with sqlite3.connect(tmp_path / "answers") as base:
        after = dict(base.execute("SELECT key, answer FROM answers WHERE sample = 0").fetchall())
    assert {key: after[key] for key in before} == before, "what was kept at the kill is what is there at the end"
    texts = json.loads((tmp_path / "texts.json").read_text())
    assert [len(group) for group in texts] == [2] * 16


def test_a_server_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    """The client waits out the gap by itself; the server's own count of tokens shows that nothing was written twice."""
    with llama_server(tmp_path / "first.log") as first:
        port = int(first.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
        # One text a call: for several, llama.cpp counts the tokens of one.
        client = start(first.base_url, tmp_path, retries=12, concurrency=1, lacks=["several"])
        wait_for(tmp_path, 4)
        first.kill()
        kept = len(paid(tmp_path))
        with llama_server(tmp_path / "second.log", port) as second:
            assert client.wait(timeout=600) == 0, (tmp_path / "client.log").read_text()
            written = second.count("tokens_predicted_total")
    calls = paid(tmp_path)
    assert sorted(Counter(key for key, _, _ in calls).values()) == [2] * 16
    assert len(set(calls)) == 32
    with sqlite3.connect(tmp_path / "answers") as base:
        rows = base.execute("SELECT completion_tokens FROM calls ORDER BY id").fetchall()
    assert 0 < written <= sum(tokens for (tokens,) in rows[kept:]), "only what was not kept yet"


def test_two_processes_share_one_cache(server: LlamaServer, tmp_path: Path) -> None:
    with counting_proxy(server.base_url) as proxy:
        clients = [start(proxy.base_url, tmp_path) for _ in range(2)]
        assert [client.wait(timeout=300) for client in clients] == [0, 0], (tmp_path / "client.log").read_text()
        assert len(proxy.asked) == 16
    assert len(paid(tmp_path)) == 16


def test_json_by_a_schema(make: Callable[..., OpenAIEngine]) -> None:
    schema = {
        "type": "object",
        "properties": {"known": {"type": "integer", "enum": [0, 1, 2]}, "gist": {"type": "string", "maxLength": 40}},
        "required": ["known", "gist"],
        "additionalProperties": False,
    }
    requests = [GenerateRequest((Message("user", f"Describe the film {name}."),)) for name in ("Fargo", "Heat")]
    answers = make().generate(requests, 2, Decoding(max_new_tokens=60, json_schema=schema))
    assert not any(answer.failure for group in answers for answer in group)
    assert all(set(json.loads(a.text)) == {"known", "gist"} for group in answers for a in group)
