"""A table that is open but not yet read, and the settings that say where one is and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field, model_validator

from trackrec.errors import LogError
from trackrec.settings import Settings

NO_QUOTES = "none"
"""As ``quote``: quotation marks are plain text."""
SHORT_ROW = "__too_few_fields"
"""A column of a table with rows that have fewer fields than it has columns: true for these."""


class TableSettings(Settings):
    """One table: a file or a query. A text alone, in place of these settings, is the path."""

    path: str = ""
    """The file: a path or any URL that fsspec opens. What it is (CSV, JSON lines, Parquet, gzip) is seen in it. A
    folder, or a pattern such as ``logs/*.csv``, is many files as one table; a file of that very name comes first."""
    query: str = ""
    """In place of a file: a SQL query for DuckDB (needs the extra trackrec[sql])."""
    separator: str = Field(default="", max_length=1)
    """What stands between two fields of a CSV file. Empty: found from its first lines."""
    quote: str = Field(default="", max_length=4)
    """What stands around a field that holds a separator or a line end. Empty: the quotation mark, where it is used so;
    marks that are plain text (15" and the like) are told apart from it row by row. ``none``: it is plain text
    everywhere. A character: that one, and a row that does not fit it is an error."""
    encoding: str = ""
    """How a file's text is encoded, such as latin-1. Empty: UTF-8."""
    column_names: tuple[str, ...] = ()
    """The names of the columns of a CSV file without a header line."""

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": str(value)} if isinstance(value, (str, Path)) else value

    @model_validator(mode="after")
    def _one_place(self) -> TableSettings:
        if self.path and self.query:
            raise ValueError(f"both a path ({self.path}) and a query are given: expected one of them")
        if len(self.quote) > 1 and self.quote != NO_QUOTES:
            raise ValueError(f"quote is {self.quote!r}: expected one character, {NO_QUOTES!r}, or nothing")
        return self

    @property
    def given(self) -> bool:
        """Whether there is such a table at all."""
        return bool(self.path or self.query)


@dataclass(frozen=True)
class Table:
    """A table that is open, but not yet read."""

    frame: pl.LazyFrame
    """Its rows. Those of CSV and JSON lines are text throughout, so that nothing is lost to a wrong guess of type. It
    may have a further column ``SHORT_ROW``."""
    names: tuple[str, ...]
    where: str
    """The file, for messages."""
    texts: frozenset[str] = frozenset()
    """Columns of which the file itself says that they are text, even where they look like numbers."""
    locate: Callable[[], str] = str
    """Finds the first row that is broken, in words; "" if none is."""
    notes: tuple[str, ...] = ()
    """What opening it had to decide, and was not sure of, in words."""
    lines: bool = False
    """It is of JSON lines, in which a key may be missing."""
    parts: tuple[str, ...] = ()
    """Further columns of the frame that are parts of an object in another one, such as ``user.id``: taken where they
    are asked for, or where no other column fits; no attributes."""

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turns what goes wrong while rows are read into a LogError that names the file and, if it can, the row."""
        try:
            yield
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, UnicodeError) as error:
            raise LogError(f"{self.where} cannot be read: {cause_of(error, self.locate)}") from error


def cause_of(error: BaseException, locate: Callable[[], str] = str) -> str:
    """What went wrong, in words: the encoding, the row that ``locate`` finds, or the first lines of the error."""
    text = str(error)
    if "utf-8" in text.lower() or "utf8" in text.lower():
        return "it is not in UTF-8; say in encoding what it is, such as latin-1 or cp1252"
    return locate() or text.split("\n\n")[0].strip()
