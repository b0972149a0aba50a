"""MovieLens-100K, from small files of the true form."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from trackrec.data.sources import SourceSettings, read_log
from trackrec.data.sources.movielens import GENRES, read_movielens_100k
from trackrec.errors import LogError

DATA = "196\t242\t3\t881250949\n186\t302\t3\t891717742\n196\t267\t1\t881250950\n"
USERS = "186|39|F|executive|00000\n196|49|M|writer|55105\n"


def item_line(number: int, title: str, date: str, *genres: str) -> str:
    flags = "|".join("1" if genre in genres else "0" for genre in ("unknown", *GENRES))
    return f"{number}|{title}|{date}||http://us.imdb.com/M/title|{flags}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The original folder's three files, true to their form: Latin-1, no header, no quoting."""
    items = [
        item_line(242, 'Misérables, Les "x" (1995)', "24-Jan-1997", "Comedy", "Film-Noir"),
        item_line(302, "Land Before Time III (1993) (V)", "01-Jan-1995", "Children's"),
        item_line(267, "unknown", "", "unknown"),
        item_line(5, "No Year", "4-Feb-1971", "Drama"),
    ]
    (tmp_path / "u.data").write_text(DATA)
    (tmp_path / "u.item").write_text("\n".join(items) + "\n", encoding="latin-1")
    (tmp_path / "u.user").write_text(USERS)
    return tmp_path


def test_the_original_folder(folder: Path) -> None:
    log = read_movielens_100k(folder)
    assert log.interactions.rows() == [
        (0, 196, 242, 3.0, 881250949),
        (1, 186, 302, 3.0, 891717742),
        (2, 196, 267, 1.0, 881250950),
    ]
    assert log.items.rows() == [
        (242, 'Misérables, Les "x" (1995)', 1995, ["Comedy", "Film-Noir"], "24-Jan-1997"),
        (302, "Land Before Time III (1993) (V)", 1993, ["Children's"], "01-Jan-1995"),
        (267, "unknown", None, [], None),
        (5, "No Year", 1971, ["Drama"], "4-Feb-1971"),
    ]
    assert log.users.rows() == [(186, 39, "F", "executive", "00000"), (196, 49, "M", "writer", "55105")]


def test_both_forms_give_the_same_log(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    asset = tmp_path_factory.mktemp("asset")
    numbers = pl.read_csv(DATA.encode(), separator="\t", has_header=False)
    numbers.columns = ["user_id", "movie_id", "rating", "timestamp"]
    lines = [line.split("|") for line in (folder / "u.item").read_text(encoding="latin-1").splitlines()]
    names = ["movie_id", "movie_title", "release_date", "video_release_date", "IMDb_URL", "unknown", *GENRES]
    items = pl.DataFrame(lines, schema=names, orient="row").with_columns(
        pl.col("movie_id", "unknown", *GENRES).cast(pl.Int64), pl.col("release_date").replace("", None)
    )
    attributes = {"user_id": pl.Int64, "age": pl.Int64, "gender": pl.String, "occupation": pl.String}
    schema = attributes | {"zip_code": pl.String}
    users = pl.read_csv(USERS.encode(), separator="|", has_header=False, schema=schema)
    for part, table in (("data", numbers), ("items", items), ("users", users)):
        table.write_parquet(asset / f"MovieLens100k_{part}.parquet.brotli")
    original, packed = read_movielens_100k(folder), read_movielens_100k(asset)
    assert original.interactions.equals(packed.interactions)
    assert original.items.equals(packed.items)
    assert original.users.equals(packed.users)
    assert original.counts == packed.counts


def test_a_row_with_missing_fields_is_named(folder: Path) -> None:
    (folder / "u.data").write_text(DATA + "1\t2\t3\n")
    with pytest.raises(LogError, match=r"u\.data, row 4: 3 fields, expected 4 \(user_id, movie_id, rating"):
        read_movielens_100k(folder)


def test_a_field_that_is_no_number_is_counted(folder: Path) -> None:
    (folder / "u.data").write_text(DATA + "1\t242\tgood\t881250949\nx\t242\t3\t881250949\n")
    counts = read_movielens_100k(folder).counts
    assert (counts["dropped_without_rating"], counts["dropped_without_user_id"], counts["interactions"]) == (1, 1, 3)


def test_another_folder_is_refused(folder: Path) -> None:
    (folder / "u.item").unlink()
    with pytest.raises(
        LogError, match=r"is not MovieLens-100K: expected u\.data, u\.item, u\.user .* found u\.data, u"
    ):
        read_movielens_100k(folder)
    with pytest.raises(LogError, match="found no such folder"):
        read_movielens_100k(folder / "nowhere")


def test_a_damaged_asset_file_is_named(tmp_path: Path) -> None:
    for part in ("data", "items", "users"):
        (tmp_path / f"MovieLens100k_{part}.parquet.brotli").write_text("no parquet")
    with pytest.raises(LogError, match=r"MovieLens100k_data\.parquet\.brotli cannot be read as MovieLens-100K"):
        read_movielens_100k(tmp_path)


@pytest.mark.slow
def test_the_real_data() -> None:
    log = read_log(SourceSettings())
    assert (log.interactions.height, log.items.height, log.users.height) == (100_000, 1_682, 943)
    assert not any(count for name, count in log.counts.items() if name.startswith(("dropped_", "kept_")))
    assert log.interactions.row(0) == (0, 196, 242, 3.0, 881250949)
    assert log.items.row(0)[:4] == (1, "Toy Story (1995)", 1995, ["Animation", "Children's", "Comedy"])
    assert "Misérables, Les (1995)" in log.items["title"].to_list()
    assert log.items["year"].null_count() == 1  # the film called "unknown"
