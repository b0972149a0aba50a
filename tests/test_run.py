"""The run folder: stages done once, tables whole or not at all, shards that are kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from trackrec.errors import RunError
from trackrec.progress import Reporter
from trackrec.run import Run, Stage, file_hash, write_table, written_whole


def make_run(folder: Path, seed: int = 1) -> Run:
    return Run(folder, Reporter(), seed)


def dead_process() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


class Counter:
    """Squares numbers in shards, counts the shards it made, and can die before one of them."""

    def __init__(self, die_at: int | None = None) -> None:
        self.shards: list[list[int]] = []
        self.die_at = die_at

    def __call__(self, part: Sequence[int]) -> pl.DataFrame:
        if self.die_at is not None and part[0] >= self.die_at:
            raise KeyboardInterrupt
        self.shards.append(list(part))
        return pl.DataFrame({"n": part, "square": [n * n for n in part]})

    def stage(self, stage: Stage) -> None:
        table = stage.shards("squares", range(5), 2, self, "numbers")
        stage.counts = {"rows": table.height}


def test_a_finished_stage_is_not_done_twice(tmp_path: Path) -> None:
    first, second = Counter(), Counter()
    make_run(tmp_path).do("square", first.stage, [], {"a": 1})
    make_run(tmp_path).do("square", second.stage, [], {"a": 1})
    assert first.shards == [[0, 1], [2, 3], [4]]
    assert second.shards == []
    assert make_run(tmp_path).read("squares")["square"].to_list() == [0, 1, 4, 9, 16]
    assert make_run(tmp_path).manifest("square")["counts"] == {"rows": 5}


@pytest.mark.parametrize("change", ["settings", "seed", "input", "output"])
def test_a_stage_is_done_again_when_what_it_stands_on_changed(change: str, tmp_path: Path) -> None:
    source = tmp_path / "input.txt"
    source.write_text("one")
    make_run(tmp_path).do("square", Counter().stage, [source], {"a": 1})
    if change == "input":
        source.write_text("two")
    if change == "output":
        (tmp_path / "tables" / "squares.parquet").unlink()
    again = Counter()
    run = make_run(tmp_path, seed=2 if change == "seed" else 1)
    run.do("square", again.stage, [source], {"a": 2 if change == "settings" else 1})
    assert len(again.shards) == 3


def test_a_restart_goes_on_at_the_first_missing_shard(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_run(tmp_path).do("square", Counter(die_at=2).stage, [], {})
    assert not (tmp_path / "manifests").exists()
    rest = Counter()
    make_run(tmp_path).do("square", rest.stage, [], {})
    assert rest.shards == [[2, 3], [4]]
    assert not list((tmp_path / "shards").iterdir())


def test_shards_of_other_settings_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_run(tmp_path).do("square", Counter(die_at=2).stage, [], {"a": 1})
    rest = Counter()
    make_run(tmp_path).do("square", rest.stage, [], {"a": 2})
    assert rest.shards == [[0, 1], [2, 3], [4]]


def test_what_a_killed_run_was_writing_is_cleared_away(tmp_path: Path) -> None:
    path = tmp_path / "tables" / "t.parquet"
    write_table(path, pl.DataFrame({"a": [1]}))
    stale = path.with_name(f".t.parquet.{dead_process()}.partial")
    stale.write_bytes(b"half")
    make_run(tmp_path)
    assert not stale.exists()
    assert pl.read_parquet(path)["a"].to_list() == [1]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("old")

    def fail() -> None:
        with written_whole(path) as partial:
            partial.write_text("new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no table 'roles'"):
        make_run(tmp_path).read("roles")
    with pytest.raises(RunError, match="'align' has not finished"):
        make_run(tmp_path).manifest("align")


def test_a_folder_hash_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    one = file_hash(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert file_hash(tmp_path) != one
    (tmp_path / "b").rename(tmp_path / "a")
    assert file_hash(tmp_path) == one


def test_the_manifest_says_what_made_what(tmp_path: Path) -> None:
    make_run(tmp_path).do("square", Counter().stage, [], {"a": 1})
    manifest = json.loads((tmp_path / "manifests" / "square.json").read_text())
    assert manifest["fingerprint"] == {"settings": {"a": 1}, "inputs": {}, "seed": 1}
    assert manifest["outputs"] == {"tables/squares.parquet": file_hash(tmp_path / "tables" / "squares.parquet")}
    assert {"torch", "transformers", "trackrec"} <= set(manifest["versions"])


def test_a_run_opened_for_reading_leaves_what_another_command_is_writing(tmp_path: Path) -> None:
    make_run(tmp_path).do("square", Counter().stage, [], {"a": 1})
    unfinished = tmp_path / "tables" / f".cubes.parquet.{dead_process()}.partial"
    unfinished.write_text("half of it")
    run = Run(tmp_path, Reporter(), 1, reading=True)
    assert run.read("squares").height == 5
    assert unfinished.exists()
    with pytest.raises(RunError, match="was opened for reading, but stage 'square' was to run"):
        run.do("square", Counter().stage, [], {"a": 1})
    make_run(tmp_path)
    assert not unfinished.exists(), "a command that goes on with the run clears up"
