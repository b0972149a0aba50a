"""MovieLens after 100K: 1M and 10M (``.dat`` files), and 20M, 25M, 32M and latest (``.csv`` files)."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import polars as pl

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.folder import need_files
from trackrec.data.lines import is_utf_8, open_lines
from trackrec.data.log import Log
from trackrec.data.tables import Table, TableSettings, open_table
from trackrec.data.tabular import TablesSettings, make_log
from trackrec.errors import LogError

_RATINGS = ("user_id", "item_id", "rating", "timestamp")
_MOVIES = ("item_id", "title", "genres")
_USERS = ("user_id", "gender", "age", "occupation", "zip_code")
_FOUR = r"^([^:]*)::([^:]*)::([^:]*)::([^:]*)$"
_TITLED = r"^([^:]*)::(.*)::([^:]*)$"
_FIVE = r"^([^:]*)::([^:]*)::([^:]*)::([^:]*)::(.*)$"
_NO_GENRES = "(no genres listed)"
_COLUMNS = ColumnMapping(
    user="userId", item="movieId", rating="rating", timestamp="timestamp", title="title", genres="genres", year="year",
    creator="-", quantity="-", genre_separator="|", attributes=(),
)  # fmt: skip
_DAT_COLUMNS = _COLUMNS.model_copy(update={"user": "user_id", "item": "item_id"})


DAT_FILES = ("ratings.dat", "movies.dat", "users.dat")
CSV_FILES = ("ratings.csv", "movies.csv")
"""What is read of a folder."""


def read_movielens_dat(folder: Path) -> Log:
    """The log of MovieLens-1M or 10M, from ratings.dat, movies.dat and, with 1M, users.dat.

    Titles stay as they are, with their year ("Toy Story (1995)"); ``year`` is that number. Users hold gender, age,
    occupation (the last two as the code numbers of the README) and zip_code.

    Raises:
        LogError: a file is not there or cannot be used.

    Source:
        Harper and Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.
    """
    need_files(folder, DAT_FILES[:2], "MovieLens 1M or 10M")
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:
        place = Path(scratch)
        # 1M is in Latin-1, 10M in UTF-8.
        encoding = "" if is_utf_8(folder / "movies.dat") else "latin-1"
        tables = {
            "interactions": open_lines(folder / "ratings.dat", _RATINGS, _FOUR, place),
            "items": _with_year(open_lines(folder / "movies.dat", _MOVIES, _TITLED, place, encoding=encoding)),
        }
        if (folder / "users.dat").is_file():
            tables["users"] = open_lines(folder / "users.dat", _USERS, _FIVE, place)
        return make_log(tables, TablesSettings(columns=_DAT_COLUMNS), where=f"MovieLens in {folder}")


def read_movielens_csv(folder: Path) -> Log:
    """The log of MovieLens-20M, 25M, 32M, latest or latest-small, from ratings.csv and movies.csv.

    Titles stay as they are, with their year; ``year`` is that number. There is no table of users.

    Raises:
        LogError: a file is not there or cannot be used.
    """
    need_files(folder, CSV_FILES, "MovieLens 20M, 25M, 32M or latest")
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:
        ratings, movies = (
            open_table(TableSettings(path=str(folder / name), separator=","), Path(scratch)) for name in CSV_FILES
        )
        tables = {"interactions": ratings, "items": _with_year(movies)}
        return make_log(tables, TablesSettings(columns=_COLUMNS), where=f"MovieLens in {folder}")


def _with_year(movies: Table) -> Table:
    """With the year at the title's end, and without the words for "no genres"."""
    if missing := [name for name in ("title", "genres") if name not in movies.names]:
        raise LogError(f"{movies.where} has no column {', '.join(missing)}: found {', '.join(movies.names)}")
    year = pl.col("title").str.extract_all(r"\(\d{4}\)").list.last()
    genres = pl.when(pl.col("genres") != _NO_GENRES).then("genres")
    frame = movies.frame.with_columns(year.alias("year"), genres.alias("genres"))
    return dataclasses.replace(movies, frame=frame, names=(*movies.names, "year"))
