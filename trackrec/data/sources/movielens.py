"""MovieLens in all sizes: the embedded 100K, and the others as GroupLens distributes them."""

from __future__ import annotations

import codecs
import dataclasses
import tempfile
from pathlib import Path

import polars as pl

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.delimited import is_utf_8, open_lines
from trackrec.data.log import Log
from trackrec.data.open_table import Table, TableSettings, open_table
from trackrec.data.scan import read_parquet
from trackrec.data.source_files import found_in, need_files
from trackrec.data.tabular import TablesSettings, make_log
from trackrec.errors import LogError

GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""The columns of the catalogue that say what a film is. The column before them, "unknown", says nothing."""

_DATA = ("user_id", "movie_id", "rating", "timestamp")
_ITEMS = ("movie_id", "movie_title", "release_date", "video_release_date", "IMDb_URL", "unknown", *GENRES)
_USERS = ("user_id", "age", "gender", "occupation", "zip_code")
_ORIGINAL = ("u.data", "u.item", "u.user")
_ASSET = tuple(f"MovieLens100k_{part}.parquet.brotli" for part in ("data", "items", "users"))
FILES = (*_ORIGINAL, *_ASSET)
"""What is read of a folder: one of the two forms."""


def read_movielens_100k(folder: Path) -> Log:
    """The log of MovieLens-100K: 100,000 ratings (1 to 5) of 1,682 films by 943 users.

    Titles stay as they are, with their year ("Toy Story (1995)"); ``year`` is that number, or the year of the release
    date. Items also hold ``release_date``; users hold age, gender, occupation and zip_code.

    Args:
        folder: one that holds u.data, u.item and u.user, or the embedded asset's three Parquet files.

    Raises:
        LogError: the folder holds neither form, or a file cannot be read.

    Source:
        Harper and Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.
    """
    if all((folder / name).is_file() for name in _ORIGINAL):
        data, items, users = _read_original(folder)
    elif all((folder / name).is_file() for name in _ASSET):
        data, items, users = _read_asset(folder)
    else:
        raise LogError(
            f"{folder} is not MovieLens-100K: expected {', '.join(_ORIGINAL)} (or {', '.join(_ASSET)}), "
            f"found {found_in(folder)}"
        )
    return Log.checked(
        data.rename({"movie_id": "item_id"}), _with_year_and_genres(items), users, where=f"MovieLens-100K in {folder}"
    )


def _read_original(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    data = _read_separated(folder / "u.data", _DATA, "\t")
    items = _read_separated(folder / "u.item", _ITEMS, "|")
    users = _read_separated(folder / "u.user", _USERS, "|")
    whole = pl.Int64
    return (
        data.with_columns(pl.col("user_id", "movie_id").cast(whole, strict=False)),
        items.with_columns(pl.col("movie_id", *GENRES).cast(whole, strict=False)),
        users.with_columns(pl.col("user_id", "age").cast(whole, strict=False)),
    )


def _read_separated(file: Path, columns: tuple[str, ...], separator: str) -> pl.DataFrame:
    """A file without header as strings. The originals are in Latin-1 and know no quoting."""
    rows = [line.split(separator) for line in _text_of(file).split("\n") if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise LogError(
                f"{file}, row {number}: {len(row)} fields, expected {len(columns)} ({', '.join(columns[:5])}...) "
                f"separated by {separator!r}"
            )
    table = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
    return table.with_columns(pl.all().str.strip_chars().replace("", None))


def _text_of(file: Path) -> str:
    """The text, without the byte order mark that some editor may have left."""
    return file.read_bytes().removeprefix(codecs.BOM_UTF8).decode("latin-1").replace("\r\n", "\n")


def _read_asset(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    tables = []
    for name, columns in zip(_ASSET, (_DATA, _ITEMS, _USERS), strict=True):
        try:
            tables.append(read_parquet(folder / name).select(columns))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise LogError(f"{folder / name} cannot be read as MovieLens-100K: {error}") from error
    return tables[0], tables[1], tables[2]


def _with_year_and_genres(items: pl.DataFrame) -> pl.DataFrame:
    """``item_id``, ``title``, ``year``, ``genres``, ``release_date``."""
    in_title = pl.col("movie_title").str.extract_all(r"\(\d{4}\)").list.last().str.strip_chars("()")
    in_date = pl.col("release_date").str.extract(r"(\d{4})$")
    flags = [pl.when(pl.col(genre) == 1).then(pl.lit(genre)) for genre in GENRES]
    return items.select(
        pl.col("movie_id").alias("item_id"),
        pl.col("movie_title").alias("title"),
        pl.coalesce(in_title, in_date).cast(pl.Int32).alias("year"),
        pl.concat_list(flags).list.drop_nulls().alias("genres"),
        "release_date",
    )


_RATINGS = ("user_id", "item_id", "rating", "timestamp")
_MOVIES = ("item_id", "title", "genres")
_USER_FIELDS = ("user_id", "gender", "age", "occupation", "zip_code")
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
            tables["users"] = open_lines(folder / "users.dat", _USER_FIELDS, _FIVE, place)
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
