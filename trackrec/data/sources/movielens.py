"""MovieLens-100K, as the embedded asset or as the folder that GroupLens distributes."""

from __future__ import annotations

import codecs
from pathlib import Path

import polars as pl

from trackrec.data.folder import found_in
from trackrec.data.log import Log
from trackrec.data.scan import read_parquet
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
