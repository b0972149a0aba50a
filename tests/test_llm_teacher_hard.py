"""An endpoint as teacher of a run, with all that goes wrong: a clear line, a count, nothing lost that was paid."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from command_line import call
from fake_endpoint import KEY, FakeEndpoint, Said, completion, error, fake_endpoint
from rich.console import Console
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.engines.failures import BudgetError
from trackrec.errors import RunError
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.pipeline.loop import Loop
from trackrec.progress import Reporter
from trackrec.recipe import load_recipe

USERS = 20
"""Whom the teacher writes for in the tiny recipe."""
GOOD = "They rate strictly and like films of the one kind more than those of the other [1, 3]."

Behave = Callable[[int, dict[str, Any]], Said]


def good(number: int, body: dict[str, Any]) -> Said:
    return Said(completion(body, f"{GOOD} Text {number}."))


def says(text: str) -> Behave:
    return lambda _, body: Said(completion(body, text))


class World:
    """A recipe with an endpoint as teacher, whose behaviour can be changed."""

    def __init__(self, folder: Path, model: Path, server: FakeEndpoint) -> None:
        self.folder, self.server, self.behave = folder, server, good
        tree = tiny_recipe(model, write_tiny_log(folder / "log")).model_dump(mode="json")
        tree["prompts"]["reccot_tokens"] = 200
        engine = {"type": "openai", "base_url": server.base_url, "model": "fake-1", "server": "vllm", "consent": True}
        engine |= {"api_key_env": "TEST_KEY", "retries": 0, "concurrency": 1, "cache": str(folder / "answers.sqlite")}
        tree["teacher"] = {"type": "llm", "engine": engine, "decoding": {"max_new_tokens": 50}}
        self.tree = tree

    def set(self, **engine: Any) -> None:
        self.tree["teacher"]["engine"] |= engine

    def recipe(self) -> Path:
        path = self.folder / "recipe.yaml"
        path.write_text(yaml.safe_dump(self.tree), encoding="utf-8")
        return path

    def teach(self) -> dict[str, int]:
        """The stage alone; its counts."""
        recipe = load_recipe(str(self.recipe()))
        run = open_run(recipe, self.folder / "run", Reporter(Console(stderr=True, width=400)))
        Loop(Components(recipe, run, prepare(recipe, run))).teach()
        return dict(run.manifest("teach")["counts"])

    def kept(self) -> int:
        """Answers in the cache."""
        with sqlite3.connect(self.folder / "answers.sqlite") as base:
            return int(base.execute("SELECT count(*) FROM answers").fetchone()[0])


@pytest.fixture
def world(tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("TEST_KEY", KEY)
    made: World
    with fake_endpoint(lambda number, body: made.behave(number, body)) as server:
        made = World(tmp_path, tiny_model_folder, server)
        yield made


def wrong_key(_: int, body: dict[str, Any]) -> Said:
    return Said(error(f"Incorrect API key provided: {KEY}", "invalid_api_key"), 401)


def unknown_model(_: int, body: dict[str, Any]) -> Said:
    return Said(error(f"The model `{body['model']}` does not exist", "model_not_found"), 404)


def inside(_: int, body: dict[str, Any]) -> Said:
    return Said(error("upstream overloaded"))


def repeats(_: int, body: dict[str, Any]) -> Said:
    return Said(completion(body, body["messages"][1]["content"]))


def too_long(_: int, body: dict[str, Any]) -> Said:
    return Said(error("This model's maximum context length is 2048 tokens", "context_length_exceeded"), 400)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behave", "sent", "kept", "said"),
    [
        (wrong_key, 1, 0, "check the key in the environment variable that api_key_env names"),
        (unknown_model, 1, 0, "(unknown model): HTTP 404: .*check model and base_url"),
        (inside, 8, 0, "an error inside HTTP 200: .*upstream overloaded"),
        (says("I cannot help with that."), USERS, USERS, "no usable text for 20 of 20 users (20 refused)"),
        (says(""), USERS, USERS, "no usable text for 20 of 20 users (20 empty)"),
        (repeats, USERS, USERS, "no usable text for 20 of 20 users (20 repeats the prompt)"),
        (too_long, USERS, 0, "no usable text for 20 of 20 users (20 context_too_long)"),
    ],
    ids=["wrong key", "unknown model", "an error inside", "refusal", "empty", "repeats the prompt", "too long"],
)
def test_the_command_ends_with_a_line_and_a_count(
    world: World, behave: Behave, sent: int, kept: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    world.behave = behave
    assert call(monkeypatch, "run", str(world.recipe()), "--out", str(world.folder / "run")) == 1
    printed = " ".join(capsys.readouterr().err.split())
    for part in said.split(".*"):
        assert part in printed, printed
    assert printed.count("Error:") == 1
    assert "Traceback" not in printed
    assert KEY not in printed
    assert len(world.server.bodies) == sent
    assert world.kept() == kept
    world.behave = good
    if not kept:  # what was not answered is asked when the same command goes on
        assert world.teach()["texts"] == USERS
        assert len(world.server.bodies) == sent + USERS


@pytest.mark.slow
def test_without_a_key_nothing_is_sent(world: World, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.delenv("TEST_KEY")
    assert call(monkeypatch, "run", str(world.recipe()), "--out", str(world.folder / "run")) == 1
    assert "no key for 127.0.0.1: the environment variable TEST_KEY is empty" in " ".join(
        capsys.readouterr().err.split()
    )
    assert world.server.bodies == []


@pytest.mark.slow
def test_a_budget_that_ends_mid_way(world: World, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Each command may spend the ceiling anew, or another one; no answer is bought twice, and none is lost."""
    world.set(budget={"tokens": 1500})
    assert call(monkeypatch, "run", str(world.recipe()), "--out", str(world.folder / "run")) == 1
    printed = " ".join(capsys.readouterr().err.split())
    assert "the budget of openai (fake-1 at 127.0.0.1) has ended: the next call may take" in printed
    first = world.kept()
    assert 2 <= first < USERS
    assert f"{USERS - first} requests are left: run the same command again" in printed
    world.tree["teacher"]["engine"]["budget"]["tokens"] = 1000
    with pytest.raises(BudgetError):
        world.teach()
    assert first < world.kept() < USERS
    world.set(budget={})
    assert world.teach()["texts"] == USERS
    assert len(world.server.bodies) == USERS


def test_how_an_endpoint_is_called_may_change_and_what_it_answers_may_not(world: World) -> None:
    assert world.teach()["texts"] == USERS
    world.set(budget={"tokens": 10}, concurrency=2, retries=3, timeout=7.0)
    assert world.teach()["texts"] == USERS
    assert load_recipe(str(world.folder / "run/recipe.yaml")) == load_recipe(str(world.recipe())), "the folder has it"
    world.set(model="another")
    with pytest.raises(RunError, match=r"differs in teacher\.engine\.model \('fake-1' there, 'another' now\)"):
        world.teach()
    assert len(world.server.bodies) == USERS, "what was answered is not asked again"


def some(*faults: str) -> Behave:
    """Faulty texts for the first users, good ones for the others."""
    return lambda number, body: Said(completion(body, faults[number])) if number < len(faults) else good(number, body)


FOREIGN = "They rate strictly and like films of the one kind more than those of the other [1, 99]."
CHINESE = "这位观众评分严格，喜欢科幻片和战争片，不喜欢音乐剧。"
GERMAN = (
    "Diese Person bewertet streng, mag Kriegsfilme mit starken Figuren, kann mit Musicals wenig anfangen und sieht \
Komödien eher ungern; empfehlen kann man düstere Krimis aus den siebziger Jahren."
)


@pytest.mark.parametrize(
    ("faults", "counts", "line"),
    [
        ((CHINESE, GERMAN), {"texts": 20, "not_english": 2, "without_text": 0}, "2 of 20 texts are not in English"),
        (("I cannot help with that.", ""), {"texts": 18, "without_text": 2}, "2 of 20 users have no text"),
        ((f"{GOOD}\n\n- {GOOD}",), {"texts": 20, "not_english": 0, "without_text": 0, "cite_nothing": 0}, ""),
        (
            (FOREIGN,),
            {"texts": 20, "cite_nothing": 1},
            "1 of 20 texts cite events that are not there (such as event 99",
        ),
    ],
    ids=["another language", "refused and empty", "line ends", "events that are not there"],
)
def test_few_faults_are_counted_and_the_rest_is_learnt(
    world: World, faults: tuple[str, ...], counts: dict[str, int], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.behave = some(*faults)
    found = world.teach()
    assert {name: found[name] for name in counts} == counts
    assert found["users"] == USERS
    printed = " ".join(capsys.readouterr().err.split())
    assert (f"teach: {line}" in printed) if line else ("of 20" not in printed)
    texts = pl.read_parquet(world.folder / "run/tables/teacher.parquet")["text"].to_list()
    kept = [fault for fault in faults if len(fault) > 25]
    assert set(kept) <= set(texts), "as they came"
    assert world.kept() == USERS
    assert json.loads((world.folder / "run/manifests/teach.json").read_text())["counts"] == found
