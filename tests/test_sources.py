"""The registry of sources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from trackrec.data.log import Log
from trackrec.data.sources import SOURCES, Source, SourceSettings, read_log
from trackrec.errors import RecipeError


def test_a_source_is_found_by_name_and_gets_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Path] = []

    def reader(folder: Path) -> Log:
        asked.append(folder)
        return Log(pl.DataFrame(), pl.DataFrame(), pl.DataFrame(), {"rows": 3})

    mine = Source("mine", reader, "books", "graded", embedded=lambda: tmp_path / "embedded")
    monkeypatch.setitem(SOURCES, "mine", mine)
    assert read_log(SourceSettings(source="mine", folder=tmp_path)).counts == {"rows": 3}
    read_log(SourceSettings(source="mine"))
    assert asked == [tmp_path, tmp_path / "embedded"]
    monkeypatch.setitem(SOURCES, "mine", replace(mine, embedded=None))
    with pytest.raises(RecipeError, match="the source 'mine' needs a folder"):
        read_log(SourceSettings(source="mine"))


def test_an_unknown_source_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"unknown source 'movielens-1k'.*did you mean 'movielens-100k'\?"):
        read_log(SourceSettings(source="movielens-1k"))


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="foldr"):
        SourceSettings(foldr="/x")  # type: ignore[call-arg]


def test_settings_without_tables_are_written_as_ever() -> None:
    """A run folder made before there were tables keeps its stages: what is compared has not changed."""
    assert SourceSettings().model_dump(mode="json") == {"source": "movielens-100k", "folder": None}


def test_settings_with_tables_survive_writing(tmp_path: Path) -> None:
    columns = {"genre_separator": "|", "attributes": ["pages"]}
    files = {"interactions": str(tmp_path / "a.csv"), "items": {"query": "SELECT 1"}, "latest_day": "2024-12-31"}
    settings = SourceSettings.model_validate({"source": "tables", "tables": {**files, "columns": columns}})
    assert SourceSettings.model_validate(settings.model_dump(mode="json")) == settings
    assert settings.tables.interactions.path == files["interactions"]


def test_tables_need_their_source() -> None:
    with pytest.raises(
        ValidationError, match="tables are given, but source is 'movielens-100k': expected source: tables"
    ):
        SourceSettings.model_validate({"tables": {"interactions": "a.csv"}})
