"""What a judge outside the loop reads in texts: arms, sets of items, intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_run import tiny_recipe, write_tiny_log

from research.comparison.arms import NO_TEXT, SWAPPED, TEACHER
from research.reading import ReadingSettings, arms, parts_of, study
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
