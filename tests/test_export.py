"""Exports: each format holds what the run holds, in the form that its library documents."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml

from trackrec.errors import RunError
from trackrec.export import FORMATS, export_run
from trackrec.recipe import dump_recipe, make_recipe
from trackrec.run import write_json

USERS = range(1, 10)
VECTORS = {user: [float(user), 0.5, -1.0] for user in USERS if user != 9}


class Encoder:
    """A text's vector is its length and 1."""

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.asarray([[len(text), 1.0] for text in texts], dtype=np.float32)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Nine ranker users in three folds, one without a RecCoT; one LM user, who must not leave."""
    folder = tmp_path / "run"
    (folder / "tables").mkdir(parents=True)

    def write(name: str, table: pl.DataFrame) -> None:
        table.write_parquet(folder / "tables" / f"{name}.parquet")

    people = [*USERS, 77]
    roles = ["ranker"] * 9 + ["lm"]
    write("roles", pl.DataFrame({"user_id": people, "role": roles, "fold": [user % 3 for user in people]}))
    rows = [
        (user, 10 * user + n, f"i {n}", 4.0 + n % 2, 100 + n, n % 2, ["i 0", "i 2"][:n], [5.0, 1.0][:n], 3, 2)
        for user in people
        for n in range(3)
    ]
    columns = ["user_id", "event_id", "item_id", "rating", "timestamp", "label", "recent_item_ids", "recent_ratings"]
    write("examples", pl.DataFrame(rows, schema=[*columns, "raters", "likes"], orient="row"))
    write("histories", pl.DataFrame({"user_id": people * 2}))
    titles = ['"Tab\there" (1990)', "Zoë\nand Ivan", ""]
    genres = [["Sci Fi", "Drama"], ["Drama"], None]
    write("items", pl.DataFrame({"item_id": ["i 0", "i 1", "i 2"], "title": titles, "genres": genres}))
    write("test-own-2", pl.DataFrame({"user_id": [3], "event_id": [31], "yes_probability": [0.7]}))
    vectors = [VECTORS.get(user) for user in people]
    pl.DataFrame(
        {
            "user_id": people,
            "vector": vectors,
            "raw_vector": vectors,
            "has_reccot": [vector is not None for vector in vectors],
        },
        schema_overrides={"vector": pl.List(pl.Float32), "raw_vector": pl.List(pl.Float32)},
    ).write_parquet(folder / "vectors.parquet")
    texts = [f"About {user}, round {number}." for number in (1, 2) for user in people]
    kept = {"user_id": people * 2, "kind": ["kept"] * 20, "round": [1] * 10 + [2] * 10, "text": texts}
    pl.DataFrame(kept).write_parquet(folder / "reccots.parquet")
    recipe = dump_recipe(make_recipe({"name": "small", "split": {"recent": 2}}))
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    manifest = {"counts": {"promoted": 2}, "fingerprint": {"settings": {}}, "outputs": {}, "seconds": 0}
    write_json(folder / "manifests" / "promote.json", manifest)
    return folder


def export(run: Path, form: str, **more: object) -> Path:
    out = run.parent / form
    export_run(run, form, out, encoder=Encoder(), **more)  # type: ignore[arg-type]
    return out


def test_parquet_has_what_the_run_has_and_says_so(run: Path) -> None:
    out = export(run, "parquet")
    schema = json.loads((out / "schema.json").read_text(encoding="utf-8"))
    for name, said in schema.items():
        table = pq.read_table(out / f"{name}.parquet")
        assert table.num_rows == said["rows"]
        assert table.column_names == list(said["columns"])
        assert all(about["meaning"] for about in said["columns"].values())
    users = pl.read_parquet(out / "users.parquet")
    assert users["user_id"].to_list() == list(USERS)
    assert users.filter(user_id=4)["reccot"].item() == "About 4, round 2."
    assert users.filter(user_id=4)["reccot_vector"].item().to_list() == VECTORS[4]
    assert users.filter(user_id=9).select("has_reccot", "reccot", "reccot_vector").row(0) == (False, None, None)
    assert schema["users"]["columns"]["reccot_vector"]["missing"] == 1
    examples = pl.read_parquet(out / "examples.parquet")
    assert examples.height == 27
    assert examples.filter(event_id=31)["yes_probability"].item() == 0.7
    assert examples["yes_probability"].null_count() == 26
    parts = dict(examples.group_by("split").agg(pl.col("user_id").unique().sort()).iter_rows())
    assert parts == {"test": [3, 6, 9], "validation": [1, 4, 7], "train": [2, 5, 8]}
    items = pl.read_parquet(out / "items.parquet")
    assert items["has_text"].to_list() == [True, True, False]
    counts = json.loads((out / "trackrec-export.json").read_text(encoding="utf-8"))["counts"]
    assert counts["users_with_reccot"] == 8


def test_fuxictr_files_fit_their_configuration(run: Path) -> None:
    out = export(run, "fuxictr")
    config = yaml.safe_load((out / "dataset_config.yaml").read_text(encoding="utf-8"))["trackrec_small"]
    kinds = {feature["name"]: feature for feature in config["feature_cols"]}
    types = {"float": pl.Float64, "str": pl.String}
    for part, rows in (("train", 9), ("valid", 9), ("test", 9)):
        table = pl.read_parquet(out / config[f"{part}_data"])
        assert table.height == rows
        for feature in [*kinds.values(), config["label_col"]]:
            assert table.schema[feature["name"]] == types[feature["dtype"]], feature["name"]
            assert table[feature["name"]].null_count() == 0
    vectors = np.load(out / kinds["reccot"]["pretrained_emb"])
    assert dict(zip(vectors["key"].tolist(), vectors["value"].tolist(), strict=True)) == {
        str(user): vector for user, vector in VECTORS.items()
    }
    assert kinds["reccot"]["pretrain_dim"] == 3
    test = pl.read_parquet(out / "test.parquet").filter(user_id="9")
    assert test["has_reccot"].unique().to_list() == [0.0]
    assert test["recent_items"].to_list() == ["", "i 0", "i 0^i 2"]
    assert kinds["recent_items"]["share_embedding"] == "item_id"
    models = yaml.safe_load((out / "model_config.yaml").read_text(encoding="utf-8"))
    assert models["DNN_trackrec"]["dataset_id"] == "trackrec_small"


def test_recbole_files_are_what_its_reader_takes(run: Path) -> None:
    """Each line has the header's number of fields; a token has no space; numbers parse; what is missing has a mask."""
    out = export(run, "recbole")
    config = yaml.safe_load((out / "small.yaml").read_text(encoding="utf-8"))
    sources = {"user": ["user"], "item": ["item"], "inter": [f"{part}.inter" for part in config["benchmark_filename"]]}
    read: dict[str, list[dict[str, str]]] = {}
    for source, files in sources.items():
        for file in files:
            lines = (out / "small" / f"small.{file}").read_bytes().decode().split("\n")
            assert lines[-1] == ""
            names, kinds = zip(*(field.split(":") for field in lines[0].split("\t")), strict=True)
            assert set(config["load_col"][source]) <= set(names)
            rows = [line.split("\t") for line in lines[1:-1]]
            for row in rows:
                for kind, value in zip(kinds, row, strict=True):
                    assert kind in ("token", "token_seq", "float", "float_seq")
                    assert '"' not in value
                    if kind == "token":
                        assert value
                        assert " " not in value
                    if kind.startswith("float"):
                        assert np.isfinite([float(part) for part in value.split(" ")]).all()
            read[file] = [dict(zip(names, row, strict=True)) for row in rows]
    users = {row["user_id"]: row for row in read["user"]}
    assert [float(part) for part in users["4"]["reccot_vector"].split()] == VECTORS[4]
    assert users["9"]["has_reccot"] == "0.0"
    assert users["9"]["reccot_vector"] == "0.0 0.0 0.0"
    assert read["item"][0]["title"] == "'Tab here' (1990)"
    assert read["item"][0]["genres"] == "Sci%20Fi Drama"
    assert {row["item_id"] for row in read["item"]} == {"i%200", "i%201", "i%202"}
    assert read["test.inter"][2]["recent_item_ids"] == "i%200 i%202"
    ids = pl.read_parquet(out / "item_ids.parquet")
    assert ids.rows() == [("i%200", "i 0"), ("i%201", "i 1"), ("i%202", "i 2")]
    assert pl.read_parquet(out / "user_ids.parquet").schema["user_id"] == pl.Int64


def test_huggingface_reads_it(run: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = export(run, "huggingface")
    examples = datasets.load_dataset(str(out), "examples", cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in examples.items()} == {"train": 9, "validation": 9, "test": 9}
    users = datasets.load_dataset(str(out), "users", split="train", cache_dir=str(tmp_path / "cache"))
    assert {row["user_id"]: row["reccot_vector"] for row in users} == {user: VECTORS.get(user) for user in USERS}
    assert "| `reccot_vector` |" in (out / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("form", FORMATS)
def test_another_fold_without_item_vectors(run: Path, form: str) -> None:
    out = export(run, form, fold=1, with_items=False)
    said = json.loads((out / "trackrec-export.json").read_text(encoding="utf-8"))
    assert said["fold"] == 1
    assert said["counts"]["items_with_vector"] == 0


def test_only_an_earlier_export_is_written_over(run: Path) -> None:
    out = export(run, "parquet")
    export_run(run, "recbole", out, encoder=Encoder())
    assert not (out / "schema.json").exists()
    other = run.parent / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    with pytest.raises(RunError, match="is no earlier export"):
        export_run(run, "parquet", other, encoder=Encoder())
    assert (other / "thesis.txt").read_text() == "precious"


def test_what_cannot_be_exported_is_refused(run: Path) -> None:
    with pytest.raises(RunError, match="unknown format 'csv': expected one of parquet, fuxictr, recbole, huggingface"):
        export_run(run, "csv", run.parent / "x")
    with pytest.raises(RunError, match="holds no finished run"):
        export_run(run.parent, "parquet", run.parent / "x")
    with pytest.raises(RunError, match=r"fold 5 is to be the test set, but .* are in the folds \[0, 1, 2\]"):
        export_run(run, "parquet", run.parent / "x", fold=5)


def test_the_ranker_of_the_page_trains_on_it(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "exports.md").read_text(encoding="utf-8")
    script = tmp_path / "my_ranker.py"
    script.write_text(re.findall(r"```python\n(# my_ranker\.py.*?)```", page, re.DOTALL)[0], encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["my_ranker.py", str(export(run, "parquet"))])
    runpy.run_path(str(script), run_name="__main__")
    told = re.fullmatch(
        r"training (\d\.\d{3}), others (\d\.\d{3}), (\d+) of (\d+) rows with a vector\n", capsys.readouterr().out
    )
    assert told is not None
    assert float(told[1]) < 0.5, "the item decides in this log: worse means that nothing was learnt"
    assert (told[3], told[4]) == ("24", "27")
