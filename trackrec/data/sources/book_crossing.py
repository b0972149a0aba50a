"""Book-Crossing: ratings of books, in three files with semicolons, quotes, backslashes and Latin-1."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import polars as pl

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.delimited import open_lines
from trackrec.data.log import Log
from trackrec.data.open_table import Table
from trackrec.data.source_files import need_files
from trackrec.data.tabular import TablesSettings, make_log

_RATINGS, _BOOKS, _READERS = "BX-Book-Ratings.csv", "BX-Books.csv", "BX-Users.csv"
_THREE = r'^"([^"]*)";"(.*)";"([^"]*)"$'
_EIGHT = r'^"([^"]*)";"(.*?)";"(.*?)";"(\d*)";"(.*?)";(?:"http.*|.*)$'
_READER = r'^"([^"]*)";(?:NULL|"(.*)");(?:NULL|"([^"]*)")$'
_COLUMNS = ColumnMapping(
    user="user_id", item="isbn", rating="rating", title="title", year="year", creator="author", genres="-",
    quantity="-", attributes=("publisher",), row_order_as_time=True, zero_is_no_rating=True,
)  # fmt: skip


def read_book_crossing(folder: Path) -> Log:
    """The log of Book-Crossing: ratings (1 to 10) of books by readers. ISBNs are text.

    A rating of 0 says that somebody has a book, not how it was liked: such rows are left out and counted. There are no
    times: the order of the rows stands for them, so nothing that depends on time means much here. Items hold author
    (``creator``), year and publisher; users location and age. Titles stay as they are, HTML entities included, without
    the backslashes of the file's quoting.

    Args:
        folder: one that holds BX-Book-Ratings.csv, BX-Books.csv and BX-Users.csv.

    Raises:
        LogError: a file is not there or cannot be used.

    Source:
        Ziegler et al., "Improving Recommendation Lists Through Topic Diversification", WWW 2005.
    """
    need_files(folder, (_RATINGS, _BOOKS, _READERS), "Book-Crossing")
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:

        def opened(name: str, names: tuple[str, ...], pattern: str) -> Table:
            table = open_lines(folder / name, names, pattern, Path(scratch), encoding="latin-1", header=True)
            return _unescaped(table)

        tables = {
            "interactions": opened(_RATINGS, ("user_id", "isbn", "rating"), _THREE),
            "items": opened(_BOOKS, ("isbn", "title", "author", "year", "publisher"), _EIGHT),
            "users": opened(_READERS, ("user_id", "location", "age"), _READER),
        }
        return make_log(tables, TablesSettings(columns=_COLUMNS), where=f"Book-Crossing in {folder}")


def _unescaped(table: Table) -> Table:
    r"""With ``\"`` and ``\\`` as what they stand for, and ISBNs as text even if all of them are numbers."""
    frame = table.frame.with_columns(pl.all().str.replace_all(r"\\(.)", "$1"))
    return dataclasses.replace(table, frame=frame, texts=frozenset({"isbn"}))
