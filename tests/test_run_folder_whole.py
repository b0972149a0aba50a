"""What may happen to a finished run's folder: new interactions, somebody to be forgotten, damage, a second process."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from tiny_run import write_tiny_log

from trackrec.data.refresh import RefreshSettings
from trackrec.pipeline.update import find_updates

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "tiny_run.py"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_log(tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path, log: Path) -> Path:
    folder = tmp_path_factory.mktemp("run") / "undisturbed"
    subprocess.run([sys.executable, SCRIPT, folder, tiny_model_folder, log], check=True, capture_output=True)
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be maltreated."""
    return Path(shutil.copytree(finished, tmp_path / "run [1]"))


def test_an_update_of_a_finished_run(folder: Path, tmp_path: Path) -> None:
    rows = [(3, film, 5, 890_000_000 + film) for film in range(1, 41)]
    pl.DataFrame(rows, schema=["user", "item", "rating", "time"], orient="row").write_csv(tmp_path / "new.csv")
    found = find_updates(folder, str(tmp_path / "new.csv"), "", {}, RefreshSettings())
    assert found.refresh["user_id"].to_list() == [3]
    assert found.counts["users_with_a_reccot"] == pl.read_parquet(folder / "vectors.parquet", glob=False).height
