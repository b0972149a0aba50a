"""Hostile titles and ids through every output: shown as they are, obeyed by nothing. A browser is the witness."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command_line import call
from transformers import AutoTokenizer

from tests.attack.conftest import World
from tests.attack.hostile import HOSTILE, PLACES
from tests.running import running
from trackrec.files.whole import abandoned
from trackrec.pipeline.check_the_checker import draw_sentences
from trackrec.pipeline.dataset import Dataset
from trackrec.progress import Reporter
from trackrec.prompts.renderer import Renderer
from trackrec.recipe import load_recipe
from trackrec.report import write_report
from trackrec.run import Run
from trackrec.serving.app import build_app
from trackrec.serving.service import Service
from trackrec.serving.settings import ServiceSettings
from trackrec.store.opening import open_store

pytestmark = pytest.mark.slow
# Blanks around an id are no part of it; all else stays as it is spelled in the log.
IDS = [f"{text}{number}".strip() for number, text in enumerate(HOSTILE[:34])]


def obeyed(told: str) -> list[str]:
    """What a terminal would obey, but for line ends."""
    return re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", told)


def say(*arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    """What a command prints, obeyed by no terminal; ``codes``: what it may exit with."""
    sink = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(sink), redirect_stderr(sink):
        code = call(patch, *arguments)
    told = sink.getvalue()
    assert code in codes, told[-3000:]
    assert obeyed(told) == [], f"{arguments}: {obeyed(told)}"
    return told


@pytest.fixture(scope="module")
def users(world: World) -> list[str]:
    """Those whom a text was written for."""
    kept = pl.read_parquet(world.finished / "reccots.parquet").filter(pl.col("kind") == "kept")
    found = sorted(set(kept["user_id"]))
    assert set(found) <= set(IDS), "an id was changed on its way"
    assert len(found) > 20
    return found


@pytest.fixture(scope="module")
def place(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's texts, written by the template, published and loaded into two stores."""
    base = tmp_path_factory.mktemp("hostile")
    to = str(base / "place")
    quick = ("--engine", "template", "--set", "encoder=hashing", "--workers", "0", "--set", "gates.contradicted=null")
    say("plan", "--run", str(world.finished))
    say("write", "--run", str(world.finished), "--to", to, *quick)
    say("status", to)
    for kind in ("sqlite:", "lmdb:"):
        say("publish", to, "--to", f"{kind}{base / kind[:4]}")
    return base


def test_nothing_was_written_elsewhere(world: World, users: list[str], place: Path) -> None:
    base = world.finished.parent
    assert {path.name for path in base.iterdir()} == {"finished", "log", "recipe.yaml", "said.txt"}
    for away in (Path("/tmp/trackrec-hurt"), Path.home() / "trackrec-hurt", Path("trackrec-hurt")):
        assert not away.exists()
    assert not [path for path in (*base.rglob("*"), *place.rglob("*")) if "trackrec-hurt" in path.name]
    assert abandoned(base) == []


def test_the_terminal(world: World, users: list[str], place: Path, tmp_path: Path) -> None:
    run = str(world.finished)
    assert obeyed((world.finished.parent / "said.txt").read_text(encoding="utf-8")) == []
    say("report", "--run", run)
    for user in users[::6]:
        say("explain", "--run", run, "--", user)
        say("store", "person", "--store", f"sqlite:{place / 'sqli'}", "--", user)
    say("explain", "--run", run, "--", "\x1b[2Jnobody", codes=(1,))
    log = world.finished.parent / "log"
    say("data", "check", str(log / "log.csv"), "--items", str(log / "films.csv"), "--out", str(tmp_path))
    say("monitor", "--store", f"sqlite:{place / 'sqli'}", codes=(0, 2))
    for text in PLACES:
        say("run", text + "\x1b[2J", codes=(1,))
        say("store", "switch", "--store", f"sqlite:{place / 'sqli'}", "--", text + "\x1b[2J", codes=(1,))


class Witness:
    """A browser that watches what a page does."""

    def __init__(self, browser: Any, **settings: Any) -> None:
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.faults.append("dialog"), dialog.dismiss()))
        self.page.on("popup", lambda _: self.faults.append("popup"))
        self.page.on("request", self._asked)
        self.home = settings.get("base_url", "file://")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.home, "data:")):
            self.faults.append(f"request: {request.url}")

    def nothing_was_obeyed(self) -> None:
        self.page.wait_for_timeout(200)
        assert self.page.evaluate("window.hurt") is None
        assert self.page.locator("img[src=x], iframe, [onerror], [onload], a[href^=javascript]").count() == 0
        assert self.faults == []


@pytest.fixture
def witness(browser: Any) -> Iterator[Witness]:
    found = Witness(browser)
    yield found
    found.context.close()


def test_the_report(world: World, users: list[str], witness: Witness) -> None:
    page = write_report(world.finished)
    witness.page.goto(page.as_uri())
    witness.nothing_was_obeyed()
    assert witness.page.locator("script").count() == 0, "the report has no script at all"
    assert "<script>window.hurt" in witness.page.locator("body").text_content()


def test_the_card_of_a_log(world: World, witness: Witness, tmp_path: Path) -> None:
    log = world.finished.parent / "log"
    say("data", "check", str(log / "log.csv"), "--items", str(log / "films.csv"), "--out", str(tmp_path))
    (card,) = tmp_path.glob("*.card.html")
    witness.page.goto(card.as_uri())
    witness.nothing_was_obeyed()


def test_the_page_for_labels(world: World, witness: Witness, tmp_path: Path) -> None:
    page = draw_sentences(Path(shutil.copytree(world.finished, tmp_path / "run")), 60)
    witness.page.goto(page.as_uri())
    for _ in range(60):
        witness.page.keyboard.press("j")
    witness.nothing_was_obeyed()
    assert witness.page.locator("script").count() == 1


def test_the_served_page(world: World, users: list[str], place: Path, browser: Any) -> None:
    service = Service.of(open_store(f"sqlite:{place / 'sqli'}"), ServiceSettings(rate=0.0), world.finished, None)
    with running(build_app(service)) as address:
        witness = Witness(browser, base_url=address)
        for user in users:
            witness.page.goto("/")
            witness.page.get_by_label("Person's id").fill(user.replace("\r", "").replace("\n", ""))
            witness.page.get_by_role("button", name="Show", exact=True).click()
            witness.page.wait_for_selector("#sentences > li, #trouble:not([hidden])")
            if witness.page.locator("#sentences > li").count():
                witness.page.get_by_role("button", name="Show it as JSON").click()
                witness.page.wait_for_selector("#held:not([hidden])")
            witness.nothing_was_obeyed()
        witness.page.goto("/overview")
        witness.page.wait_for_selector("#versions tbody tr")
        witness.nothing_was_obeyed()
        witness.context.close()


@pytest.mark.parametrize("form", ["parquet", "fuxictr", "recbole", "huggingface"])
def test_exports(form: str, world: World, users: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    say("export", str(world.finished), "--out", str(out), "--format", form, "--no-item-vectors")
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    known = set(IDS)
    for path in out.rglob("*"):
        if path.suffix == ".parquet" and "user_id" in (table := pl.read_parquet(path, glob=False)).columns:
            assert set(table["user_id"].cast(pl.String)) <= known, path
        if path.suffix in (".inter", ".user", ".item"):
            lines = path.read_text(encoding="utf-8").split("\n")
            assert {line.count("\t") for line in lines if line} == {lines[0].count("\t")}, path
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                assert len({len(row) for row in csv.reader(file)}) == 1, path


def test_prompts(world: World, tmp_path: Path) -> None:
    """No control token in any prompt that the frame does not bring, and no line of its own in any history."""
    recipe = load_recipe(world.recipe)
    dataset = Dataset.of(Run(world.finished, Reporter(), recipe.seed, reading=True))
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.name)
    control = set(tokenizer.all_special_ids)
    items = dataset.items
    plain = items.with_columns(title=pl.lit("Film"), genres=pl.lit(["Drama"], dtype=pl.List(pl.String)))
    frames = []
    for table in (items, plain):
        renderer = Renderer(tokenizer, table, recipe.prompts, profile=recipe.profile)
        prompts = [renderer.generator_prompt(dataset.history_rows[user]) for user in dataset.roles["user_id"]]
        frames.append([[token for token in prompt if token in control] for prompt in prompts])
    assert frames[0] == frames[1]
    out = tmp_path / "prompts.jsonl"
    say("prompts", str(world.recipe), "--out", str(out), "--all")
    lines = out.read_text(encoding="utf-8").split("\n")[:-1]
    assert {json.loads(line)["user_id"] for line in lines} == set(dataset.roles["user_id"])


@pytest.mark.parametrize("kind", ["sqlite:", "lmdb:"])
def test_stores(kind: str, place: Path, users: list[str]) -> None:
    """Every id finds its own record, and forgetting takes that one alone."""
    store = open_store(f"{kind}{place / kind[:4]}")
    found = store.read(users).found
    assert [None if one is None else one.record.user_id for one in found] == users
    assert [store.forget(user) for user in users[::5]] == [1] * len(users[::5])
    left = store.read(users).found
    assert [one is None for one in left] == [number % 5 == 0 for number in range(len(users))]


def test_forgetting_in_versions(place: Path, users: list[str]) -> None:
    for user in users[1::6]:
        assert "Removed 1 rows" in say("forget", "--place", str(place / "place"), "--", user)
