"""Items as the prompts tell them: cleaned titles, years and genres."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from trackrec.errors import LogError

Row = Mapping[str, Any]
"""One history event: a row of the split's ``histories`` with at least ``item_id``, ``rating`` and ``label``."""

MAX_CHARACTERS = 120
"""Longest title, and longest list of genres, that reaches a prompt."""

_TRAILING_ARTICLE = re.compile(r"^(.+), (The|A|An|Il|La|Le|Les|L'|Das|Der|Die|El|Los|Las)((?: \(.*\))?)$")
_TRAILING_YEAR = re.compile(r"\s*\((\d{4})\)$")
_ALTERNATIVE = re.compile(r"(?<=\S) \(.*\)$")
_NO_GENRE = frozenset({"", "unknown", "(no genres listed)"})


def clean_text(text: str, limit: int | None = MAX_CHARACTERS) -> str:
    r"""Untrusted text on one line: control characters and line ends become spaces, runs of spaces one.

    Args:
        text: anything that came from a log, a catalogue or a model.
        limit: the most characters that are kept; None keeps all.

    Example:
        >>> clean_text("Toy\n\tStory\x00 ")
        'Toy Story'
    """
    spaced = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} else c for c in text)
    return " ".join(spaced.split())[:limit].rstrip()


@dataclass(frozen=True)
class Item:
    """One item of the catalogue, ready for a prompt."""

    title: str
    """Without the year; a trailing article is moved to the front."""
    year: int | None
    genres: tuple[str, ...]

    @property
    def short_title(self) -> str:
        """The title without an alternative title in parentheses, for use in prose."""
        return _ALTERNATIVE.sub("", self.title)

    def describe(self, genre_separator: str) -> str:
        """Title, year and genres on one line, such as ``Fargo (1996), Crime Drama``."""
        year = "" if self.year is None else f" ({self.year})"
        genres = genre_separator.join(self.genres)[:MAX_CHARACTERS].rstrip()
        return f"{self.title}{year}" + (f", {genres}" if genres else "")


def make_item(title: str, year: int | None, genres: list[str] | None) -> Item:
    """An item from a catalogue's row, cleaned.

    A year at the end of the title is taken off it, and used where the row has no year of its own. "Piano, The" becomes
    "The Piano". Genres that say nothing ("unknown") are left out.

    Example:
        >>> make_item("Piano, The (1993)", None, ["Drama"])
        Item(title='The Piano', year=1993, genres=('Drama',))
    """
    # The year is at the end of the whole title, so it is looked for before the title is cut.
    name = clean_text(title, limit=None)
    if (found := _TRAILING_YEAR.search(name)) and found.start() > 0:
        name = name[: found.start()]
        year = int(found.group(1)) if year is None else year
    if article := _TRAILING_ARTICLE.match(name):
        body, word, rest = article.groups()
        name = f"{word}{'' if word.endswith(chr(39)) else ' '}{body}{rest}"
    cleaned = (clean_text(genre) for genre in genres or [] if genre is not None)
    return Item(clean_text(name), year, tuple(genre for genre in cleaned if genre.lower() not in _NO_GENRE))


class Catalogue:
    """Looks items up by id.

    Args:
        items: table with ``item_id``, ``title`` and, where known, ``year`` and ``genres`` (a list of strings).
    """

    def __init__(self, items: pl.DataFrame) -> None:
        years = items["year"].to_list() if "year" in items.columns else [None] * len(items)
        genres = items["genres"].to_list() if "genres" in items.columns else [None] * len(items)
        rows = zip(items["item_id"].to_list(), items["title"].to_list(), years, genres, strict=True)
        self._items: Mapping[Any, Item] = {i: make_item(title or "", year, names) for i, title, year, names in rows}

    def __getitem__(self, item_id: object) -> Item:
        """The item of that id.

        Raises:
            LogError: the catalogue has no such item.
        """
        try:
            return self._items[item_id]
        except KeyError:
            raise LogError(
                f"Item {item_id!r} is in a history or among the targets, but not in the catalogue of "
                f"{len(self._items)} items. Check that both come from the same log and that ids have the same type."
            ) from None
