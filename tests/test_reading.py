"""What a judge outside the loop reads in texts: arms, sets of items, intervals."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from tiny_run import tiny_recipe, write_tiny_log

from research.comparison.arms import NO_TEXT, SWAPPED, TEACHER
from research.over_seeds import over_seeds
from research.reading import TAUGHT, ReadingSettings, arms, parts_of, parts_to_judge, study
from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.judges.matcher import MatcherSettings
from trackrec.progress import Reporter


class WordCounts:
    """An encoder without a model: a number a word."""

    def encode(self, texts: list[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 32), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[sum(word.encode()) % 32] += 1
        return rows


def test_a_teachers_texts_are_judged_without_a_run(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackrec.pipeline.components.shared_encoder", lambda settings: WordCounts())
    recipe = tiny_recipe(tiny_model_folder, write_tiny_log(tmp_path / "log"), split={"new_items": 0.3})
    settings = ReadingSettings(judge=MatcherSettings(epochs=1), seeds=2, draws=100)
    rows = study(recipe, tmp_path / "run", settings, Reporter())
    assert [row["arm"] for row in rows[:3]] == [NO_TEXT, SWAPPED, TEACHER]
    assert {row["items"] for row in rows} == {"all", "new", "known"}
    sizes = {row["items"]: row["examples"] for row in rows}
    assert sizes["new"] + sizes["known"] == sizes["all"]
    assert min(sizes.values()) > 0
    for row in rows:
        assert row["low"] <= row["value"] <= row["high"]
        assert ("over_none" in row) == (row["arm"] == TEACHER)


def test_texts_of_other_lengths_and_what_the_teacher_left_out(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackrec.pipeline.components.shared_encoder", lambda settings: WordCounts())
    log = write_tiny_log(tmp_path / "log")
    recipe = tiny_recipe(tiny_model_folder, log, teacher={"tells": ["habit", "titles"], "max_tokens": 60, "omit": 0.5})
    settings = ReadingSettings(judge=MatcherSettings(epochs=1), seeds=1, draws=100, lengths=(16, 90))
    rows = study(recipe, tmp_path / "run", settings, Reporter())
    words = {row["arm"]: row["words"] for row in rows}
    assert list(words) == [NO_TEXT, SWAPPED, TEACHER, "16 tokens", "90 tokens", TAUGHT]
    assert words["16 tokens"] < words[TEACHER] <= words["90 tokens"]
    assert words[TAUGHT] < words[TEACHER]
    assert words[NO_TEXT] is None
    assert all("over_taught" in row for row in rows if row["arm"] == TEACHER)


def reading_of(seed: int, value: float, gain: float, file: Path) -> Path:
    row = {"items": "all", "arm": "round 1", "metric": "auc", "value": value, "low": 0.0, "high": 1.0}
    row |= {"users": 300, "examples": 9000, "over_distilled": [gain, gain - 0.02, gain + 0.02]}
    file.write_text(json.dumps({"seed": seed, "rows": [row, {**row, "arm": f"only of {seed}"}]}))
    return file


def test_means_over_seeds(tmp_path: Path) -> None:
    """By hand: differences .04, .05, .06 have deviation .01, and Student's t of 2 degrees is 4.303."""
    gains = {41: 0.04, 42: 0.05, 43: 0.06}
    files = [reading_of(seed, 0.7, gain, tmp_path / f"{seed}.json") for seed, gain in gains.items()]
    (row,) = over_seeds(files)
    assert (row["arm"], row["runs"], row["users"], row["value"]) == ("round 1", 3, 900, pytest.approx(0.7))
    half = 4.302653 * 0.01 / 3**0.5
    assert row["over_distilled"] == pytest.approx([0.05, 0.05 - half, 0.05 + half], abs=1e-6)
    assert "over_none" not in row


def test_runs_of_one_seed_say_nothing_of_seeds(tmp_path: Path) -> None:
    files = [reading_of(41, 0.7, 0.04, tmp_path / name) for name in ("a.json", "b.json")]
    with pytest.raises(RunError, match="a seed of its own"):
        over_seeds(files)


def test_nobody_keeps_his_own_text_where_texts_are_swapped() -> None:
    texts = pl.DataFrame({"user_id": [1, 2, 3, 4], "text": ["a", "b", "c", "d"]})
    made = arms({"first": texts, "last": texts.with_columns(text=pl.col("text") + "!")}, [4, 2, 1], seed=7)
    assert list(made) == [NO_TEXT, SWAPPED, "first", "last"]
    assert made["last"]["text"].to_list() == ["d!", "b!", "a!"]
    assert sorted(made[SWAPPED]["text"]) == ["a!", "b!", "d!"]
    assert all(one != other for one, other in zip(made[SWAPPED]["text"], made["last"]["text"], strict=True))
    assert made[NO_TEXT]["text"].null_count() == 3


def test_without_new_items_there_is_one_set() -> None:
    assert [name for name, _ in parts_of(pl.DataFrame({"user_id": [1, 2]}))] == ["all"]


def test_texts_of_files_are_judged_beside_the_teachers_whatever_the_role(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In folds over all users with a text of every origin; here those of the file, who are half of the log's."""
    monkeypatch.setattr("trackrec.pipeline.components.shared_encoder", lambda settings: WordCounts())
    recipe = tiny_recipe(tiny_model_folder, write_tiny_log(tmp_path / "log"))
    told = [{"user_id": str(user), "text": f"Viewer {user} likes dramas."} for user in range(1, 18)]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, [*told, {"user_id": "nobody", "text": "x"}])))
    settings = ReadingSettings(judge=MatcherSettings(epochs=1), seeds=1, draws=100, folds=3)
    rows = study(recipe, tmp_path / "run", settings, Reporter(), {"mine": str(tmp_path / "mine.jsonl")})
    assert [row["arm"] for row in rows[:4]] == [NO_TEXT, SWAPPED, TEACHER, "mine"]
    assert {row["users"] for row in rows} == {17}
    assert "over_teacher" in rows[3]


def _dataset(**roles: list[int]) -> Any:
    every = [user for users in roles.values() for user in users]
    return SimpleNamespace(
        roles=pl.DataFrame({"user_id": every}),
        users=lambda *asked: [user for role in asked for user in roles.get(str(role), [])],
    )


def test_nobody_is_judged_by_a_fit_that_saw_him() -> None:
    dataset = _dataset(lm=[1, 2, 3, 4], ranker=[5, 6, 7, 8])
    texts = {
        "a": pl.DataFrame({"user_id": [1, 2, 3, 5, 6, 7]}),
        "b": pl.DataFrame({"user_id": [1, 2, 3, 4, 5, 6]}),
    }
    parts = parts_to_judge(dataset, texts, 2, seed=1)
    assert sorted(user for _, part in parts for user in part) == [1, 2, 3, 5, 6], "each once, with texts of both"
    for learned, part in parts:
        assert not set(learned) & set(part)
        assert set(learned) | set(part) == {1, 2, 3, 5, 6}
    assert parts_to_judge(dataset, texts, 0, seed=1) == [(dataset.users(Role.LM, Role.LM_EXTRA), [5, 6])]
    with pytest.raises(RunError, match=r"3 users have a text of every origin .*too few of them ranker users"):
        parts_to_judge(dataset, {"c": pl.DataFrame({"user_id": [1, 2, 3]})}, 0, seed=1)
