"""What may happen to a finished run's folder: new interactions, somebody to be forgotten, damage, a second process."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.data.log_updates import RefreshSettings
from trackrec.data.roles import Role
from trackrec.export import export_run
from trackrec.pipeline.forget import forget_user
from trackrec.pipeline.job import run_recipe
from trackrec.pipeline.update import find_updates
from trackrec.progress import Reporter
from trackrec.recipe import load_recipe
from trackrec.report import write_report

pytestmark = pytest.mark.slow


def write_named_log(folder: Path) -> dict[str, Any]:
    """The tiny log as tables in which users have names, and the settings of its source."""
    write_tiny_log(folder)
    rows = [line.split("\t") for line in (folder / "u.data").read_text().splitlines()]
    lines = [f"person-{int(user):04d},{film},{rating},{at}" for user, film, rating, at in rows]
    (folder / "log.csv").write_text("\n".join(["user,item,rating,timestamp", *lines]) + "\n")
    films = [f"{film},Film {film},{'Drama' if film % 2 else 'Comedy'}" for film in range(1, 41)]
    (folder / "films.csv").write_text("\n".join(["item,title,genres", *films]) + "\n")
    tables = {"interactions": str(folder / "log.csv"), "items": str(folder / "films.csv")}
    return {"source": "tables", "tables": tables}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> Path:
    log = tmp_path_factory.mktemp("log")
    recipe = tiny_recipe(tiny_model_folder, log, source=write_named_log(log))
    return run_recipe(recipe, tmp_path_factory.mktemp("run") / "undisturbed")


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be maltreated."""
    return Path(shutil.copytree(finished, tmp_path / "run [1]"))


def go_on(folder: Path) -> list[str]:
    """Start the run again; gives the stages that were done, not found done."""
    console = Console(file=io.StringIO(), width=300)
    run_recipe(load_recipe(folder / "recipe.yaml"), folder, Reporter(console))
    lines = re.findall(r"^ *\d+:\d\d  (.*?) *$", console.file.getvalue(), re.MULTILINE)  # type: ignore[attr-defined]
    told = [line for line in lines if line.split(":")[0] in STAGES]
    assert len({line.split(":")[0] for line in told}) > 20, "every stage says what became of it"
    return [line for line in told if re.search(r": \d+ s$", line)]


STAGES = {"data", "teach", "distil", "check", "promote", "din"}
STAGES |= {f"{step}-{number}" for step in ("write", "sample", "test-own") for number in range(3)}
STAGES |= {
    f"{step}-{kind}-{n}" for step in ("tune", "score", "prefer", "align") for kind in ("lm", "ranker") for n in range(3)
}


def traces(folder: Path, words: list[str]) -> list[str]:
    """Files in which one of the words stands, packed columns unpacked."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            text += pl.read_parquet(path, glob=False).write_json()
        if any(word in text for word in words):
            found.append(str(path.relative_to(folder)))
    return found


def test_a_finished_run_stays_finished(folder: Path) -> None:
    assert go_on(folder) == []


@pytest.mark.parametrize("role", [Role.LM, Role.LM_VALIDATION, Role.RANKER])
def test_a_person_is_forgotten_for_good(folder: Path, role: Role) -> None:
    roles = pl.read_parquet(folder / "tables" / "roles.parquet", glob=False)
    user = roles.filter(pl.col("role") == role)["user_id"][0]
    texts = pl.read_parquet(folder / "reccots.parquet", glob=False)
    mine = set(texts.filter(pl.col("user_id") == user)["text"]) - set(texts.filter(pl.col("user_id") != user)["text"])
    assert mine, "some text is this user's alone"
    words = [user, *(json.dumps(text)[1:-1] for text in mine if text)]
    write_report(folder)
    export_run(folder, "recbole", folder / "exports" / "recbole", with_items=False)
    assert len(traces(folder, words)) >= 10
    told = forget_user(user, folder)
    assert traces(folder, words) == []
    assert user not in told
    assert ("To tune them anew" in told) == (role == Role.LM)
    assert go_on(folder) == []
    assert traces(folder, words) == []
    for table in ("roles", "teacher", "write-1", "sample-1"):
        (folder / "tables" / f"{table}.parquet").unlink()
    shutil.rmtree(folder / "adapters" / "generator-0")
    again = go_on(folder)
    assert any(line.startswith("distil") for line in again)
    assert traces(folder, words) == []
    write_report(folder)
    assert traces(folder, words) == []
    tuned = json.loads((folder / "manifests" / "distil.json").read_text())["counts"]["tuned_on"]
    assert tuned
    assert user not in tuned


def test_the_test_table_cannot_be_replaced_by_the_labels(folder: Path) -> None:
    path = folder / "tables" / "test-own-1.parquet"
    table = pl.read_parquet(path, glob=False)
    table.with_columns(yes_probability=pl.col("label").cast(pl.Float64)).write_parquet(path)
    before = (folder / "metrics.json").read_bytes()
    assert any(line.startswith("test-own-1: ") for line in go_on(folder))
    assert pl.read_parquet(path, glob=False).equals(table)
    assert (folder / "metrics.json").read_bytes() == before


def test_an_update_of_a_finished_run(folder: Path, tmp_path: Path) -> None:
    rows = [("person-0003", str(film), 5, 890_000_000 + film) for film in range(1, 41)]
    pl.DataFrame(rows, schema=["user", "item", "rating", "time"], orient="row").write_csv(tmp_path / "new.csv")
    found = find_updates(folder, str(tmp_path / "new.csv"), "", {}, RefreshSettings())
    assert found.refresh["user_id"].to_list() == ["person-0003"]
    assert found.counts["users_with_a_reccot"] == pl.read_parquet(folder / "vectors.parquet", glob=False).height
