"""A user who is to be forgotten leaves no trace in a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from trackrec.errors import RunError
from trackrec.pipeline.forget import forget_user
from trackrec.run import file_hash

ZOE = "zoe-7741"


def make_run(folder: Path) -> Path:
    (folder / "tables").mkdir(parents=True)
    (folder / "manifests").mkdir()
    (folder / "shards" / "write-0").mkdir(parents=True)
    (folder / "recipe.yaml").write_text("name: made\n")
    people = pl.DataFrame({"user_id": ["ann", ZOE, "bob"], "text": ["a", f"about {ZOE}", "b"]})
    for name in ("reccots.parquet", "vectors.parquet", "tables/histories.parquet", "shards/write-0/0.parquet"):
        people.write_parquet(folder / name)
    pl.DataFrame({"item_id": [1], "title": ["T"]}).write_parquet(folder / "tables/items.parquet")
    manifest = {
        "stage": "distil",
        "fingerprint": {"settings": {"users": ["ann", ZOE]}},
        "outputs": {"tables/histories.parquet": file_hash(folder / "tables/histories.parquet")},
        "counts": {"users": 2, "tuned_on": ["ann", ZOE], "scored_by": {"lm-0-0": [ZOE]}},
    }
    (folder / "manifests" / "distil.json").write_text(json.dumps(manifest))
    return folder


def traces(folder: Path, name: str) -> list[str]:
    """Files that still name somebody, packed columns unpacked."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = pl.read_parquet(path).write_json() if path.suffix == ".parquet" else path.read_text(encoding="utf-8")
        if name in text or name.encode() in path.read_bytes():
            found.append(str(path.relative_to(folder)))
    return found


def test_no_file_names_the_user_any_more(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    assert len(traces(folder, ZOE)) == 5
    told = forget_user(ZOE, folder)
    assert traces(folder, ZOE) == []
    assert len(traces(folder, "ann")) == 5
    assert "4 rows from 4 tables" in told
    assert "tuned on this user" in told
    assert ZOE not in told


def test_the_manifest_still_fits_its_tables(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    forget_user(ZOE, folder)
    manifest = json.loads((folder / "manifests" / "distil.json").read_text())
    assert manifest["counts"] == {"users": 1, "tuned_on": ["ann"], "scored_by": {"lm-0-0": []}}
    assert manifest["outputs"]["tables/histories.parquet"] == file_hash(folder / "tables/histories.parquet")


def test_an_unknown_user_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no table or manifest"):
        forget_user("nobody", make_run(tmp_path / "run"))
    with pytest.raises(RunError, match="holds no run"):
        forget_user("nobody", tmp_path / "else")


def test_numbers_that_are_no_ids_stay(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    pl.DataFrame({"user_id": [1, 2], "rating": [2.0, 2.0]}).write_parquet(folder / "tables" / "more.parquet")
    (folder / "manifests" / "more.json").write_text(json.dumps({"counts": {"users": [1, 2], "epochs": [1, 2]}}))
    forget_user("2", folder)
    assert json.loads((folder / "manifests" / "more.json").read_text()) == {"counts": {"users": [1], "epochs": [1, 2]}}
