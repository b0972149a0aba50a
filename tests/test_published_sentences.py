"""Published sentences for labelling: what is drawn, what a labeller sees, and what is counted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest
from test_grounding import HISTORY, ITEMS

from trackrec.errors import RunError
from trackrec.recipe import dump_recipe, make_recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from published_sentences import Published, draw, figures, write_tasks


def test_every_user_has_a_turn_before_anybody_has_a_second() -> None:
    users = [
        [Published(user, f"{user}{number}", True) for number in range(size)] for user, size in (("a", 3), ("b", 1))
    ]
    found = draw(users, 3, seed=1)
    assert {one.user_id for one in found[:2]} == {"a", "b"}
    assert found[2].user_id == "a"
    assert len({one.sentence for one in found}) == 3
    assert found == draw(users, 3, seed=1)
    assert {one.sentence for one in draw(users, 4, seed=2)} == {"a0", "a1", "a2", "b0"}
    with pytest.raises(RunError, match="asks for 5, but the run publishes 4"):
        draw(users, 5, seed=1)


@pytest.fixture
def run(tmp_path: Path, tiny_model_folder: Path) -> Path:
    """A run of two users with one history: one has a true and a false sentence, the other a false one alone."""
    folder = tmp_path / "run"
    (folder / "tables").mkdir(parents=True)
    model = {"name": str(tiny_model_folder), "threads": 1, "device": "cpu"}
    recipe = {"name": "two", "model": model, "prompts": {"domain": "books", "attributes": ["author"]}}
    (folder / "recipe.yaml").write_text(dump_recipe(make_recipe(recipe)), encoding="utf-8")
    texts = {1: "They prefer Mystery books. They enjoyed Mr. Wrong.", 2: "They enjoyed Mr. Wrong."}
    rows = [{"user_id": user, "round": 0, "kind": "kept", "sample": 0, "text": text} for user, text in texts.items()]
    pl.DataFrame(rows).write_parquet(folder / "reccots.parquet")
    history = [
        {"user_id": user, "position": n, "timestamp": n, **row} for user in texts for n, row in enumerate(HISTORY)
    ]
    empty = pl.DataFrame({"user_id": pl.Series([], dtype=pl.Int64)})
    made = {"items": ITEMS, "histories": pl.DataFrame(history)}
    for name in ("items", "histories", "examples", "roles", "targets", "baselines"):
        made.get(name, empty).write_parquet(folder / "tables" / f"{name}.parquet")
    return folder


def test_false_sentences_are_not_drawn_and_no_verdict_is_shown(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_tasks(run, out, sentences=3, seed=17)
    drawn = [json.loads(line) for line in (out / "sentences.jsonl").read_text(encoding="utf-8").splitlines()]
    own = [line for line in drawn if line["kept"]]
    assert [(line["user_id"], line["sentence"]) for line in own] == [(1, "They prefer Mystery books.")]
    assert {line["user_id"] for line in drawn if not line["kept"]} == {2}
    assert not any("enjoyed Mr. Wrong" in line["sentence"] for line in drawn)
    tasks = (out / "tasks.md").read_text(encoding="utf-8")
    assert not any(verdict in tasks for verdict in ("supported", "contradicted", "checkable"))
    assert "Rated 6, liked 3" in tasks
    assert "- 5 (liked): The Silver Key (1950), Ada Quill, Mystery, Classic" in tasks
    assert "Mystery 2 of 2" in tasks


def test_labels_are_counted(tmp_path: Path) -> None:
    sentences, labels = tmp_path / "sentences.jsonl", tmp_path / "labels.jsonl"
    sentences.write_text("\n".join(json.dumps({"id": i, "kept": i < 10}) for i in range(12)), encoding="utf-8")
    verdicts = ["supported"] * 9 + ["contradicted"] + ["not_checkable", "supported"]

    def write(given: list[str]) -> None:
        lines = [json.dumps({"id": i, "verdict": verdict}) for i, verdict in enumerate(given)]
        labels.write_text("\n".join(lines), encoding="utf-8")

    write(verdicts)
    found = {(line["text"], line["verdict"]): line for line in figures(sentences, labels)}
    assert found["generator", "supported"]["count"] == 9
    # Wilson, 9 of 10: see `trackrec.metrics.probability.wilson`.
    assert [found["generator", "supported"][name] for name in ("share", "low", "high")] == [0.9, 0.5958, 0.9821]
    assert found["all", "contradicted"]["count"] == 1
    assert found["profile writer", "not_checkable"]["share"] == 0.5
    write(verdicts[:-1])
    with pytest.raises(RunError, match="no label for 1 sentences, the first is id 11"):
        list(figures(sentences, labels))
    write([*verdicts[:-1], "true"])
    with pytest.raises(RunError, match="has id 11 with verdict 'true'"):
        list(figures(sentences, labels))
