"""Two real servers write for everybody and one is killed; then both. Nobody is lost, nobody is there twice."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from llama_server import KEY, LlamaServer, llama_server
from writing_world import job, made_log, rows_of, write_run

from trackrec.engines.failures import EngineError
from trackrec.writing.executor import LocalExecutor, LocalSettings
from trackrec.writing.gates import GateSettings
from trackrec.writing.place import Place
from trackrec.writing.shard import _TOOLS
from trackrec.writing.versions import Versions
from trackrec.writing.writers import EMPTY, UNFINISHED

pytestmark = pytest.mark.slow
USERS = 32


def engine_file(folder: Path, servers: list[LlamaServer]) -> Path:
    """Two endpoints, each with its own kept answers, as on two machines."""
    engines = [
        {
            "type": "openai",
            "base_url": server.base_url,
            "model": "smollm2",
            "consent": True,
            "api_key_env": "LLAMA_KEY",
            "server": "llama.cpp",
            "concurrency": 1,
            "retries": 1,
            "cache": str(folder / f"answers-{number}"),
        }
        for number, server in enumerate(servers)
    ]
    told = {"engines": engines, "chunk": 2, "rest": 600.0, "decoding": {"temperature": 0.0, "max_new_tokens": 8}}
    (folder / "engines.yaml").write_text(yaml.safe_dump(told))
    return folder / "engines.yaml"


def kill_at_work(server: LlamaServer, tokens: int) -> threading.Thread:
    """Kill a server once it has written so many tokens more."""
    begin = server.count("tokens_predicted_total")

    def watch() -> None:
        while server.count("tokens_predicted_total") < begin + tokens:
            time.sleep(0.02)
        server.kill()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def everybody_once(place: Place, manifest: dict[str, Any]) -> None:
    """Every user has a text, or got one without a full stop; no failure of a server shows."""
    written, rejected = rows_of(place, manifest), rows_of(place, manifest, "rejected")
    assert sorted([*written["user_id"], *rejected["user_id"]]) == list(range(1, USERS + 1))
    assert set(rejected["reason"]) <= {UNFINISHED, EMPTY}
    assert written.height > 0


def test_servers_are_killed_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_KEY", KEY)
    run = write_run(tmp_path / "run")
    made_log(users=USERS, events=4).write_parquet(tmp_path / "log.parquet")
    place = Place(str(tmp_path / "to"))

    def write() -> dict[str, Any]:
        _TOOLS.clear()
        # A text that ends within its first sentence is rejected, whoever wrote it: texts are short here, to be quick.
        settings: dict[str, Any] = {
            "writer": str(tmp_path / "engines.yaml"),
            "shards": 4,
            "batch_users": 6,
            "checked": 0.0,
        }
        settings |= {"max_rejected": 1.0, "gates": GateSettings(coverage=None, rejected=None, users_lost=None)}
        return job(run, place.url, tmp_path / "log.parquet", **settings).run(LocalExecutor(LocalSettings(workers=0)))

    with llama_server(tmp_path / "one.log") as one, llama_server(tmp_path / "two.log") as two:
        engine_file(tmp_path, [one, two])
        killed = kill_at_work(one, tokens=20)
        manifest = write()
        killed.join(timeout=10)
        assert one.process.returncode == -9, "the first server was killed while it was at work"
        assert two.count("tokens_predicted_total") > 50
        everybody_once(place, manifest)

        # The last server goes too: the job stops, readers keep what they have, finished shards stay.
        for kept in tmp_path.glob("answers-*"):
            kept.unlink()
        gone = kill_at_work(two, tokens=100)
        with pytest.raises(EngineError):
            write()
        gone.join(timeout=10)
    versions = Versions(place)
    assert versions.current() == "000001"
    unfinished = versions.unfinished()
    assert unfinished is not None
    done = {file for file in place.names("versions/000002/shards") if file.endswith(".json")}
    assert 0 < len(done) < 4
    before = {file: place.read(f"versions/000002/shards/{file}") for file in done}

    # With a server again, the same command goes on with the same version.
    port = int(two.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
    with llama_server(tmp_path / "back.log", port):
        second = write()
    assert second["version"] == "000002"
    everybody_once(place, second)
    assert {file: place.read(f"versions/000002/shards/{file}") for file in done} == before
