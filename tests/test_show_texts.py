"""Texts of every origin beside each other, as a table that neither a page nor a terminal obeys."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_run import tiny_recipe, write_tiny_log

from research.__main__ import main
from research.show_texts import as_markdown, show_texts
from trackrec.errors import RunError
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.progress import Reporter
from trackrec.recipe import make_recipe

ROWS = [
    (3, "teacher", 0, 0, "Taught 3."),
    (3, "teacher", 0, 1, "Taught 3 otherwise."),
    (5, "teacher", 0, 0, "Taught 5."),
    (3, "kept", 0, 0, "Distilled | 3\n<b>bold</b>"),
    (5, "kept", 0, 0, "Distilled 5."),
    (8, "kept", 0, 0, "Distilled 8."),
    (5, "kept", 1, 0, "Aligned 5."),
    (3, "sample", 1, 0, "A sample."),
]


@pytest.fixture(scope="module")
def folder(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose texts are made up; its log, roles and histories are real."""
    made = tmp_path_factory.mktemp("shown")
    tree = tiny_recipe(tiny_model_folder, write_tiny_log(made / "log")).model_dump(mode="json")
    tree["loop"]["rounds"], tree["teacher"] = 1, {"type": "texts", "path": str(made / "texts.jsonl")}
    recipe = make_recipe(tree)
    run = open_run(recipe, made / "run", Reporter())
    prepare(recipe, run)
    names = ["user_id", "kind", "round", "sample", "text"]
    pl.DataFrame(ROWS, schema=names, orient="row").write_parquet(run.folder / "reccots.parquet")
    told: dict[str, Any] = {"fingerprint": {"settings": {}}, "outputs": {}, "seconds": 0, "counts": {"promoted": 1}}
    (run.folder / "manifests/promote.json").write_text(json.dumps(told))
    return run.folder


def test_users_with_the_most_origins_come_first(folder: Path) -> None:
    rows = show_texts(folder, 2)
    assert [row.user for row in rows] == [5] * 4 + [3] * 4
    origins = ["template teacher", "teacher (texts)", "distilled G (round 0)", "aligned G (round 1), promoted"]
    assert [row.origin for row in rows[:4]] == origins
    assert [row.text for row in rows[1:4]] == ["Taught 5.", "Distilled 5.", "Aligned 5."]
    assert [row.text for row in rows[5:]] == ["Taught 3.", "Distilled | 3\n<b>bold</b>", None]
    assert "They like none of the films rated" in str(rows[0].text), (
        "the template teacher writes where another one taught"
    )


def test_files_and_named_users(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(
        '{"user_id": 8, "text": "Mine."}\n{"user_id": "8", "text": "Later."}\n{"user_id": 99, "text": "x"}\n'
    )
    rows = show_texts(folder, 5, {"mine": str(file)}, ["8"])
    found = {row.origin: row.text for row in rows}
    assert {row.user for row in rows} == {8}
    assert found["texts: mine"] == "Mine."
    assert found["teacher (texts)"] is None
    with pytest.raises(RunError, match=r"wrote nothing for user '77'; it did for .*3"):
        show_texts(folder, 5, users=["77"])
    with pytest.raises(RunError, match="holds no finished run"):
        show_texts(tmp_path, 5)


def test_the_command_writes_markdown(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = as_markdown(show_texts(folder, 5, users=["3"]))
    assert "| Distilled \\| 3 &lt;b&gt;bold&lt;/b&gt; |\n" in expected
    assert expected.count("| 3 |") == 1
    assert "| aligned G (round 1), promoted | (none) |\n" in expected
    monkeypatch.setattr(sys, "argv", ["research", "show-texts", str(folder), "--user", "3"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert capsys.readouterr().out == expected
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--out", str(tmp_path / "table.md")])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert (tmp_path / "table.md").read_text() == expected
