"""The registry of sources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from trackrec.data.log import Log
from trackrec.data.sources import SOURCES, Source, SourceSettings, find_source, read_log
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


OWN = """
import polars as pl
from trackrec.data.log import Log
from trackrec.data.sources import Source

def read(folder):
    rows = pl.read_csv(folder / "sales.txt", has_header=False, new_columns=["user_id", "item_id", "timestamp"])
    items = rows.select(pl.col("item_id").unique(), title=pl.lit("x"))
    return Log.checked(rows.with_columns(rating=pl.lit(1.0)), items, where="my shop")

def read_nothing():
    return Log.checked(
        pl.DataFrame({"user_id": [1], "item_id": [2], "rating": [3.0], "timestamp": [4]}),
        pl.DataFrame({"item_id": [2], "title": ["y"]}), where="my data base",
    )

SHOP = Source("shop", read, "products", "implicit")
number = 7
def wrong(folder): return 7
"""


def test_a_source_of_ones_own_is_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "my_shop_of_test.py").write_text(OWN)
    (tmp_path / "sales.txt").write_text("7,8,1600000000\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("read", "SHOP"):
        log = read_log(SourceSettings(source=f"my_shop_of_test:{name}", folder=tmp_path))
        assert log.interactions.rows() == [(0, 7, 8, 1.0, 1_600_000_000)]
    assert read_log(SourceSettings(source="my_shop_of_test:read_nothing")).items["title"].to_list() == ["y"]
    assert find_source("my_shop_of_test:SHOP").domain == "products"
    for name, message in (
        ("my_shop_of_test:none", "has no 'none'"),
        ("no_such_module:read", r"cannot be imported \(No module named 'no_such_module'\)"),
        ("my_shop_of_test:number", "is int: expected a function that gives a Log"),
        ("my_shop_of_test:wrong", "gave int: expected a Log"),
    ):
        with pytest.raises(RecipeError, match=message):
            read_log(SourceSettings(source=name, folder=tmp_path))
    with pytest.raises(RecipeError, match="needs a folder"):
        read_log(SourceSettings(source="my_shop_of_test:read"))


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
