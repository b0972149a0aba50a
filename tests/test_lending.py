"""A run that takes over finished stages of another one: only where nothing that decides them differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trackrec.progress import Reporter
from trackrec.run import Run, Stage

SETTINGS = {"prompts": {"shown": 3, "budget": 9}, "a": 1}


class World:
    """A lender that has done the stage ``square``, and a run that may take it over."""

    def __init__(self, root: Path) -> None:
        self.root, self.calls = root, 0
        for name in ("lender", "run"):
            (root / name).mkdir()
            (root / name / "input.txt").write_text("one")
        self.do("lender")

    def do(self, name: str, seed: int = 1, settings: Any = SETTINGS, regardless_of: tuple[str, ...] = ()) -> None:
        folder = self.root / name
        run = Run(folder, Reporter(), seed, lender=self.root / "lender" if name == "run" else None)
        run.do("square", self.work, [folder / "input.txt"], settings, regardless_of)

    def work(self, stage: Stage) -> None:
        self.calls += 1
        stage.write("squares", pl.DataFrame({"square": [1, 4]}))
        with stage.folder(stage.run.folder / "adapter") as folder:
            (folder / "weights").write_text("w")
        stage.counts = {"call": self.calls}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_same_stage_is_taken_over(world: World) -> None:
    world.do("run")
    assert world.calls == 1
    run = Run(world.root / "run", Reporter(), 1)
    assert run.read("squares")["square"].to_list() == [1, 4]
    assert (world.root / "run" / "adapter" / "weights").read_text() == "w"
    manifest = run.manifest("square")
    assert manifest["counts"] == {"call": 1}
    assert manifest["borrowed_from"] == "../lender"
    world.do("run")
    assert world.calls == 1, "taken over once, it is done before"


@pytest.mark.parametrize("change", ["settings", "seed", "input", "output", "missing"])
def test_another_stage_is_not_taken_over(change: str, world: World) -> None:
    if change == "input":
        (world.root / "run" / "input.txt").write_text("two")
    if change == "output":
        (world.root / "lender" / "adapter" / "weights").write_text("changed")
    if change == "missing":
        (world.root / "lender" / "tables" / "squares.parquet").unlink()
    other = SETTINGS | {"a": 2} if change == "settings" else SETTINGS
    world.do("run", seed=2 if change == "seed" else 1, settings=other)
    assert world.calls == 2
    assert "borrowed_from" not in Run(world.root / "run", Reporter(), 1).manifest("square")


@pytest.mark.parametrize(("name", "calls"), [("shown", 1), ("budget", 2)])
def test_settings_that_change_nothing_do_not_count(name: str, calls: int, world: World) -> None:
    other = SETTINGS | {"prompts": {"shown": 3, "budget": 9} | {name: 0}}
    world.do("run", settings=other, regardless_of=("prompts.shown",))
    assert world.calls == calls
    world.do("run", settings=SETTINGS, regardless_of=("prompts.shown",))
    assert world.calls == calls if name == "shown" else 2, "in its own folder likewise"


def test_what_the_borrower_writes_anew_stays_its_own(world: World) -> None:
    world.do("run")
    run = Run(world.root / "run", Reporter(), 1)
    run.do("more", lambda stage: stage.write("squares", pl.DataFrame({"square": [9]})), [], {})
    lender = Run(world.root / "lender", Reporter(), 1)
    assert lender.read("squares")["square"].to_list() == [1, 4]
