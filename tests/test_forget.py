"""A user who is to be forgotten leaves no trace in a run folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.forget import forget_user
from trackrec.pipeline.job import open_run
from trackrec.progress import Reporter
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


def test_states_of_trainings_that_saw_the_user_go(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    state = folder / "checkpoints" / "distil-generator" / "checkpoint-2"
    state.mkdir(parents=True)
    (state / "optimizer.pt").write_bytes(b"moments of gradients on the user's texts")
    forget_user(ZOE, folder)
    assert not (folder / "checkpoints").exists()


def test_no_file_names_the_user_any_more(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    assert len(traces(folder, ZOE)) == 5
    told = forget_user(ZOE, folder)
    assert traces(folder, ZOE) == []
    assert len(traces(folder, "ann")) == 5
    assert (folder / "forgotten.json").is_file()
    assert "4 rows from 4 tables" in told
    assert "No later stage of this run reads the user again" in told
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
    del after["forgotten.json"]
    rest = [key for key in KEYS if key != user]
    before["write-0.json"]["fingerprint"]["settings"]["users"] = rest
    before["write-0.json"]["counts"]["users"] -= 1
    before["write-0.json"]["outputs"]["tables/keyed.parquet"] = file_hash(folder / "tables" / "keyed.parquet")
    before["tune-lm-0.json"]["counts"]["fold-0"] |= {"users": len(rest), "tuned_on": rest}
    before["score-lm-1.json"]["counts"]["scored_by"]["lm-0-0"] = rest
    assert after == before
    assert pl.read_parquet(folder / "tables" / "keyed.parquet")["user_id"].to_list() == rest
    assert pl.read_parquet(folder / "tables" / "histories.parquet").height == 3


def test_what_others_have_of_the_user_goes_and_their_rows_stay(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    texts = {"ann": "Likes drama.", ZOE: "Likes films about bees.", "bob": "Likes films."}
    written = pl.DataFrame({"user_id": list(texts), "text": list(texts.values())})
    shared = pl.DataFrame({"user_id": [ZOE, "bob"], "text": ["Likes films.", "Likes films."]})
    pl.concat([written, shared]).unique(maintain_order=True).write_parquet(folder / "tables" / "write-0.parquet")
    given = [("ann", 0, "Likes drama.", 3), ("ann", 2, texts[ZOE], 5), ("bob", 2, "Likes films.", 3), (ZOE, 0, "x", 1)]
    check = pl.DataFrame(given, schema=["user_id", "sample", "text", "tokens"], orient="row")
    check.write_parquet(folder / "tables" / "check-texts.parquet")
    vectors = {"user_id": ["ann", "bob", ZOE], "source_user_id": [ZOE, "ann", "bob"], "has_reccot": [True, True, True]}
    swapped = pl.DataFrame(vectors | {"vector": [[1.0], [2.0], [3.0]]})
    swapped.write_parquet(folder / "tables" / "compare-vectors.parquet")
    forget_user(ZOE, folder)
    assert traces(folder, ZOE) == []
    assert pl.read_parquet(folder / "tables" / "check-texts.parquet").rows() == [
        ("ann", 0, "Likes drama.", 3),
        ("ann", 2, None, None),
        ("bob", 2, "Likes films.", 3),  # written for bob too
    ]
    assert pl.read_parquet(folder / "tables" / "compare-vectors.parquet").rows() == [
        ("ann", None, False, None),
        ("bob", "ann", True, [2.0]),
    ]


def test_partial_files_exports_and_runs_inside_are_reached(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    make_run(folder / "ablations" / "sft")
    for place in (folder, folder / "ablations" / "sft"):
        export = place / "exports" / "a"
        export.mkdir(parents=True)
        (export / "trackrec-export.json").write_text("{}")
        (export / "a.inter").write_text(f"user_id:token\n{ZOE}\n")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    half = folder / "tables" / f".write-9.parquet.{ended.pid}.partial"
    half.write_text(ZOE)
    (folder / "my.log").write_text(f"asked for {ZOE}")
    told = forget_user(ZOE, folder)
    assert traces(folder, ZOE) == ["my.log"]
    assert f"still name the user or have a text of the user's: {folder / 'my.log'}" in told
    assert f"Removed exports, to be written anew: {folder / 'ablations' / 'sft' / 'exports' / 'a'}" in told
    assert len(traces(folder / "ablations", "ann")) == 5


def test_damaged_files_cannot_hide_the_user(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    table, manifest = folder / "tables" / "bad.parquet", folder / "manifests" / "bad.json"
    table.write_bytes(b"PAR1" + ZOE.encode())
    manifest.write_text('{"counts": "' + ZOE)
    told = forget_user(ZOE, folder)
    assert traces(folder, ZOE) == []
    assert f"Removed what was damaged and could not be searched: {manifest}, {table}" in told


def test_a_run_at_work_is_not_disturbed(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    script = "import sys, pathlib\nfrom trackrec.files.lock import locked\nwith locked(pathlib.Path(sys.argv[1])):\n"
    script += "    print('held', flush=True)\n    sys.stdin.read()"
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(RunError, match=f"process {other.pid} on"):
            forget_user(ZOE, folder)
        other.kill()
    assert len(traces(folder, ZOE)) == 5
    half = folder / "tables" / f".t.parquet.{os.getppid()}.partial"
    half.write_text("half of it")
    with pytest.raises(RunError, match=f"process {os.getppid()} is writing"):
        forget_user(ZOE, folder)
    half.unlink()
    forget_user(ZOE, folder)


def test_manifests_follow_their_tables_but_never_hide_a_change(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    table = folder / "tables" / "histories.parquet"
    told = {"tables/histories.parquet": file_hash(table), "reccots.parquet": "changed by hand before"}
    settings = {"texts": "a" * 64, "users": 3}
    stage = {"fingerprint": {"settings": settings, "inputs": told, "seed": 1}, "outputs": {}, "counts": {}}
    (folder / "manifests" / "next.json").write_text(json.dumps(stage))
    forget_user(ZOE, folder)
    after = json.loads((folder / "manifests" / "next.json").read_text())
    assert after["fingerprint"]["inputs"] == {
        "tables/histories.parquet": file_hash(table),
        "reccots.parquet": "changed by hand before",
    }
    assert after["take_over"] == ["texts", "users"]


def test_weights_tuned_on_the_user_are_named_with_what_came_of_them(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    stages = {
        "distil": ({}, ["generator-0"], {"tuned_on": [ZOE]}),
        "align-lm-1": ({"adapters/generator-0": "x"}, ["generator-1"], {"tuned_on": ["ann"]}),
        "tune-lm-0": (
            {"tables/write-0.parquet": "x"},
            ["validator-lm-0-0", "validator-lm-0-1"],
            {"fold-0": {"tuned_on": ["ann"]}, "fold-1": {"tuned_on": [ZOE, "bob"]}},
        ),
    }
    for name, (inputs, adapters, counts) in stages.items():
        outputs = {f"adapters/{adapter}": "x" for adapter in adapters}
        for adapter in adapters:
            (folder / "adapters" / adapter).mkdir(parents=True)
        manifest = {"fingerprint": {"settings": {}, "inputs": inputs, "seed": 1}, "outputs": outputs, "counts": counts}
        (folder / "manifests" / f"{name}.json").write_text(json.dumps(manifest))
    told = forget_user(ZOE, folder)
    assert "adapters/generator-0, adapters/generator-1, adapters/validator-lm-0-1. To tune them anew" in told


def test_the_person_does_not_come_back(tmp_path: Path) -> None:
    log = write_tiny_log(tmp_path / "log")
    recipe = tiny_recipe(tmp_path / "no-model-is-read", log)
    folder = tmp_path / "run"
    first = prepare(recipe, open_run(recipe, folder, Reporter()))
    user = first.users(Role.RANKER)[0]
    forget_user(str(user), folder)
    kept = prepare(recipe, open_run(recipe, folder, Reporter()))
    assert kept.roles.height == first.roles.height - 1
    (folder / "tables" / "roles.parquet").unlink()
    anew = prepare(recipe, open_run(recipe, folder, Reporter()))
    for table in (anew.roles, anew.histories, anew.examples, anew.targets, anew.baselines):
        assert user not in table["user_id"].to_list()
    assert anew.roles.height == first.roles.height - 1
    variant = prepare(recipe, open_run(recipe, folder / "ablations" / "sft", Reporter(), lender=folder))
    assert user not in variant.roles["user_id"].to_list()
    assert forget_user(str(user), folder).startswith("Removed 0 rows"), "forgetting twice is no error"
    (folder / "forgotten.json").write_text("{")
    with pytest.raises(RunError, match=r"forgotten\.json is damaged: it says who was forgotten"):
        open_run(recipe, folder, Reporter())


def test_a_run_where_somebody_else_is_forgotten_lends_nothing(tmp_path: Path) -> None:
    log = write_tiny_log(tmp_path / "log")
    recipe = tiny_recipe(tmp_path / "no-model-is-read", log)
    lender, folder = tmp_path / "lender", tmp_path / "run"
    user = prepare(recipe, open_run(recipe, lender, Reporter())).users(Role.LM)[0]
    prepare(recipe, open_run(recipe, folder, Reporter(), lender=lender))
    forget_user(str(user), folder)
    (folder / "manifests" / "data.json").unlink()
    dataset = prepare(recipe, open_run(recipe, folder, Reporter(), lender=lender))
    assert user not in dataset.roles["user_id"].to_list()
