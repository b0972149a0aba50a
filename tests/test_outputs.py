"""What a finished stage wrote is held against its manifest wherever it is read, and stays in line when it changes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tiny import write_tiny_model
from writing_world import write_run

from trackrec.errors import RunError
from trackrec.files.hashes import file_hash
from trackrec.files.manifests import as_written
from trackrec.progress import Reporter
from trackrec.report.run_data import RunData
from trackrec.run import Run, Stage
from trackrec.terminal import Terminal
from trackrec.writing.run_view import RunView


def make_outputs(stage: Stage) -> None:
    numbers = pl.DataFrame({"n": [1, 2]})
    stage.write("numbers", numbers)
    stage.output("reccots", numbers)
    with stage.folder(stage.run.folder / "generator") as folder:
        (folder / "config.json").write_text("{}")
        (folder / "weights").write_bytes(bytes(100))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of two stages; the second one reads what the first one wrote."""
    made = Run(tmp_path / "run", Reporter(), seed=1)
    made.do("make", make_outputs, [], {})
    inputs = [made.folder / "reccots.parquet", made.folder / "generator"]
    made.do("next", lambda stage: stage.write("more", pl.DataFrame({"n": [3]})), inputs, {})
    return Run(made.folder, Reporter(), seed=1, reading=True)


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change_labels(path: Path) -> None:
    pl.DataFrame({"n": [2, 1]}).write_parquet(path)


READS: list[tuple[str, Callable[[Path], None], Callable[[Run], object]]] = [
    ("tables/numbers.parquet", change_labels, lambda run: run.read("numbers")),
    ("tables/numbers.parquet", change_a_byte, lambda run: RunData(run.folder).table("numbers")),
    ("reccots.parquet", change_labels, lambda run: run.read_output("reccots")),
    ("reccots.parquet", change_labels, lambda run: RunData(run.folder).output("reccots")),
    ("generator/weights", change_a_byte, lambda run: run.written(run.folder / "generator")),
    ("generator/config.json", Path.unlink, lambda run: run.written(run.folder / "generator")),
    ("generator/weights", change_a_byte, lambda run: as_written(run.folder, run.folder / "generator")),
]


@pytest.mark.parametrize(("name", "change", "read"), READS)
def test_what_its_stage_did_not_write_is_named_and_not_read(
    name: str, change: Callable[[Path], None], read: Callable[[Run], object], run: Run
) -> None:
    assert read(run) is not None
    change(run.folder / name)
    again = Run(run.folder, Reporter(), seed=1, reading=True)
    named = "generator" if "/" in name and "tables" not in name else name
    with pytest.raises(RunError, match=rf"(table|folder) .*{named} is not what its stage wrote.*[Ss]tart the run"):
        read(again)


def test_what_no_stage_wrote_is_read(run: Run) -> None:
    pl.DataFrame({"n": [7]}).write_parquet(run.folder / "vectors.parquet")
    assert run.read_output("vectors")["n"].to_list() == [7]
    with pytest.raises(RunError, match="cannot name a file"):
        run.read_output("../run/reccots")


def test_manifests_follow_a_change_on_purpose_and_nothing_is_done_again(run: Run) -> None:
    with run.changing([run.folder / "reccots.parquet", run.folder / "tables" / "not-there.parquet"]):
        change_labels(run.folder / "reccots.parquet")
    assert run.read_output("reccots")["n"].to_list() == [2, 1]
    again = Run(run.folder, Reporter(), seed=1)

    def never(stage: Stage) -> None:
        raise AssertionError(f"{stage.name} was done again")

    again.do("make", never, [], {})
    again.do("next", never, [run.folder / "reccots.parquet", run.folder / "generator"], {})


def test_what_was_wrong_before_a_change_stays_wrong(run: Run) -> None:
    pl.DataFrame({"n": [9, 9]}).write_parquet(run.folder / "reccots.parquet")
    with run.changing([run.folder / "reccots.parquet"]):
        change_labels(run.folder / "reccots.parquet")
    with pytest.raises(RunError, match="is not what its stage wrote"):
        run.read_output("reccots")


def test_writing_reads_what_the_run_wrote(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    items = pl.read_parquet(folder / "tables" / "items.parquet")
    Run(folder, Reporter(), seed=1).do("data", lambda stage: stage.write("items", items), [], {})
    assert RunView.open(folder).read("items").equals(items)
    items.with_columns(title=pl.lit("What I sell")).write_parquet(folder / "tables" / "items.parquet")
    with pytest.raises(RunError, match=r"items\.parquet is not what its stage wrote"):
        RunView.open(folder).read("items")


def test_a_file_s_name_may_be_any_bytes(tmp_path: Path) -> None:
    """They are hashed, told in a manifest, and shown."""
    name = os.fsdecode(b"log-\xff\x1b[2J")
    try:
        (tmp_path / name).write_text("a")
    except OSError:
        pytest.skip("this disk takes no such name")
    made = Run(tmp_path / "run", Reporter(), seed=1)

    def work(stage: Stage) -> None:
        with stage.folder(made.folder / "generator") as folder:
            (folder / name).write_text("a")

    made.do("make", work, [], {"log": {name: file_hash(tmp_path / name)}})
    assert made.written(made.folder / "generator")
    assert made.manifest("make")["fingerprint"]["settings"]["log"] == {name: file_hash(tmp_path / name)}
    (made.folder / "generator" / name).write_text("b")
    with pytest.raises(RunError, match="is not what its stage wrote"):
        made.written(made.folder / "generator")
    sink = io.StringIO()
    Terminal(file=sink).say(tmp_path / name)
    assert "log-\\udcff\\x1b[2J" in sink.getvalue().encode("utf-8").decode().replace("\n", "")


def test_weights_that_a_recipe_only_names_are_part_of_what_texts_depend_on(tmp_path: Path) -> None:
    """A model in a folder of this machine; of the hub's and the embedded ones the name stands for one content."""
    folder, model = write_run(tmp_path / "run"), write_tiny_model(tmp_path / "model")
    plain = RunView.open(folder).fingerprint
    assert not [name for name in plain if name.endswith(".name")]
    recipe = folder / "recipe.yaml"
    told = recipe.read_text(encoding="utf-8")
    recipe.write_text(told.replace("name: smollm2-135m-instruct", f"name: {model}", 1), encoding="utf-8")
    before = RunView.open(folder).fingerprint
    assert "model.name" in before
    change_a_byte(model / "model.safetensors")
    after = RunView.open(folder).fingerprint
    assert {name for name in before if before[name] != after[name]} == {"model.name"}
