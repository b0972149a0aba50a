"""Last.fm-360K: who listened to which artist how often, without times."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.log import Log
from trackrec.data.sources.find_files import find_file
from trackrec.data.sources.joined import read_joined
from trackrec.data.table import NO_QUOTES, Table, TableSettings

_PLAYS = ("usersha1-artmbid-artname-plays.tsv",)
_NAMES = ("user", "mbid", "artist", "plays")
_COLUMNS = ColumnMapping(
    user="user", item="artist", timestamp="-", rating="digits", title="name", genres="-", year="-", creator="-",
    quantity="-",
)  # fmt: skip


def read_lastfm_360k(folder: Path) -> Log:
    """The log of Last.fm-360K. Artists are known by their names, as many have no MusicBrainz id.

    A ``rating`` is the number of digits of the play count: 1 for up to 9 plays, 2 for up to 99, and so on. There are no
    times: the order of a listener's artists is drawn.

    Args:
        folder: one that holds usersha1-artmbid-artname-plays.tsv.

    Raises:
        LogError: the file is not there or cannot be used.

    Source:
        Celma, "Music Recommendation and Discovery in the Long Tail", 2010.
    """
    plays = find_file(folder, _PLAYS, "Last.fm-360K")
    form = TableSettings(separator="\t", quote=NO_QUOTES, column_names=_NAMES)
    return read_joined([plays], [], _COLUMNS, where=f"Last.fm-360K in {folder}", form=form, change=_by_digits)


def _by_digits(table: Table) -> Table:
    number = pl.col("plays").cast(pl.Int64, strict=False)
    digits = pl.when(number > 0).then(number.cast(pl.String).str.len_chars())
    frame = table.frame.with_columns(digits.cast(pl.Float64).alias("digits"), pl.col("artist").alias("name"))
    return dataclasses.replace(table, frame=frame, names=(*table.names, "digits", "name"), texts=frozenset({"artist"}))
