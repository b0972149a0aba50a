"""One whole run of a hostile log, which every attack starts from, and a browser as a witness."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_run import tiny_recipe

from tests.attack.hostile import write_hostile_log
from trackrec.recipe import dump_recipe


@dataclass(frozen=True)
class World:
    """A recipe, and the run that it ended in when nothing disturbed it."""

    recipe: Path
    finished: Path

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """The command line at work on the recipe, in a process of its own."""
        return command("run", str(self.recipe), "--out", str(folder))


def command(*arguments: str) -> subprocess.Popen[bytes]:
    """``trackrec`` with these arguments; what it prints is kept."""
    whole = [sys.executable, "-m", "trackrec.cli", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> World:
    base = tmp_path_factory.mktemp("world")
    recipe = tiny_recipe(tiny_model_folder, base / "log", source=write_hostile_log(base / "log"))
    recipe = recipe.model_copy(update={"loop": recipe.loop.model_copy(update={"rounds": 1})})
    path = base / "recipe.yaml"
    path.write_text(dump_recipe(recipe), encoding="utf-8")
    made = World(path, base / "finished")
    run = made.start(made.finished)
    said, _ = run.communicate()
    assert run.returncode == 0, said.decode()
    (base / "said.txt").write_bytes(said)
    return made
