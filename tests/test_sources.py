"""The registry of sources."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from trackrec.data.log import Log
from trackrec.data.sources import SOURCES, SourceSettings, read_log
from trackrec.errors import RecipeError


def test_a_source_is_found_by_name_and_gets_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Path | None] = []

    def reader(folder: Path | None) -> Log:
        asked.append(folder)
        return Log(pl.DataFrame(), pl.DataFrame(), pl.DataFrame(), {"rows": 3})

    monkeypatch.setitem(SOURCES, "mine", reader)
    assert read_log(SourceSettings(source="mine", folder=tmp_path)).counts == {"rows": 3}
    assert asked == [tmp_path]


def test_an_unknown_source_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"unknown source 'movielens-1k'.*did you mean 'movielens-100k'\?"):
        read_log(SourceSettings(source="movielens-1k"))


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="foldr"):
        SourceSettings(foldr="/x")  # type: ignore[call-arg]
