"""Goodreads as UCSD has it: shelves and ratings of books, as JSON lines."""

from __future__ import annotations

from pathlib import Path

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.log import Log
from trackrec.data.source_files import find_file, find_several
from trackrec.data.sources.joined import read_joined
from trackrec.data.table import TableSettings

_ACTS = ("goodreads_interactions*.json", "goodreads_interactions*.json.gz")
_BOOKS = ("goodreads_books*.json", "goodreads_books*.json.gz")
_GENRES = ("goodreads_book_genres*.json", "goodreads_book_genres*.json.gz")
_COLUMNS = ColumnMapping(
    user="user_id", item="book_id", rating="rating", timestamp="date_added", zero_is_no_rating=True, title="title",
    year="publication_year", genres="genres", creator="-", quantity="-", attributes=("publisher", "format"),
)  # fmt: skip


def read_goodreads(folder: Path) -> Log:
    """The log of Goodreads, whole or of one genre: ratings of 1 to 5; times are those at which a book was shelved.

    A rating of 0 says that a book was shelved, not how it was liked: such rows are left out and counted. Items hold the
    year, publisher and format and, with goodreads_book_genres_initial.json, the genres that most readers' shelves say.
    Authors are known by number alone, and left out.

    Args:
        folder: one that holds goodreads_interactions... and goodreads_books..., gzipped or not.

    Raises:
        LogError: a file is not there or cannot be used.

    Source:
        Wan and McAuley, "Item Recommendation on Monotonic Behavior Chains", RecSys 2018.
    """
    acts, books = (find_file(folder, names, "Goodreads") for names in (_ACTS, _BOOKS))
    genres = find_several(folder, _GENRES)
    items = [TableSettings(path=str(file)) for file in (books, *genres)]
    mapping = _COLUMNS if genres else _COLUMNS.model_copy(update={"genres": "-"})
    return read_joined([acts], items, mapping, where=f"Goodreads in {folder}")
