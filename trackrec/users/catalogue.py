"""Items as the prompts tell them: cleaned titles, years and genres."""

from __future__ import annotations

import html
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
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_JOINERS = "\u200c\u200d"
_NO_GENRE = frozenset({"", "unknown", "(no genres listed)"})
_IN_EVERY_LINE = ("title", "year", "genres")


def clean_text(text: str, limit: int | None = MAX_CHARACTERS) -> str:
    r"""Untrusted text on one line: control characters and line ends become spaces, runs of spaces one.

    HTML entities are what they stand for. Invisible marks (zero-width spaces, direction marks, soft hyphens, tags) go;
    joiners that scripts need stay.

    Args:
        text: anything that came from a log, a catalogue or a model.
        limit: the most characters that are kept; None keeps all.

    Example:
        >>> clean_text("Toy\n\tStory\x00 ")
        'Toy Story'
    """
    if "&" in text:  # shops write their titles for web pages: "Performed by &amp; for"
        text = _ENTITY.sub(lambda found: html.unescape(found.group()), text)
    if text.isprintable():  # nothing to take out, as in nearly all texts: what follows would only split the spaces
        return " ".join(text.split())[:limit].rstrip()
    seen = (c for c in text if unicodedata.category(c) != "Cf" or c in _JOINERS)
    spaced = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} else c for c in seen)
    return " ".join(spaced.split())[:limit].rstrip()


def clean_lines(text: str) -> str:
    r"""Untrusted text of several lines: each as ``clean_text`` makes it, their ends kept, runs of empty lines one.

    Example:
        >>> clean_lines(" Likes:\n- crime\t films\n\n\nDislikes musicals. ")
        'Likes:\n- crime films\n\nDislikes musicals.'
    """
    lines = [clean_text(line, limit=None) for line in text.splitlines()]
    return "\n".join(line for place, line in enumerate(lines) if line or (place and lines[place - 1])).strip()


@dataclass(frozen=True)
class Item:
    """One item of the catalogue, ready for a prompt."""

    title: str
    """Without the year; a trailing article is moved to the front."""
    year: int | None
    genres: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    """What else is told of it, such as its author or brand, in the order of the settings."""
    tags: tuple[str, ...] = ()
    """What its knowledge card says, in the card's order."""

    @property
    def short_title(self) -> str:
        """The title without an alternative title in parentheses, for use in prose."""
        return _ALTERNATIVE.sub("", self.title)

    def describe(self, genre_separator: str, tags: int = 0) -> str:
        """Title, year, attributes, genres and so many tags on one line, such as ``Fargo (1996), Crime; dark, snow``."""
        year = "" if self.year is None else f" ({self.year})"
        attributes = ", ".join(self.attributes)[:MAX_CHARACTERS].rstrip(", ")
        genres = genre_separator.join(self.genres)[:MAX_CHARACTERS].rstrip()
        line = ", ".join([f"{self.title}{year}", *(part for part in (attributes, genres) if part)])
        return f"{line}; {', '.join(self.tags[:tags])}" if tags and self.tags else line


def make_item(
    title: str,
    year: int | None,
    genres: list[str] | None,
    attributes: Sequence[object] = (),
    tags: Sequence[str | None] | None = None,
) -> Item:
    """An item from a catalogue's row, cleaned.

    A year at the end of the title is taken off it, and used where the row has no year of its own. "Piano, The" becomes
    "The Piano". Genres that say nothing ("unknown") are left out. An attribute may be a text, a number or a list of
    them; those that are missing are left out.

    Example:
        >>> make_item("Piano, The (1993)", None, ["Drama"])
        Item(title='The Piano', year=1993, genres=('Drama',), attributes=(), tags=())
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
        tuple(text for tag in tags or () if tag and (text := clean_text(tag))),
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
        items: table with ``item_id``, ``title`` and, where known, ``year``, ``genres`` and ``tags`` (lists of strings)
            and ``touched``.
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
        tags = items["tags"].to_list() if items.schema.get("tags") == pl.List(pl.String) else [None] * len(items)
        rows = zip(items["item_id"].to_list(), items["title"].to_list(), years, genres, more, tags, strict=True)
        self._items: Mapping[Any, Item] = {i: make_item(title or "", *values) for i, title, *values in rows}
        self._id_type = items.schema["item_id"]
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
        return self._shares("genres")

    @cached_property
    def tag_shares(self) -> Mapping[str, float]:
        """Likewise for each tag."""
        return self._shares("tags")

    def _shares(self, kind: str) -> Mapping[str, float]:
        total, counts = sum(self._touched.values()), Counter[str]()
        for item, count in self._touched.items():
            counts.update(dict.fromkeys(getattr(self._items[item], kind), count))
        return {name: count / total for name, count in counts.items()} if total else {}

    @cached_property
    def table(self) -> pl.DataFrame:
        """What is counted of each item: ``item_id, title`` (short) ``, year, genres, tags`` (each name once) ``, fame``
        (null where nobody knows it)."""
        rows = [
            (i, one.short_title, one.year, list(dict.fromkeys(one.genres)), list(dict.fromkeys(one.tags)))
            for i, one in self._items.items()
        ]
        names = pl.List(pl.String)
        schema: dict[str, Any] = {
            "item_id": self._id_type,
            "title": pl.String,
            "year": pl.Int64,
            "genres": names,
            "tags": names,
        }
        fame = pl.Series("fame", [self.fame.get(item) for item in self._items], dtype=pl.Float64)
        return pl.DataFrame(rows, schema=schema, orient="row").with_columns(fame)

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
