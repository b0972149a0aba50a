"""Genres, categories and tags: lists of names out of every form that catalogues write them in."""

from __future__ import annotations

import ast
import html
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import polars as pl

_SEPARATORS = ("|", ";", ",", ">", "/", "\t", "\n", "::", "»", "·", "•", "、", "，")
_OFTEN_IN_NAMES = ("/", "·")
"""Marks that names hold more often than that they stand between names: "R&B/Soul"."""
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_LOOKED_AT = 50_000
"""About so many distinct values, spread over all of them, are looked at for the separator."""
_FEW = 5
"""Up to so many distinct values there is little to tell a separator by."""


def find_separator(texts: Sequence[str]) -> tuple[str, str]:
    """What stands between two names in distinct texts, and how sure that is, in words.

    A mark that a few texts hold may be part of a name: "Under-, Nightwear", "Clothing, Shoes & Jewelry". It separates
    if what it cuts off are names that other texts have too, or if most texts have it and there is little to tell by.
    """
    best, count, kept = "", 0, ""
    texts = texts[:: 1 + len(texts) // _LOOKED_AT]
    for separator in _SEPARATORS:
        hits = [text for text in texts if len(cut(text, separator)) > 1]
        if not hits:
            continue
        if not _separates(separator, hits, texts):
            kept = kept or f"{separator!r} in {hits[0][:40]!r} is taken as part of the name (columns.genre_separator)"
        elif len(hits) > count:
            best, count = separator, len(hits)
    if best:
        return best, f"cut at {best!r}, which {count} of {len(texts)} different texts have (columns.genre_separator)"
    return "", kept


def second_separator(texts: Sequence[str], first: str) -> tuple[str, str]:
    """A further mark that some texts have in place of the first one, and what is to be said of it; "" if there is none.

    All that it cuts off are names of their own elsewhere: "Drama, War" beside "Drama|Comedy" and "War".
    """
    if not first:
        return "", ""
    owners = Counter(piece.casefold() for text in texts for piece in {*cut(text, first)})
    for separator in _SEPARATORS:
        hits = [piece for text in texts for piece in cut(text, first) if len(cut(piece, separator)) > 1]
        if separator != first and hits and all(owners[part.casefold()] for hit in hits for part in cut(hit, separator)):
            return separator, f", and at {separator!r}, as in {hits[0][:40]!r}"
    return "", ""


def _separates(separator: str, hits: Sequence[str], texts: Sequence[str]) -> bool:
    owners: Counter[str] = Counter()
    for text in texts:
        owners.update({piece.casefold() for piece in cut(text, separator)})
    pieces = [piece.casefold() for text in hits for piece in cut(text, separator)]
    known = sum(owners[piece] > 1 for piece in pieces) / len(pieces)
    if any(piece.endswith("-") for piece in pieces):  # "Under-, Nightwear" is one name
        return False
    if separator in _OFTEN_IN_NAMES:
        return known >= 0.5 and len(hits) > 1
    if separator == ",":
        if len(texts) <= _FEW:
            return known >= 0.5 or 2 * len(hits) >= len(texts)
        return known >= 0.5 and len(hits) > 1
    return known > 0 or len(hits) > 1 or len(texts) <= _FEW


def cut_at(text: str, separator: str, also: str) -> list[str]:
    """The names in a text, between the separators that there are."""
    pieces = cut(text, separator) if separator else [text]
    return [part for piece in pieces for part in cut(piece, also)] if also else pieces


def cut(text: str, separator: str) -> list[str]:
    """The pieces between separators, HTML entities (which end in a semicolon) being whole."""
    whole = ENTITY.sub(lambda found: html.unescape(found.group()), text) if "&" in text else text
    return [piece for part in whole.split(separator) if (piece := part.strip())]


_NAMES = (
    "name",
    "title",
    "label",
    "genre",
    "category",
    "tag",
    "value",
    "text",
    "term",
    "description",
    "desc",
    "keyword",
)
"""Of an object, the key that holds its name: the first of these that is there."""
_NO_NAMES = ("id", "key", "code", "uuid", "url", "href", "uri", "type", "lang", "locale", "icon", "color")
_LISTS = {"[": "]", "{": "}", "(": ")"}
_NONE = {"", "...", "null", "none", "nan", "n/a", "na", "\\n", "<na>", "undefined"}
_PAIR = re.compile(r"^\s*([\w ]{1,30}?)\s*[=:]\s*(.*)$", re.DOTALL)
_ANGLED = re.compile(r"^(?:<[^<>]+>)+$")
_CALLED = re.compile(
    r"^(?:np\.|numpy\.)?(?:array|WrappedArray|ArrayBuffer|ArraySeq|List|Vector|Seq|list|tuple|set|frozenset|Index)"
    r"\((.*?)(?:,\s*dtype=[^()]*)?\)$",
    re.DOTALL,
)
"""A list as NumPy, pandas, Python or Scala print it: ``array(['a', 'b'], dtype=object)``, ``WrappedArray(a, b)``."""
_TORN = re.compile(r"""^[\[{]\s*(?:['"{]).*[^\]}]$""", re.DOTALL)
"""A list whose end was cut off, as some data bases cut long texts."""
_COUNTED = re.compile(r"^(.*\S)\s*:\s*\d+(?:\.\d+)?$")
"""A name with how often it was given."""


class Genres(NamedTuple):
    """The genres of each item, and how they were found."""

    values: pl.Series
    """List(String), one entry an item, distinct names in their order."""
    note: str
    """Between which marks text was cut, in how many values; "" where nothing was cut."""


def read_genres(values: pl.Series, separator: str | None) -> Genres:
    """Lists of distinct names.

    Understood are lists, lists of lists, lists of objects (their name), objects with names as keys and counts as
    values, the same written as text (JSON, Python, PostgreSQL's ``{Drama,War}``, without quotation marks), ``<a><b>``,
    and text with a separator.

    Args:
        values: one entry an item.
        separator: what stands between two names in text; None: found from the values; "": nothing does.

    Example:
        >>> read_genres(pl.Series(["Drama|War", "War", None]), None).values.to_list()
        [['Drama', 'War'], ['War'], []]
        >>> read_genres(pl.Series(["[{'id': 16, 'name': 'Animation'}]", "[27, 9]"]), None).values.to_list()
        [['Animation'], ['27', '9']]
    """
    if values.dtype in (pl.Categorical, pl.Enum, pl.Binary):
        values = values.cast(pl.String)
    distinct = values.unique().drop_nulls() if values.dtype == pl.String else None
    if distinct is None:
        names = [list(_names(value)) for value in values]
        return Genres(_series(names), "")
    found: dict[str, list[str]] = {}
    plain = []
    for text in distinct:
        listed = _listed(text)
        if listed is None:
            plain.append(text)
        else:
            found[text] = listed
    note = also = ""
    if separator is None:
        separator, note = find_separator(plain)
        also, more = second_separator(plain, separator)
        note += more
    pieces = {text: cut_at(text, separator, also) for text in plain}
    if pieces and all(_COUNTED.match(piece) for each in pieces.values() for piece in each):  # rock:100, pop:50
        pieces = {text: [_COUNTED.sub(r"\1", piece) for piece in each] for text, each in pieces.items()}
    for text, each in pieces.items():
        found[text] = [name for piece in each if (name := _name(_without_marks(piece)))]
    return Genres(_series([found[text] if text is not None else [] for text in values]), note)


def read_names(column: str, dtype: pl.DataType) -> pl.Expr:
    """One text, such as "Ann, Bob", out of a list of names or objects, as such or as text; other text as it is."""
    if dtype == pl.String:
        text = pl.col(column)
        listed = text.str.contains(r"^\s*[\[{].*[\]}]\s*$")
        names = text.map_elements(lambda each: ", ".join(_listed(each) or [each]), return_dtype=pl.String)
        return pl.when(listed).then(names).otherwise(text).alias(column)
    if isinstance(dtype, (pl.List, pl.Array, pl.Struct)):
        return pl.col(column).map_elements(lambda each: ", ".join(_names(each)) or None, return_dtype=pl.String)
    return pl.col(column)


def _without_marks(text: str) -> str:
    """Without the quotation marks around all of it: ``"Drama", "War"``."""
    bare = text.strip()
    return bare[1:-1] if len(bare) > 2 and bare[0] == bare[-1] == '"' and '"' not in bare[1:-1] else bare


def _name(text: str) -> str:
    name = ENTITY.sub(lambda found: html.unescape(found.group()), text.strip())
    return "" if name.casefold() in _NONE else name


def _listed(text: str) -> list[str] | None:
    """The names in a list or object that is written as text; None if it is plain text."""
    bare = text.strip()
    if _ANGLED.match(bare):
        between = next((mark for mark in ("><", "|", ";", ",") if mark in bare[1:-1]), "><")
        return _distinct(_name(name) for name in bare[1:-1].split(between))
    if called := _CALLED.match(bare):
        inside = called.group(1).strip()
        return _listed(inside if inside[:1] in _LISTS else f"[{inside}]")
    if len(bare) > 4 and bare[0] == bare[-1] == '"' and bare[1] in _LISTS:  # a list that was written as text twice
        inside = bare[1:-1]
        return _listed(inside.replace('""', '"') if '""' in inside else inside.replace('\\"', '"'))
    if _TORN.match(bare):
        return _listed((bare.rsplit(",", 1)[0] if "," in bare else bare).rstrip(",") + _LISTS[bare[0]])
    if len(bare) < 2 or _LISTS.get(bare[0]) != bare[-1]:
        return None
    try:
        return _distinct(_names(json.loads(bare)))
    except (ValueError, RecursionError):
        pass
    try:
        value = ast.literal_eval(bare)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        pass
    else:
        # ['Drama' 'War'], as NumPy prints arrays, is one literal to Python: both words in one.
        if not re.search(r"""['"]\s+['"]""", bare):
            return _distinct(_names(value)) if bare[0] != "(" or isinstance(value, tuple) else None
    return None if bare[0] == "(" else _distinct(_names(_unquoted(bare)))


def _unquoted(text: str) -> Any:
    """A list or object without the quotation marks of JSON: ``[Drama, War]``, ``{Drama,War}``, ``{id=1, name=War}``."""
    pieces = _pieces(text[1:-1])
    pairs = [_PAIR.match(piece) for piece in pieces if piece[0] not in "\"'[{"]
    if text[0] == "{" and len(pieces) == len(pairs) and all(pairs):
        return {pair.group(1): _value(pair.group(2)) for pair in pairs if pair}
    return [_value(piece) for piece in pieces]


def _value(piece: str) -> Any:
    piece = piece.strip()
    if len(piece) > 1 and _LISTS.get(piece[0]) == piece[-1] and piece[0] != "(":
        return _unquoted(piece)
    if len(piece) > 1 and piece[0] == piece[-1] and piece[0] in "\"'":
        return re.sub(r"\\(.)", r"\1", piece[1:-1])
    return piece


def _pieces(text: str) -> list[str]:
    """Cut at commas, and between quoted words with a space alone between them, outside of quotes and brackets."""
    pieces, piece, depth, quote = [], "", 0, ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and text[place - 1] != "\\" else quote
        elif letter in "\"'" and not piece.strip():
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        ends_word = not quote and not depth and letter.isspace() and piece.strip()[-1:] in tuple("\"'")
        if (letter == "," and not depth and not quote) or (
            ends_word and text[place + 1 :].lstrip()[:1] in tuple("\"'")
        ):
            pieces.append(piece)
            piece = ""
        else:
            piece += letter
    return [piece.strip() for piece in [*pieces, piece] if piece.strip()]


def _names(value: Any, in_list: bool = False) -> Iterator[str]:
    """The names in a value of any kind, one after the other."""
    if value is None or value is ... or isinstance(value, bool) or (isinstance(value, float) and value != value):
        return
    if isinstance(value, str):
        if name := _name(value):
            yield name
    elif isinstance(value, dict):
        yield from _names_of_object(value, in_list)
    elif isinstance(value, (list, tuple, set, frozenset, pl.Series)):
        for part in sorted(value, key=str) if isinstance(value, (set, frozenset)) else value:
            yield from _names(part, in_list=True)
    elif isinstance(value, float) and value.is_integer():
        yield str(int(value))
    else:
        yield str(value)


def _names_of_object(value: dict[Any, Any], in_list: bool) -> Iterator[str]:
    by_key = {str(key).strip().casefold().replace("_", ""): part for key, part in value.items()}
    for key in (*_NAMES, *(f"{kind}{key}" for kind in ("genre", "category", "tag") for key in ("name", "title"))):
        if key in by_key:
            yield from _in_one_language(by_key[key])
            return
    if ending := next((key for key in by_key if key.endswith(("name", "title", "label"))), ""):
        yield from _in_one_language(by_key[ending])
        return
    parts = {key: part for key, part in value.items() if part is not None}
    told = {str(key).casefold(): part for key, part in parts.items() if isinstance(part, str)}
    texts = [part for key, part in told.items() if not key.endswith(_NO_NAMES)] or [*told.values()]
    if not parts:
        return
    if in_list:  # one object is one name
        yield from _names(texts[0] if texts else next(iter(parts.values())))
    elif all(isinstance(part, (int, float)) for part in parts.values()):
        if len(parts) == 1 and "id" in by_key:
            yield from _names(by_key["id"])
        else:  # {"fiction": 219, "romance": 5}: names with how often each was given
            for key, part in sorted(parts.items(), key=lambda pair: -pair[1]):
                if part:
                    yield from _names(str(key))
    else:
        for part in parts.values():
            yield from _names(part, in_list=True)


def _in_one_language(value: Any) -> Iterator[str]:
    """The names in a value; of one name in several languages (``{"en": ..., "de": ...}``) the English or first one."""
    if isinstance(value, dict) and len(value) > 1 and all(len(str(key)) in (2, 5) for key in value):
        value = next((value[key] for key in value if str(key).casefold().startswith("en")), next(iter(value.values())))
    yield from _names(value)


def _distinct(names: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))


def _series(names: Sequence[Sequence[str]]) -> pl.Series:
    distinct = [list(dict.fromkeys(each)) for each in names]
    return pl.Series("genres", distinct, dtype=pl.List(pl.String))
