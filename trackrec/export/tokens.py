"""Ids and genres as tokens of formats that part by spaces or take some words for "missing"; each comes back exactly.

A token is the id itself wherever it can be. What a format would change is written as ``%XX``, the bytes of its UTF-8 in
hexadecimal, as in URLs; so is the percent sign itself. No two ids become one token.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from trackrec.errors import RunError

_UNSAFE = re.compile(r"""[\s"%\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]""")
_MISSING = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
     "NULL", "NaN", "None", "n/a", "nan", "null", "[PAD]"]
)  # fmt: skip
"""What pandas reads as missing, and RecBole's own word for it."""
_EMPTY = "%"
"""The token of an id without any letter: a percent sign that nothing follows."""


def token(text: str) -> str:
    """The token of an id or name.

    Example:
        >>> [token(text) for text in ("bob", "_bob_", "DJ Kamma", "DJ_Kamma", 'x"y', "NA")]
        ['bob', '_bob_', 'DJ%20Kamma', 'DJ_Kamma', 'x%22y', '%4EA']
    """
    if text in _MISSING:
        return _escaped(text[:1]) + token(text[1:]) if text else _EMPTY
    return _UNSAFE.sub(lambda found: _escaped(found.group()), text)


def with_tokens(ids: pl.Series) -> dict[object, str]:
    """The token of each id.

    Raises:
        RunError: two ids would have one token, as a number and the same number as text.
    """
    known = {value: token(str(value)) for value in ids.unique(maintain_order=True).drop_nulls()}
    if len(set(known.values())) < len(known):
        seen: dict[str, object] = {}
        for value, name in known.items():
            if name in seen:
                raise RunError(
                    f"the ids {seen[name]!r} and {value!r} would be one token ({name!r}): rename one of them"
                )
            seen[name] = value
    return known


def write_id_map(path: Path, column: str, tokens: dict[object, str], dtype: pl.DataType) -> None:
    """A Parquet file with ``token`` and the id in its own type."""
    table = pl.DataFrame(
        {"token": list(tokens.values()), column: list(tokens)}, schema={"token": pl.String, column: dtype}, strict=False
    )
    table.write_parquet(path)


def _escaped(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())
