"""What stands between two names in texts of genres and categories: found from all of them, never from one hit."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence

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
