"""A run folder that somebody else works in, that was damaged, or whose inputs changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pytest
from forked import exit_code_of, needs_fork
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.data.sources import SourceSettings
from trackrec.data.sources.settings import source_files
from trackrec.errors import LogError, RunError
from trackrec.files.hashes import content_of, file_hash
from trackrec.files.lock import locked
from trackrec.files.whole import written_whole
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.progress import Reporter
from trackrec.recipe import load_recipe
from trackrec.run import Run, Stage
from trackrec.writing.place import Place

HOLD = """
import sys, pathlib
from trackrec.files.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


class Lines(Reporter):
    """Keeps what is reported."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def line(self, text: str) -> None:
        self.told.append(text)


class Work:
    """A stage of two tables, the second from shards, that counts how often it was done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, stage: Stage) -> None:
        self.times += 1
        stage.write("letters", pl.DataFrame({"letter": list("abcdefgh")}))
        stage.shards("squares", range(6), 2, self.shard, "numbers")

    @staticmethod
    def shard(part: Sequence[int]) -> pl.DataFrame:
        return pl.DataFrame({"n": list(part), "square": [n * n for n in part]})


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, at work in ``tmp_path / "run"``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_told_who_is_at_work(tmp_path: Path, other_process: subprocess.Popen[str]) -> None:
    folder, work = tmp_path / "run", Work()
    who = rf"another process is at work in .*run: process {other_process.pid} on .*, for 0 minutes\. Wait"
    with pytest.raises(RunError, match=who):
        Run(folder, Reporter(), 1)
    reading = Run(folder, Reporter(), 1, reading=True)
    with pytest.raises(RunError, match="has no table"):
        reading.read("letters")
    other_process.kill()
    other_process.wait()
    Run(folder, Reporter(), 1).do("make", work, [], {})
    assert work.times == 1


def test_the_same_process_may_take_the_lock_again(tmp_path: Path) -> None:
    folder, other_name = tmp_path / "run", tmp_path / "same"
    folder.mkdir()
    other_name.symlink_to(folder, target_is_directory=True)
    with locked(folder), locked(other_name):
        Run(folder, Reporter(), 1).do("make", Work(), [], {})
        assert (folder / ".lock-owner.json").exists()
    assert not (folder / ".lock-owner.json").exists()


def test_what_a_living_process_is_writing_stays(tmp_path: Path, other_process: subprocess.Popen[str]) -> None:
    """A command that takes no lock, such as an export into the folder."""
    folder = tmp_path / "elsewhere"
    half = folder / "tables" / f".t.parquet.{other_process.pid}.partial"
    half.mkdir(parents=True)
    Run(folder, Reporter(), 1)
    assert half.exists()
    other_process.kill()
    other_process.wait()
    Run(folder, Reporter(), 1)
    assert not half.exists()


@needs_fork
def test_a_kill_at_the_rename_of_the_recipe_leaves_a_folder_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    recipe = load_recipe("quick")

    def die(source: Path, target: Path) -> None:
        if str(target).endswith("recipe.yaml"):
            os._exit(9)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", die)
        assert exit_code_of(lambda: open_run(recipe, folder, Reporter())) == 9
    assert [path.name for path in folder.iterdir() if "recipe" in path.name] != ["recipe.yaml"]
    open_run(recipe, folder, Reporter())
    assert load_recipe(folder / "recipe.yaml") == recipe
    assert not list(folder.glob(".recipe*"))


@pytest.mark.parametrize("content", ["", "seed: 5\n"])
def test_a_recipe_that_lost_its_lines_is_named(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    open_run(load_recipe("quick"), folder, Reporter())
    (folder / "recipe.yaml").write_text(content)
    with pytest.raises(RunError, match=r"recipe\.yaml is damaged: put it back"):
        open_run(load_recipe("quick"), folder, Reporter())


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear ...")
    with pytest.raises(RunError, match=r"is not empty and holds no run"):
        open_run(load_recipe("quick"), tmp_path, Reporter())
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "flipped": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "other rows": lambda path: pl.DataFrame({"letter": list("zzzzzzzz")}).write_parquet(path),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_named_and_made_again(damage: str, tmp_path: Path) -> None:
    work, reporter = Work(), Lines()
    Run(tmp_path, reporter, 1).do("make", work, [], {})
    path = tmp_path / "tables" / "letters.parquet"
    DAMAGES[damage](path)
    with pytest.raises(RunError, match=r"letters"):
        Run(tmp_path, reporter, 1, reading=True).read("letters")
    Run(tmp_path, reporter, 1).do("make", work, [], {})
    assert work.times == 2
    assert any(str(path) in line for line in reporter.told)
    assert Run(tmp_path, reporter, 1).read("letters")["letter"].to_list() == list("abcdefgh")
    Run(tmp_path, reporter, 1).do("make", work, [], {})
    assert work.times == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fingerprint": 1}', '{"seconds": 1, "outputs": []}', "\x00\x00"])
def test_a_damaged_manifest_is_named_and_its_stage_done_again(text: str, tmp_path: Path) -> None:
    work, reporter = Work(), Lines()
    Run(tmp_path, reporter, 1).do("make", work, [], {})
    (tmp_path / "manifests" / "make.json").write_text(text)
    with pytest.raises(RunError, match=r"make\.json is damaged"):
        Run(tmp_path, reporter, 1, reading=True).manifest("make")
    Run(tmp_path, reporter, 1).do("make", work, [], {})
    assert work.times == 2
    assert any("make.json is damaged" in line for line in reporter.told)
    assert json.loads((tmp_path / "manifests" / "make.json").read_text())["stage"] == "make"


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "gone"])
def test_a_damaged_shard_is_made_again(damage: str, tmp_path: Path) -> None:
    def stop_at(limit: int, made: list[int]) -> object:
        def shard(part: Sequence[int]) -> pl.DataFrame:
            if part[0] >= limit:
                raise KeyboardInterrupt
            made.append(part[0])
            return Work.shard(part)

        return lambda stage: stage.shards("squares", range(6), 2, shard, "numbers")

    first: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, Reporter(), 1).do("make", stop_at(4, first), [], {})  # type: ignore[arg-type]
    assert first == [0, 2]
    DAMAGES[damage](tmp_path / "shards" / "make-squares" / "00000-of-00003.parquet")
    second: list[int] = []
    Run(tmp_path, Reporter(), 1).do("make", stop_at(9, second), [], {})  # type: ignore[arg-type]
    assert second == [0, 4]
    assert Run(tmp_path, Reporter(), 1).read("squares")["square"].to_list() == [0, 1, 4, 9, 16, 25]


def test_a_stage_that_is_done_again_and_killed_counts_as_not_done(tmp_path: Path) -> None:
    work = Work()
    Run(tmp_path, Reporter(), 1).do("make", work, [], {})

    def die(stage: Stage) -> None:
        stage.write("letters", pl.DataFrame({"letter": ["x"]}))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, Reporter(), 1).do("make", die, [], {"other": 1})
    Run(tmp_path, Reporter(), 1).do("make", work, [], {})
    assert work.times == 2


def test_a_figure_that_was_changed_in_a_manifest_is_noticed(tmp_path: Path) -> None:
    work = Work()
    Run(tmp_path, Reporter(), 1).do("make", work, [], {})
    path = tmp_path / "manifests" / "make.json"
    whole = json.loads(path.read_text())
    for change in ({"counts": {"users": 10_000}}, {"seconds": 0}, {"seal": "0"}, {"more": 1}):
        path.write_text(json.dumps(whole | change))
        with pytest.raises(RunError, match=r"make\.json is damaged"):
            Run(tmp_path, Reporter(), 1, reading=True).manifest("make")
    Run(tmp_path, Reporter(), 1).do("make", work, [], {})
    assert work.times == 2
    path.write_text(json.dumps({key: value for key, value in whole.items() if key != "seal"}))
    Run(tmp_path, Reporter(), 1).do("make", work, [], {})
    assert work.times == 2, "earlier versions wrote no hash"


def test_a_folder_of_an_older_version_is_refused(tmp_path: Path) -> None:
    Run(tmp_path, Reporter(), 1).do("data", Work(), [], {})
    path = tmp_path / "manifests" / "data.json"
    manifest = json.loads(path.read_text())
    del manifest["format"], manifest["seal"]
    manifest["versions"]["trackrec"] = "0.0.1"
    path.write_text(json.dumps(manifest))
    for reading in (True, False):
        with pytest.raises(RunError, match=r"was written by TrackRec 0\.0\.1 \(run format 1\).*start anew"):
            Run(tmp_path, Reporter(), 1, reading=reading)


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "..", "", "a\nb", "x" * 200, ".hidden"])
def test_a_name_is_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot name a file"):
        Run(tmp_path, Reporter(), 1).table(name)
    with pytest.raises(RunError, match="cannot name a file"):
        Run(tmp_path, Reporter(), 1).do(name, Work(), [], {})


def test_a_change_is_seen_even_where_the_size_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    old = time.time() - 100
    os.utime(path, (old, old))
    first = file_hash(path)
    path.write_bytes(b"two")
    os.utime(path, (old, old))  # the time of change of the inode stays what it is
    assert file_hash(path) != first


def test_a_large_file_is_remembered_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("trackrec.files.hashes._LARGE", 1)
    monkeypatch.setattr("trackrec.files.hashes._SETTLED", -1.0)
    path = tmp_path / "weights.bin"
    path.write_bytes(b"weights")
    found = file_hash(path)
    kept = json.loads((tmp_path / "cache" / "hashes.json").read_text())
    assert kept[str(path)][1] == found
    monkeypatch.setattr("trackrec.files.hashes._known", {})
    (tmp_path / "cache" / "hashes.json").write_text(json.dumps({str(path): [kept[str(path)][0], "from the disk"]}))
    assert file_hash(path) == "from the disk"
    (tmp_path / "cache" / "hashes.json").write_text("damaged")
    monkeypatch.setattr("trackrec.files.hashes._known", {})
    assert file_hash(path) == found


def test_what_is_in_the_files_that_settings_name_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "weights").write_bytes(b"1")
    (tmp_path / "texts.jsonl").write_text("one")
    settings = {"model": {"name": str(model)}, "teacher": [{"type": "texts", "path": str(tmp_path / "texts.jsonl")}]}
    before = content_of(settings)
    assert list(before) == ["model.name", "teacher.0.path"]
    (model / ".git").mkdir()
    (model / ".git" / "index").write_bytes(b"x")
    assert content_of(settings) == before
    (model / "weights").write_bytes(b"2")
    (tmp_path / "texts.jsonl").write_text("two")
    after = content_of(settings)
    assert after["model.name"] != before["model.name"]
    assert after["teacher.0.path"] != before["teacher.0.path"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "template").mkdir()  # a folder that happens to be called as a setting is
    assert content_of({"type": "template", "name": "template", "path": "", "file": "not-there"}) == {}
    assert content_of({"name": "smollm2-135m-instruct"}) == content_of({"name": "org/model-on-a-hub"}) == {}


def test_an_edited_log_is_read_again_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    log, folder, lines = write_tiny_log(tmp_path / "log"), tmp_path / "run", Lines()
    recipe = tiny_recipe(tmp_path / "no-model-is-read", log)
    first = prepare(recipe, open_run(recipe, folder, lines))
    prepare(recipe, open_run(recipe, folder, lines))
    assert lines.told[-1].startswith("data: done before")
    (log / "notes.txt").write_text("not a part of the log")
    prepare(recipe, open_run(recipe, folder, lines))
    assert lines.told[-1].startswith("data: done before")
    rows = [line.split("\t") for line in (log / "u.data").read_text().splitlines()]
    inverted = ["\t".join([user, film, str(7 - int(rating)), at]) for user, film, rating, at in rows]
    (log / "u.data").write_text("\n".join(inverted) + "\n")
    second = prepare(recipe, open_run(recipe, folder, lines))
    assert "done before" not in lines.told[-1]
    assert not second.targets.equals(first.targets)
    (log / "u.data").unlink()
    with pytest.raises(LogError, match=r"expected u\.data"):
        prepare(recipe, open_run(recipe, folder, lines))


def test_the_files_of_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item\n1,2\n")
    given = {"interactions": str(tmp_path / "a.csv"), "items": "https://shop.example/items.csv"}
    settings = SourceSettings.model_validate({"source": "tables", "tables": given})
    assert source_files(settings) == {"interactions": tmp_path / "a.csv"}
    (tmp_path / "a.csv").unlink()
    with pytest.raises(LogError, match=r"the log is not there: the table of interactions .*a\.csv does not exist"):
        source_files(settings)
    with pytest.raises(LogError, match=r"the folder .*gone does not exist"):
        source_files(SourceSettings(source="movielens-100k", folder=tmp_path / "gone"))


def test_a_file_is_on_the_disk_before_the_old_one_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("sync"), sync(descriptor))[1])
    monkeypatch.setattr(os, "replace", lambda old, new: (order.append("rename"), replace(old, new))[1])
    with written_whole(tmp_path / "a.json", durable=True) as partial:
        partial.write_text("{}")
    assert order == ["sync", "rename", "sync"]
    order.clear()
    (tmp_path / "new").write_text("table")
    place = Place(str(tmp_path / "place"))
    place.write("a.json", b"{}")
    place.upload(tmp_path / "new", "t.parquet")
    assert order == ["sync", "rename"] * 2
    assert (place.read("a.json"), place.read("t.parquet")) == (b"{}", b"table")
