"""Made-up logs with the shape of MovieLens, of any size: a few items get most of the ratings, users come in bursts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import polars as pl
import pyarrow.parquet
from numpy.typing import NDArray
from pydantic import Field

from trackrec.settings import Settings

logger = logging.getLogger("trackrec.data")

_CHUNK = 2_000_000
"""Interactions that are made and written at once: what bounds the memory."""
_FIRST, _LAST = 820_454_400, 1_700_000_000
"""The log's first and last possible second: 1996 to 2023."""
_ITEMS_AT_25_MILLION = 62_000
_GENRES = (
    "Action Adventure Animation Comedy Crime Documentary Drama Fantasy Horror Mystery Romance Thriller War Western"
)
_WORDS = [
    "Silent",
    "Golden",
    "Broken",
    "Last",
    "First",
    "Hidden",
    "Distant",
    "Little",
    "Great",
    "Lost",
    "Red",
    "Night",
    "Summer",
    "River",
    "Stone",
    "Garden",
    "Letter",
    "Stranger",
    "Island",
    "Winter",
    "Road",
    "House",
    "Song",
    "Dream",
    "Shadow",
    "Light",
    "Heart",
    "City",
    "Mountain",
    "Sea",
    "Daughter",
    "King",
    "Clock",
    "Mirror",
]

Ints = NDArray[np.int64]


class SyntheticLogSettings(Settings):
    """What a made-up log is like. The figures that are not settings are those of MovieLens 25M, by eye."""

    interactions: int = Field(default=1_000_000, ge=100)
    """How many interactions there are, exactly."""
    items: int = Field(default=0, ge=0)
    """How many items the catalogue has. 0: as many as fit the size (62,000 at 25 million, growing as its root)."""
    events_per_user: float = Field(default=150.0, ge=2)
    """Mean number of interactions of a user; the numbers are log-normal, with 20 as the least."""
    zipf: float = Field(default=1.05, gt=0)
    """Exponent of the items' popularity: the item of rank r is touched as 1 / (r + 20) ** zipf."""
    session: float = Field(default=25.0, ge=1)
    """Mean number of interactions in one sitting; within it, a third share their second with the one before."""
    new_items: float = Field(default=0.3, ge=0, lt=1)
    """Share of the catalogue that comes up during the log rather than being there from the start."""
    seed: int = Field(default=17, ge=0)
    """All of it follows from this."""

    @property
    def catalogue_size(self) -> int:
        """The number of items."""
        return self.items or max(50, round(_ITEMS_AT_25_MILLION * (self.interactions / 25e6) ** 0.5))


def write_synthetic_log(
    folder: Path, settings: SyntheticLogSettings, file_format: Literal["parquet", "csv"] = "parquet"
) -> dict[str, int]:
    """Write ``interactions`` (user_id, item_id, rating, timestamp) and ``items`` (item_id, title, genres) to a folder.

    Rows are by user and item, as in MovieLens' files, and no pair of user and item repeats. Memory does not grow with
    the number of interactions.

    Args:
        folder: made if it is missing; files of these names are replaced.
        settings: what the log is like.
        file_format: of both files.

    Returns:
        How many interactions, users and items there are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    items = _items(settings)
    path = folder / f"interactions.{file_format}"
    if file_format == "parquet":
        items.write_parquet(folder / "items.parquet")
    else:
        items.with_columns(pl.col("genres").list.join("|")).write_csv(folder / "items.csv")
    rows = users = 0
    writer: Any = None
    with path.open("wb") as file:
        for chunk in interactions_in_chunks(settings):
            writer = _append(chunk, file, file_format, writer)
            rows, users = rows + chunk.height, users + chunk["user_id"].n_unique()
        if file_format == "parquet":
            writer.close()
    logger.info("%s: %d interactions of %d users with %d items", path, rows, users, items.height)
    return {"interactions": rows, "users": users, "items": items.height}


def interactions_in_chunks(settings: SyntheticLogSettings, chunk: int = _CHUNK) -> Iterator[pl.DataFrame]:
    """The interactions, whole users at a time (the very last user may be cut short).

    Args:
        settings: what the log is like.
        chunk: about so many rows each; the log depends on it, as the order of the draws does.
    """
    generator = np.random.default_rng([settings.seed, 1])
    world = _World(settings)
    left, user = settings.interactions, 1
    while left > 0:
        number = max(1, round(min(chunk, left * 1.05 + 100) / settings.events_per_user))
        rows = world.rows(generator, user, number)[:left]
        yield rows
        left, user = left - rows.height, user + number


class _World:
    """What all chunks share: the items' popularity, quality and when they come up."""

    def __init__(self, settings: SyntheticLogSettings) -> None:
        generator = np.random.default_rng([settings.seed, 2])
        self.settings, size = settings, settings.catalogue_size
        weight = 1.0 / (np.arange(size) + 20.0) ** settings.zipf
        self.cumulative = np.cumsum(weight) / weight.sum()
        self.cumulative[-1] = 1.0
        self.item_id = generator.permutation(size) + 1
        self.quality = generator.normal(0.0, 0.45, size) + 0.25 * np.linspace(1, -1, size)
        old = generator.random(size) >= settings.new_items
        self.begins = np.where(old, _FIRST, generator.integers(_FIRST, _LAST, size))
        self.oldest = np.flatnonzero(old)

    def rows(self, generator: np.random.Generator, first_user: int, number: int) -> pl.DataFrame:
        """The interactions of some users."""
        spread = 1.1
        mean = max(self.settings.events_per_user - 20.0, 1.0)
        drawn = 20 + generator.lognormal(np.log(mean) - spread**2 / 2, spread, number)
        count = np.minimum(drawn, self.settings.catalogue_size / 3).astype(np.int64).clip(min=1)
        owner = np.repeat(np.arange(number), count)
        times = self._times(generator, count, owner)
        item = self._draw(generator, times)
        bias = generator.normal(0.0, 0.45, number)
        noise = generator.normal(0.0, 0.85, len(owner))
        rating = np.round((3.55 + bias[owner] + self.quality[item] + noise) * 2).clip(1, 10) / 2
        table = pl.DataFrame(
            {"user_id": owner + first_user, "item_id": self.item_id[item], "rating": rating, "timestamp": times}
        )
        return table.unique(["user_id", "item_id"], keep="first", maintain_order=True).sort("user_id", "item_id")

    def _times(self, generator: np.random.Generator, count: Ints, owner: Ints) -> Ints:
        """Users begin at any time and come back in sittings, days or months apart."""
        starts = np.concatenate([[0], np.cumsum(count)[:-1]])
        sitting = generator.random(len(owner)) < 1 / self.settings.session
        sitting[starts] = False
        pause = generator.lognormal(np.log(86_400.0 * 7), 2.0, len(owner))
        step = np.where(generator.random(len(owner)) < 0.35, 0.0, 1 + generator.exponential(14.0, len(owner)))
        step = np.where(sitting, pause, step)
        step[starts] = 0.0
        passed = np.cumsum(step)
        passed -= passed[starts][owner]
        begin = generator.integers(_FIRST, _LAST - 86_400 * 30, len(count))
        return np.minimum(begin[owner] + passed.astype(np.int64), _LAST)

    def _draw(self, generator: np.random.Generator, times: Ints) -> Ints:
        """Items by popularity among those that are there at each time."""
        item = np.searchsorted(self.cumulative, generator.random(len(times)))
        for _ in range(6):
            early = np.flatnonzero(self.begins[item] > times)
            item[early] = np.searchsorted(self.cumulative, generator.random(len(early)))
        early = np.flatnonzero(self.begins[item] > times)
        item[early] = self.oldest[generator.integers(0, len(self.oldest), len(early))]
        return item.astype(np.int64)


def _items(settings: SyntheticLogSettings) -> pl.DataFrame:
    generator = np.random.default_rng([settings.seed, 3])
    size, genres = settings.catalogue_size, np.array(_GENRES.split())
    words = np.array(_WORDS)[generator.integers(0, len(_WORDS), (size, 2))]
    years = 1930 + (90 * generator.beta(4, 1.3, size)).astype(np.int64)
    kinds = [
        genres[generator.choice(len(genres), 1 + k, replace=False)].tolist() for k in generator.integers(0, 3, size)
    ]
    titles = [f"The {a} {b} {i} ({year})" for i, ((a, b), year) in enumerate(zip(words, years, strict=True), start=1)]
    return pl.DataFrame({"item_id": np.arange(1, size + 1), "title": titles, "genres": kinds})


def _append(chunk: pl.DataFrame, file: IO[bytes], file_format: str, writer: Any) -> Any:
    if file_format == "csv":
        chunk.write_csv(file, include_header=writer is None)
        return file
    table = chunk.to_arrow()
    writer = writer or pyarrow.parquet.ParquetWriter(file, table.schema)
    writer.write_table(table)
    return writer
