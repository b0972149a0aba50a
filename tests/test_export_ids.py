"""Ids and genres come back from an export exactly as they were, however odd they are."""

from __future__ import annotations

import csv
import urllib.parse
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trackrec.errors import RunError
from trackrec.export.feature_tables import FeatureTables
from trackrec.export.fuxictr import write_fuxictr
from trackrec.export.recbole import write_recbole
from trackrec.export.tokens import token, with_tokens

# fmt: off
USERS = [
    "bob", "_bob_", "bob_", "DJ Kamma", "DJ_Kamma", 'x"y', "x'y", "_", "__pzCkJIoxMzlwdan67caD", "NA", "nan", "[PAD]",
    "50%", "50%25", "a\tb", "a\nb", "a\u2028b", "007", "7", " a", "a ", "Ann\u00a0B", "é", "e\u0301", "^", "a|b",
]
# fmt: on
ITEMS = ["AC DC", "AC_DC", "Sigur^Rós", "null", "a~b", "%20", " "]


def tables(users: list[str] = USERS, items: list[str] = ITEMS, genres: list[list[str]] | None = None) -> FeatureTables:
    genres = genres or [["Sci Fi", "Sci_Fi"], ["R^B"], [], ["A|B", "NA"], [], [], []]
    count = len(users)
    examples = pl.DataFrame(
        {
            "user_id": users, "event_id": range(count), "item_id": [items[n % len(items)] for n in range(count)],
            "label": [n % 2 for n in range(count)], "rating": [4.0] * count, "timestamp": range(count),
            "recent_item_ids": [items] * count, "recent_ratings": [[1.0] * len(items)] * count, "raters": [1] * count,
            "likes": [1] * count, "yes_probability": [None] * count,
            "split": [("train", "validation", "test")[n % 3] for n in range(count)],
        },
        schema_overrides={"yes_probability": pl.Float64},
    )  # fmt: skip
    people = examples.select("user_id", "split").with_columns(
        history_events=pl.lit(1), has_reccot=pl.lit(True), reccot=pl.lit("x"), reccot_vector=pl.lit([1.0])
    )
    catalogue = pl.DataFrame(
        {"item_id": items, "title": ["t"] * len(items), "year": [None] * len(items), "genres": genres},
        schema_overrides={"genres": pl.List(pl.String), "year": pl.Int32},
    ).with_columns(has_text=pl.lit(True), item_vector=pl.lit([1.0]))
    return FeatureTables(examples, people, catalogue, name="odd", recent=len(items), encoder="e")


def atomic(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def text_of(name: str) -> str:
    """The id or name that a token stands for: "%" alone is the empty one."""
    return "" if name == "%" else urllib.parse.unquote(name)


def test_recbole_gives_every_id_back(tmp_path: Path) -> None:
    write_recbole(tables(), tmp_path)
    users = [row["user_id:token"] for row in atomic(tmp_path / "odd" / "odd.user")]
    assert len(set(users)) == len(USERS)
    assert [text_of(name) for name in users] == USERS
    ids = pl.read_parquet(tmp_path / "user_ids.parquet")
    assert dict(ids.rows()) == dict(zip(users, USERS, strict=True))
    items = atomic(tmp_path / "odd" / "odd.item")
    assert [text_of(row["item_id:token"]) for row in items] == ITEMS
    assert [text_of(genre) for genre in items[0]["genres:token_seq"].split(" ")] == ["Sci Fi", "Sci_Fi"]
    known = pl.read_parquet(tmp_path / "item_ids.parquet")["token"].to_list()
    for row in atomic(tmp_path / "odd" / "odd.train.inter"):
        assert row["recent_item_ids:token_seq"].split(" ") == known
    assert users[0] == "bob"
    assert "__pzCkJIoxMzlwdan67caD" in users


def test_recbole_reads_them_with_pandas(tmp_path: Path) -> None:
    """As RecBole does: what pandas would take for missing is none."""
    pandas = pytest.importorskip("pandas")
    write_recbole(tables(), tmp_path)
    for name, ids in (("user", USERS), ("item", ITEMS)):
        read = pandas.read_csv(tmp_path / "odd" / f"odd.{name}", delimiter="\t", dtype={f"{name}_id:token": str})
        assert [text_of(token) for token in read[f"{name}_id:token"]] == ids


def test_fuxictr_splits_no_id(tmp_path: Path) -> None:
    write_fuxictr(tables(), tmp_path)
    config = yaml.safe_load((tmp_path / "dataset_config.yaml").read_text(encoding="utf-8"))["trackrec_odd"]
    splitter = next(feature["splitter"] for feature in config["feature_cols"] if feature["name"] == "recent_items")
    assert splitter not in "^|~"
    rows = pl.concat([pl.read_parquet(tmp_path / f"{part}.parquet") for part in ("train", "valid", "test")])
    assert set(rows["user_id"]) == set(USERS)
    assert set(rows["item_id"]) == set(ITEMS)
    assert {tuple(text.split(splitter)) for text in rows["recent_items"]} == {tuple(ITEMS)}
    assert set(rows.filter(item_id="AC_DC")["genres"]) == {"R^B"}
    vectors = np.load(tmp_path / "user_vectors.npz")
    assert vectors["key"].tolist() == USERS


def test_what_no_splitter_can_part_is_refused(tmp_path: Path) -> None:
    odd = ["^|~\x1f\x1e", *ITEMS[1:]]
    with pytest.raises(RunError, match="could not tell where one ends"):
        write_fuxictr(tables(items=odd), tmp_path)
    with pytest.raises(RunError, match="an id is empty"):
        write_fuxictr(tables(users=["", "b"]), tmp_path)


def test_plain_ids_stay_as_they_are_and_numbers_numbers(tmp_path: Path) -> None:
    plain = tables(users=["1", "2"], items=["i-1", "B00_x"], genres=[["A"], ["B"]])
    users = plain.users.with_columns(pl.col("user_id").cast(pl.Int64))
    examples = plain.examples.with_columns(pl.col("user_id").cast(pl.Int64))
    write_recbole(replace(plain, users=users, examples=examples), tmp_path)
    assert [row["item_id:token"] for row in atomic(tmp_path / "odd" / "odd.item")] == ["i-1", "B00_x"]
    assert pl.read_parquet(tmp_path / "user_ids.parquet").rows() == [("1", 1), ("2", 2)]


@given(st.lists(st.text(max_size=8), unique=True, max_size=12))
def test_any_text_has_a_token_of_its_own(texts: list[str]) -> None:
    tokens = [token(text) for text in texts]
    assert len(set(tokens)) == len(texts)
    assert [text_of(name) for name in tokens] == texts
    assert all(name and not set(name) & set(' \t\n\r"') for name in tokens)
    assert list(with_tokens(pl.Series(texts, dtype=pl.String)).values()) == tokens
