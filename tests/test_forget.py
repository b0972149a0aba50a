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
    (folder / "manifests" / "more.json").write_text(json.dumps({"counts": {"tuned_on": [1, 2], "epochs": [1, 2]}}))
    forget_user("2", folder)
    assert json.loads((folder / "manifests" / "more.json").read_text()) == {
        "counts": {"tuned_on": [1], "epochs": [1, 2]}
    }


KEYS = ["arm", "outputs", "counts", "users", "stage", "fold-0", "tuned_on", "scored_by", "promoted", "text", "1", "0.5"]
"""Ids that are also keys of JSON files, or equal to numbers in them."""


def make_keyed_run(folder: Path) -> Path:
    """A run whose users are called as keys and numbers of its manifests are."""
    folder = make_run(folder)
    everybody = pl.DataFrame({"user_id": KEYS, "text": [f"Likes number {n}." for n in range(len(KEYS))]})
    everybody.write_parquet(folder / "tables" / "keyed.parquet")
    texts = folder / "tables" / "keyed.parquet"
    manifests = {
        "promote": {
            "stage": "promote",
            "fingerprint": {"settings": {"kind": "lm", "margin": 0.5}, "inputs": {}, "seed": 1},
            "outputs": {},
            "counts": {"promoted": 1, "mean_auc": {"0": 0.5, "1": 0.75}},
            "seconds": 1,
        },
        "write-0": {
            "stage": "write-0",
            "fingerprint": {"settings": {"n": 1, "users": KEYS, "layers": ["1", "users"]}, "inputs": {}, "seed": 1},
            "outputs": {"tables/keyed.parquet": file_hash(texts)},
            "counts": {"users": len(KEYS), "texts": 1, "tokens": 1},
        },
        "tune-lm-0": {
            "stage": "tune-lm-0",
            "counts": {"fold-0": {"users": len(KEYS), "tuned_on": KEYS, "curve": [{"step": 1, "loss": 0.5}]}},
        },
        "score-lm-1": {"counts": {"scores": 1, "scored_by": {"lm-0-0": KEYS, "lm-0-1": ["ann"]}}},
    }
    for name, manifest in manifests.items():
        (folder / "manifests" / f"{name}.json").write_text(json.dumps(manifest))
    row = {"arm": "v_own", "round": 1, "role": "ranker", "metric": "auc", "value": 0.5, "users": 1, "examples": 1}
    (folder / "metrics.json").write_text(json.dumps([row]))
    (folder / "comparison.json").write_text(json.dumps({"users": 1, "arm": ["1", "arm"], "counts": {"1": 1}}))
    return folder


@pytest.mark.parametrize("user", KEYS)
def test_only_what_holds_ids_is_touched(user: str, tmp_path: Path) -> None:
    folder = make_keyed_run(tmp_path / "run")
    before = {path.name: json.loads(path.read_text()) for path in folder.rglob("*.json")}
    forget_user(user, folder)
    after = {path.name: json.loads(path.read_text()) for path in folder.rglob("*.json")}
    rest = [key for key in KEYS if key != user]
    before["write-0.json"]["fingerprint"]["settings"]["users"] = rest
    before["write-0.json"]["counts"]["users"] -= 1
    before["write-0.json"]["outputs"]["tables/keyed.parquet"] = file_hash(folder / "tables" / "keyed.parquet")
    before["tune-lm-0.json"]["counts"]["fold-0"] |= {"users": len(rest), "tuned_on": rest}
    before["score-lm-1.json"]["counts"]["scored_by"]["lm-0-0"] = rest
    assert after == before
    assert pl.read_parquet(folder / "tables" / "keyed.parquet")["user_id"].to_list() == rest
    assert pl.read_parquet(folder / "tables" / "histories.parquet").height == 3
