"""Logs larger than memory, dealt into parts, give what the whole log gives; and the made-up logs they are tried on."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from research.logs_in_parts import counts_of, read_in_parts
from research.synthetic_log import SyntheticLogSettings, interactions_in_chunks, write_synthetic_log
from trackrec.data.split import SplitSettings, split_log
from trackrec.data.tabular import TablesSettings, read_tables
from trackrec.errors import LogError

SETTINGS = SyntheticLogSettings(interactions=6000, items=400, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up log as CSV, with some bad rows, and as Parquet."""
    path = tmp_path_factory.mktemp("log")
    write_synthetic_log(path, SETTINGS)
    assert write_synthetic_log(path, SETTINGS, "csv")["interactions"] == 6000
    with (path / "interactions.csv").open("a", encoding="utf-8") as file:
        file.write(",5,4.0,1000000000\n7,99999,4.0,1000000000\n7,5,x,1000000000\n7,5,4.0,0\n9,5,4.0,1000000000\n")
        file.write("9,5,4.0,1000000000\n")
    return path


def tables(folder: Path, ending: str, **more: object) -> TablesSettings:
    files = {name: str(folder / f"{name}.{ending}") for name in ("interactions", "items")}
    return TablesSettings.model_validate(files | more)


@pytest.mark.parametrize("kind", ["kar", "temporal", "leave_last"])
def test_parts_give_what_the_whole_gives(kind: str, folder: Path) -> None:
    settings = SplitSettings.model_validate({"kind": kind, "recent": 2})
    given = tables(folder, "csv", repeated_rows="drop")
    whole = read_tables(given)
    expected = split_log(whole, settings)
    with read_in_parts(given, parts=5, scratch=folder) as log:
        parts = list(log.splits(settings))
        counts = counts_of([part.counts for part, _ in parts])
    assert len(parts) == 5
    for name in ("histories", "examples"):
        order = ["user_id", "event_id"]
        found = pl.concat([getattr(split, name) for _, split in parts if split]).sort(order)
        assert found.equals(getattr(expected, name).sort(order))
    reasons = ("without_user_id", "item_not_in_catalogue", "without_rating", "zero_timestamp", "repeated_row")
    dropped = tuple(f"dropped_{reason}" for reason in reasons)
    for name in ("rows", "interactions", "users", "items", "kept_repeated_pairs", *dropped):
        assert counts[name] == whole.counts[name], name
    assert counts_of([split.counts for _, split in parts if split])["examples"] == expected.counts["examples"]
    assert not list(folder.glob("trackrec-*"))


def test_a_log_without_a_usable_user(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text("user,item,time\n1,2,1600000000\n")
    settings = TablesSettings.model_validate({"interactions": str(tmp_path / "interactions.csv")})
    with read_in_parts(settings) as log, pytest.raises(LogError, match="the split leaves none of 1 users"):
        list(log.splits(SplitSettings()))


def test_a_made_up_log_is_what_its_settings_say(folder: Path) -> None:
    rows = pl.read_parquet(folder / "interactions.parquet")
    assert rows.height == 6000
    assert rows.select("user_id", "item_id").is_duplicated().sum() == 0
    assert rows["rating"].is_between(0.5, 5.0).all()
    assert ((rows["rating"] * 2) % 1 == 0).all()
    assert rows["user_id"].is_sorted()
    again = pl.concat(interactions_in_chunks(SETTINGS))
    assert again.equals(rows)
    other = pl.concat(interactions_in_chunks(SETTINGS.model_copy(update={"seed": 4})))
    assert not other.equals(rows)


def test_a_made_up_log_has_the_shape_of_movielens() -> None:
    rows = pl.concat(interactions_in_chunks(SyntheticLogSettings(interactions=60_000)))
    items = rows.group_by("item_id").len()["len"].sort(descending=True)
    assert items.head(len(items) // 100).sum() > 0.08 * rows.height  # a few items get far more than their share
    users = rows.group_by("user_id").len()["len"]
    assert users[:-1].median() < users[:-1].mean()  # type: ignore[operator]
    gaps = (
        rows.sort("user_id", "timestamp").select(pl.col("timestamp").diff().over("user_id"))["timestamp"].drop_nulls()
    )
    assert (gaps == 0).mean() > 0.15  # bursts within a second
    assert (gaps > 86_400).mean() > 0.005  # and sittings days apart
