"""Items as the prompts tell them: cleaned titles, years and genres."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median_low
from typing import Any

import polars as pl

from trackrec.errors import LogError, RecipeError

Row = Mapping[str, Any]
"""One history event: a row of the split's ``histories`` with at least ``item_id``, ``rating`` and ``label``."""

MAX_CHARACTERS = 120
"""Longest title, longest list of genres and longest list of other attributes that reaches a prompt."""

TOUCHED = "touched"
"""Column of the items: how many histories of users that may be learnt from (LM users) hold the item."""

_TRAILING_ARTICLE = re.compile(r"^(.+), (The|A|An|Il|La|Le|Les|L'|Das|Der|Die|El|Los|Las)((?: \(.*\))?)$")
_TRAILING_YEAR = re.compile(r"\s*\((\d{4})\)$")
_ALTERNATIVE = re.compile(r"(?<=\S) \(.*\)$")
_JOINERS = "\u200c\u200d"
_NO_GENRE = frozenset({"", "unknown", "(no genres listed)"})
_IN_EVERY_LINE = ("title", "year", "genres")


def clean_text(text: str, limit: int | None = MAX_CHARACTERS) -> str:
    r"""Untrusted text on one line: control characters and line ends become spaces, runs of spaces one.

    Invisible marks (zero-width spaces, direction marks, soft hyphens, tags) go; joiners that scripts need stay.

    Args:
        text: anything that came from a log, a catalogue or a model.
        limit: the most characters that are kept; None keeps all.

    Example:
        >>> clean_text("Toy\n\tStory\x00 ")
        'Toy Story'
    """
    if text.isprintable():  # nothing to take out, as in nearly all texts: what follows would only split the spaces
        return " ".join(text.split())[:limit].rstrip()
    seen = (c for c in text if unicodedata.category(c) != "Cf" or c in _JOINERS)
    spaced = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} else c for c in seen)
    return " ".join(spaced.split())[:limit].rstrip()


@dataclass(frozen=True)
class Item:
    """One item of the catalogue, ready for a prompt."""

    title: str
    """Without the year; a trailing article is moved to the front."""
    year: int | None
    genres: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    """What else is told of it, such as its author or brand, in the order of the settings."""

    @property
    def short_title(self) -> str:
        """The title without an alternative title in parentheses, for use in prose."""
        return _ALTERNATIVE.sub("", self.title)

    def describe(self, genre_separator: str) -> str:
        """Title, year, attributes and genres on one line, such as ``Fargo (1996), Crime Drama``."""
        year = "" if self.year is None else f" ({self.year})"
        attributes = ", ".join(self.attributes)[:MAX_CHARACTERS].rstrip(", ")
        genres = genre_separator.join(self.genres)[:MAX_CHARACTERS].rstrip()
        return ", ".join([f"{self.title}{year}", *(part for part in (attributes, genres) if part)])


def make_item(title: str, year: int | None, genres: list[str] | None, attributes: Sequence[object] = ()) -> Item:
    """An item from a catalogue's row, cleaned.

    A year at the end of the title is taken off it, and used where the row has no year of its own. "Piano, The" becomes
    "The Piano". Genres that say nothing ("unknown") are left out. An attribute may be a text, a number or a list of
    them; those that are missing are left out.

    Example:
        >>> make_item("Piano, The (1993)", None, ["Drama"])
        Item(title='The Piano', year=1993, genres=('Drama',), attributes=())
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
    told = (text for value in attributes for text in _texts(value))
    return Item(
        clean_text(name),
        year,
        tuple(genre for genre in cleaned if genre.lower() not in _NO_GENRE),
        tuple(text for text in told if text.lower() not in _NO_GENRE),
    )


def _texts(value: object) -> list[str]:
    """An attribute's value as cleaned texts, a whole number without decimals; nothing for what is missing."""
    if value is None or (isinstance(value, float) and value != value):
        return []
    if isinstance(value, (list, tuple)):
        return [text for part in value for text in _texts(part)]
    return [clean_text(f"{value:g}" if isinstance(value, float) else str(value))]


class Catalogue:
    """Looks items up by id.

    Args:
        items: table with ``item_id``, ``title`` and, where known, ``year``, ``genres`` (a list of strings) and
            ``touched``.
        attributes: further columns that an item's line tells, in this order.

    Raises:
        RecipeError: the table has no such column, or every line tells it already.
    """

    def __init__(self, items: pl.DataFrame, attributes: Sequence[str] = ()) -> None:
        for name in attributes:
            if name in _IN_EVERY_LINE:
                raise RecipeError(
                    f"prompts.attributes names {name!r}, which every item's line tells already: leave it out"
                )
            if name not in items.columns:
                rest = [column for column in items.columns if column not in ("item_id", *_IN_EVERY_LINE)]
                raise RecipeError(
                    f"prompts.attributes names {name!r}, but the items have no such column: expected some of "
                    f"{', '.join(rest) or 'none (there are no further columns)'}"
                )
        years = items["year"].to_list() if "year" in items.columns else [None] * len(items)
        genres = items["genres"].to_list() if "genres" in items.columns else [None] * len(items)
        more = items.select(attributes).rows() if attributes else [()] * len(items)
        rows = zip(items["item_id"].to_list(), items["title"].to_list(), years, genres, more, strict=True)
        self._items: Mapping[Any, Item] = {
            i: make_item(title or "", year, names, values) for i, title, year, names, values in rows
        }
        told = items.select("item_id", TOUCHED).rows() if TOUCHED in items.columns else []
        self._touched: Mapping[Any, int] = dict(told)

    @cached_property
    def middle_decade(self) -> int | None:
        """First year of the decade that the catalogue's median item is from; None if no item has a year."""
        years = [item.year for item in self._items.values() if item.year is not None]
        return median_low(years) // 10 * 10 if years else None

    @cached_property
    def fame(self) -> Mapping[Any, float]:
        """How well known each item is: the share of everybody's events that fall on items less touched than it, half of
        those on its equals included. Empty if the catalogue does not tell, or nothing was touched."""
        alike = Counter[int]()
        for count in self._touched.values():
            alike[count] += count
        places, below = {}, 0
        for count in sorted(alike):
            places[count] = below + alike[count] / 2
            below += alike[count]
        return {item: places[count] / below for item, count in self._touched.items()} if below else {}

    @cached_property
    def genre_shares(self) -> Mapping[str, float]:
        """The share of everybody's events that fall on items of each genre."""
        total, counts = sum(self._touched.values()), Counter[str]()
        for item, count in self._touched.items():
            counts.update(dict.fromkeys(self._items[item].genres, count))
        return {genre: count / total for genre, count in counts.items()} if total else {}

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
