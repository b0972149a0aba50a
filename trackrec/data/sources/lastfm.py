"""Last.fm as HetRec has it (2K listeners) and as it was collected first (360K): who listened to whom, how often."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import polars as pl

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.delimited import is_utf_8, open_lines
from trackrec.data.log import Log, stable_hash
from trackrec.data.source_files import find_file, need_files
from trackrec.data.sources.joined import read_joined
from trackrec.data.table import NO_QUOTES, Table, TableSettings

_ARTISTS, _TAGS, _PLAYS, _TAGGED = "artists.dat", "tags.dat", "user_artists.dat", "user_taggedartists.dat"
_ARTIST = r"^([^\t]*)\t([^\t]*)\t.*$"
_TAG = r"^([^\t]*)\t(.*)$"
_THREE = r"^([^\t]*)\t([^\t]*)\t([^\t]*)$"
_TAGGING = r"^([^\t]*)\t([^\t]*)\t([^\t]*)\t"
TAGS_AN_ARTIST = 4
"""So many of an artist's tags are its genres."""
LEAST_LISTENERS = 2
"""A tag counts for an artist if so many listeners gave it. Of a single listener's tags, an artist's genres would say
who listens to it."""
LEAST_ARTISTS = 20
"""Tags of fewer artists are left out."""
_HABITS = """<3, amazing, awesome, beautiful, best, brilliant, catchy, classic, cool, cute, epic, favorite,
    favorite artists, favorite songs, favorites, favourite, favourites, fun, genius, guilty pleasure, guilty pleasures,
    happy, hot, legend, love, love at first listen, love it, perfect, sad, seen live, sexy, sweet"""
HABITS = frozenset(tag.strip() for tag in _HABITS.split(","))
"""Tags that tell of the listener rather than of the music: left out."""


def read_lastfm_2k(folder: Path) -> Log:
    """The log of listeners and artists. Each listener's 50 most played artists at most are in it.

    An artist's ``genres`` are its most frequent tags, in lower case (``TAGS_AN_ARTIST``, ``LEAST_LISTENERS``,
    ``LEAST_ARTISTS``, ``HABITS``). A ``rating`` is the number of digits of the play count: 1 for up to 9 plays, 2
    for up to 99, and so on. There are no times, and the file sorts each listener's artists by plays, so that its order
    would tell them apart: the order is drawn, by a hash of listener and artist.

    Args:
        folder: one that holds artists.dat, tags.dat, user_artists.dat and user_taggedartists.dat.

    Raises:
        LogError: a file is not there or cannot be used.

    Source:
        Cantador, Brusilovsky and Kuflik, "2nd Workshop on Information Heterogeneity and Fusion in Recommender Systems
        (HetRec 2011)", RecSys 2011.
    """
    need_files(folder, (_ARTISTS, _TAGS, _PLAYS, _TAGGED), "HetRec 2011 Last.fm")
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:

        def opened(name: str, names: tuple[str, ...], pattern: str) -> pl.DataFrame:
            encoding = "" if is_utf_8(folder / name) else "latin-1"
            table = open_lines(folder / name, names, pattern, Path(scratch), encoding=encoding, header=True)
            ids = [pl.col(column).cast(pl.Int64, strict=False) for column in names if column.endswith("_id")]
            with table.reading():
                return table.frame.with_columns(ids).collect()

        artists = opened(_ARTISTS, ("item_id", "title"), _ARTIST)
        tags = opened(_TAGS, ("tag_id", "tag"), _TAG)
        tagged = opened(_TAGGED, ("user_id", "item_id", "tag_id"), _TAGGING)
        plays = opened(_PLAYS, ("user_id", "item_id", "plays"), _THREE)
    items = artists.join(artist_genres(tagged, tags), on="item_id", how="left", maintain_order="left")
    log = Log.checked(_listenings(plays), items, where=f"Last.fm in {folder}")
    log.counts["times_drawn_since_the_log_has_none"] = log.interactions.height
    log.counts["kept_items_without_genres"] = log.items.filter(pl.col("genres").list.len().fill_null(0) == 0).height
    return log


def artist_genres(tagged: pl.DataFrame, tags: pl.DataFrame) -> pl.DataFrame:
    """``item_id, genres``: each artist's tags, the one that most listeners gave first, equals by the more usual tag.

    Args:
        tagged: ``user_id, item_id, tag_id``; rows without one of them, or with a tag that has no text, do not count.
        tags: ``tag_id, tag``.
    """
    texts = tags.with_columns(pl.col("tag").str.strip_chars().str.to_lowercase())
    texts = texts.filter(~pl.col("tag").is_in(list(HABITS)), pl.col("tag") != "")
    given = tagged.drop_nulls().join(texts, on="tag_id").unique(["user_id", "item_id", "tag"])
    # "hip hop" and "hip-hop" are one tag, in the more usual spelling.
    usual = given.group_by("tag").len().sort("len", "tag", descending=[True, False])
    usual = usual.with_columns(spelling=pl.col("tag").first().over(pl.col("tag").str.replace_all("-", " ")))
    given = given.join(usual.select("tag", "spelling"), on="tag").with_columns(tag="spelling")
    given = given.unique(["user_id", "item_id", "tag"])
    pairs = given.group_by("item_id", "tag").len("listeners").filter(pl.col("listeners") >= LEAST_LISTENERS)
    pairs = pairs.with_columns(artists=pl.len().over("tag")).filter(pl.col("artists") >= LEAST_ARTISTS)
    pairs = pairs.sort("item_id", "listeners", "artists", "tag", descending=[False, True, True, False])
    return pairs.group_by("item_id", maintain_order=True).agg(pl.col("tag").head(TAGS_AN_ARTIST).alias("genres"))


def _listenings(plays: pl.DataFrame) -> pl.DataFrame:
    """user_id, item_id, rating (null where the play count is none), timestamp, in the file's order."""
    keys = [stable_hash(f"{user}:{artist}") for user, artist in plays.select("user_id", "item_id").rows()]
    number = pl.col("plays").cast(pl.Int64, strict=False)
    return plays.select(
        "user_id",
        "item_id",
        pl.when(number > 0).then(number.cast(pl.String).str.len_chars()).cast(pl.Float64).alias("rating"),
        pl.Series("timestamp", keys, dtype=pl.UInt64).rank("ordinal").cast(pl.Int64),
    )


_PLAYS_360K = ("usersha1-artmbid-artname-plays.tsv",)
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
    plays = find_file(folder, _PLAYS_360K, "Last.fm-360K")
    form = TableSettings(separator="\t", quote=NO_QUOTES, column_names=_NAMES)
    return read_joined([plays], [], _COLUMNS, where=f"Last.fm-360K in {folder}", form=form, change=_by_digits)


def _by_digits(table: Table) -> Table:
    number = pl.col("plays").cast(pl.Int64, strict=False)
    digits = pl.when(number > 0).then(number.cast(pl.String).str.len_chars())
    frame = table.frame.with_columns(digits.cast(pl.Float64).alias("digits"), pl.col("artist").alias("name"))
    return dataclasses.replace(table, frame=frame, names=(*table.names, "digits", "name"), texts=frozenset({"artist"}))
