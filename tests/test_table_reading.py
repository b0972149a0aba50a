"""Paths are paths: no character in a run folder's name makes it a pattern."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from trackrec.files.tables import read_table
from trackrec.files.whole import write_table, written_whole
from trackrec.progress import Reporter
from trackrec.run import Run, Stage
from trackrec.writing.place import Place

ROOT = Path(__file__).resolve().parent.parent
NEIGHBOURS = [("run[1]", "run1"), ("run*", "run-other"), ("run?", "runs"), ("{a,b}", "a"), ("**", "deep")]


def run_with(folder: Path, number: int) -> Run:
    run = Run(folder, Reporter(), seed=1)

    def work(stage: Stage) -> None:
        stage.shards("numbers", [number], 1, lambda part: pl.DataFrame({"n": part}), "numbers")

    run.do("count", work, [], {})
    return run


@pytest.mark.parametrize(("name", "neighbour"), NEIGHBOURS)
def test_a_run_reads_its_own_tables(name: str, neighbour: str, tmp_path: Path) -> None:
    run_with(tmp_path / neighbour, 1)
    run = run_with(tmp_path / name, 2)
    assert run.read("numbers")["n"].to_list() == [2]
    assert not any((tmp_path / name / "shards").iterdir())


@pytest.mark.parametrize(("name", "neighbour"), NEIGHBOURS)
def test_a_missing_table_is_missing(name: str, neighbour: str, tmp_path: Path) -> None:
    for folder in (tmp_path / neighbour, tmp_path / name):
        folder.mkdir()
    pl.DataFrame({"n": [1]}).write_parquet(tmp_path / neighbour / "t.parquet")
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / name / "t.parquet")


def test_the_home_folder_is_not_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    pl.DataFrame({"n": [3]}).write_parquet(tmp_path / "~" / "t.parquet")
    assert read_table(Path("~") / "t.parquet", columns=["n"])["n"].to_list() == [3]


def test_nor_is_it_where_something_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polars would put a table for ``~/t.parquet`` into the home folder."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    (work / "~").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    write_table(Path("~/t.parquet"), pl.DataFrame({"n": [3]}))
    with written_whole(Path("~/export")) as partial:
        partial.mkdir()
        pl.DataFrame({"n": [4]}).write_parquet(partial / "t.parquet")
    run_with(Path("~/run"), 5)
    assert list(home.iterdir()) == []
    assert sorted(path.name for path in (work / "~").iterdir()) == ["export", "run", "t.parquet"]
    assert read_table(Path("~/t.parquet"))["n"].to_list() == [3]
    assert read_table(Path("~/export/t.parquet"))["n"].to_list() == [4]
    assert Run(Path("~/run"), Reporter(), seed=1).read("numbers")["n"].to_list() == [5]


@pytest.mark.parametrize(("name", "neighbour"), NEIGHBOURS)
def test_nothing_of_a_neighbour_is_removed_on_object_storage(name: str, neighbour: str) -> None:
    places = [Place(f"memory://patterns/{folder}") for folder in (name, neighbour)]
    for place in places:
        place.write("versions/1/a.json", place.url.encode())
        place.write("versions/1/work/b.json", b"{}")
        place.write("versions/2/c.json", b"{}")
    mine, other = places
    mine.remove("versions/1")
    mine.remove("versions/2/c.json")
    mine.remove("versions/not-there")
    assert not mine.exists("versions/1")
    assert mine.names("versions/2") == []
    assert other.names("versions/1") == ["a.json", "work"]
    assert other.read("versions/1/a.json") == other.url.encode()
    assert other.names("versions/2") == ["c.json"]


def test_a_stage_clears_away_its_own_shards_alone(tmp_path: Path) -> None:
    run = Run(tmp_path, Reporter(), seed=1)

    def stop(part: object) -> pl.DataFrame:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.do("count-texts", lambda stage: stage.shards("t", [1], 1, stop, "numbers") and None, [], {})
    assert (tmp_path / "shards" / "count-texts-t").is_dir()
    run_with(tmp_path, 2)
    assert (tmp_path / "shards" / "count-texts-t").is_dir()
    assert not (tmp_path / "shards" / "count-numbers").exists()


def test_no_table_is_read_past_the_helper() -> None:
    raw = re.compile(r"\bpl\.(read|scan)_(parquet|csv|ndjson|ipc|json|delta)\b")
    past = [
        str(path.relative_to(ROOT))
        for package in ("trackrec", "research")
        for path in sorted((ROOT / package).rglob("*.py"))
        if raw.search(path.read_text(encoding="utf-8"))
        and "data" not in path.parts
        # The helper; what was dealt into a new folder of its own; a log on object storage may be named by a pattern.
        and path.parts[-2:] not in {("files", "tables.py"), ("writing", "partition.py"), ("writing", "source.py")}
    ]
    assert past == []
