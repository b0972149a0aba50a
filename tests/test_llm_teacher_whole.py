"""A run whose teacher is a model on a real server: killed on both sides, gone on with, no answer paid twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import yaml
from counting_proxy import counting_proxy
from llama_server import KEY, llama_server
from tiny_run import tiny_recipe, write_tiny_log

pytestmark = pytest.mark.slow

USERS = 20
"""Whom the teacher writes for in the tiny recipe: LM, extra LM and LM validation users."""
TOGETHER = 2
"""Calls under way at a time: the most that a kill can lose."""


def write_recipe(folder: Path, model: Path, base_url: str, retries: int) -> Path:
    """The tiny recipe with one round and the embedded model, served, as teacher."""
    tree = tiny_recipe(model, write_tiny_log(folder / "log")).model_dump(mode="json")
    tree["observer"] = None
    tree["loop"]["rounds"] = 1
    tree["prompts"]["reccot_tokens"] = 48
    tree["teacher"] = {
        "type": "llm",
        "instructions": "Say in one short sentence which {items} this {person} likes.",
        # A small model ends nowhere by itself: its first sentence is taken.
        "decoding": {"temperature": 0.7, "max_new_tokens": 80, "stop": [".", "\n"]},
        "failed_share": 0.5,
        "engine": {
            "type": "openai",
            "base_url": base_url,
            "model": "smollm2",
            "server": "llama.cpp",
            "consent": True,
            "api_key_env": "LLAMA_KEY",
            "concurrency": TOGETHER,
            "retries": retries,
            "extra_body": {"cache_prompt": False},
            "cache": str(folder / "answers.sqlite"),
        },
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


def start(folder: Path) -> subprocess.Popen[bytes]:
    """`trackrec run` in a process of its own."""
    command = [sys.executable, "-m", "trackrec.cli", "run", str(folder / "recipe.yaml"), "--out", str(folder / "run")]
    with (folder / "run.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "LLAMA_KEY": KEY})


def kept(folder: Path) -> dict[str, str]:
    """Texts in the cache by the request's key."""
    path = folder / "answers.sqlite"
    if not path.exists():
        return {}
    with sqlite3.connect(path, timeout=30) as base:
        if not base.execute("SELECT name FROM sqlite_master WHERE name = 'answers'").fetchone():
            return {}
        return {key: json.loads(answer)["text"] for key, answer in base.execute("SELECT key, answer FROM answers")}


def wait_for(folder: Path, number: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while len(kept(folder)) < number:
        said = (folder / "run.log").read_text()
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.02)


def test_data_to_first_round_through_two_kills(tiny_model_folder: Path, tmp_path: Path) -> None:
    with llama_server(tmp_path / "first.log") as first, counting_proxy(first.base_url) as proxy:
        port = int(first.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
        write_recipe(tmp_path, tiny_model_folder, proxy.base_url, retries=1)
        command = start(tmp_path)
        wait_for(tmp_path, 4, command)
        os.kill(command.pid, signal.SIGKILL)
        command.wait()
        before = kept(tmp_path)
        assert 4 <= len(before) < USERS

        # The same command, until the server is killed: it stops by itself, and says what to do.
        command = start(tmp_path)
        wait_for(tmp_path, len(before) + 3, command)
        first.kill()
        assert command.wait(timeout=300) == 1
        said = (tmp_path / "run.log").read_text()
        assert "run the same command again" in said, said
        between = kept(tmp_path)
        assert len(before) < len(between) < USERS

        with llama_server(tmp_path / "second.log", port):
            command = start(tmp_path)
            assert command.wait(timeout=900) == 0, (tmp_path / "run.log").read_text()[-3000:]
        answered = Counter(proxy.answered)

    assert len(answered) == USERS, "every user was asked about, each in words of their own"
    # Each kill can lose what was under way; nothing that was kept is asked for again.
    assert sum(answered.values()) <= USERS + 2 * TOGETHER
    after = kept(tmp_path)
    assert len(after) == USERS
    assert {key: after[key] for key in between} == between
    with sqlite3.connect(tmp_path / "answers.sqlite") as base:
        paid = base.execute("SELECT key FROM calls WHERE outcome = 'answered'").fetchall()
    assert len(paid) == len(set(paid)) == USERS

    run = tmp_path / "run"
    taught = pl.read_parquet(run / "tables/teacher.parquet")
    assert USERS * 0.5 <= taught.height <= USERS
    assert set(taught["text"]) <= set(after.values())
    for stage in ("teach", "distil", "sample-1", "align-lm-1", "tune-lm-1", "metrics"):
        assert (run / "manifests" / f"{stage}.json").is_file(), stage
    assert json.loads((run / "manifests/distil.json").read_text())["counts"]["texts"] > 0
