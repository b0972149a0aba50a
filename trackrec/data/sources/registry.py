"""The sources that are known by name, and those that are found by their import path."""

from __future__ import annotations

import difflib
import importlib
import inspect
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trackrec.assets import movielens_100k
from trackrec.data.log import Log
from trackrec.data.sources.amazon import VERSIONS, read_amazon
from trackrec.data.sources.book_crossing import read_book_crossing
from trackrec.data.sources.lastfm import read_lastfm_2k
from trackrec.data.sources.movielens import FILES, read_movielens_100k
from trackrec.data.sources.movielens_family import CSV_FILES, DAT_FILES, read_movielens_csv, read_movielens_dat
from trackrec.data.sources.source import Source
from trackrec.data.tabular import read_tables
from trackrec.errors import RecipeError

if TYPE_CHECKING:
    from trackrec.data.sources.settings import SourceSettings

TABLES = "tables"
"""The source that reads one's own tables; its settings are in ``tables``, not in a folder."""

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source("movielens-100k", read_movielens_100k, "movies", "graded", FILES, embedded=movielens_100k),
        *(Source(f"movielens-{size}", read_movielens_dat, "movies", "graded", DAT_FILES) for size in ("1m", "10m")),
        *(
            Source(f"movielens-{size}", read_movielens_csv, "movies", "graded", CSV_FILES)
            for size in ("20m", "25m", "32m", "latest")
        ),
        *(Source(f"amazon-{year}", partial(read_amazon, year=year), "products", "graded") for year in VERSIONS),
        Source("book-crossing", read_book_crossing, "books", "graded"),
        Source("lastfm-2k", read_lastfm_2k, "music", "implicit"),
    )
}
"""A new source is a reader in a file of its own and a record here."""


def find_source(name: str) -> Source:
    """The source of a name, or at an import path such as ``my_shop.sources:read``.

    What the path names is a ``Source``, or a function that takes the folder (or nothing) and gives a ``Log``.

    Raises:
        RecipeError: there is no such source, or it cannot be imported.
    """
    if name in SOURCES:
        return SOURCES[name]
    if ":" in name:
        return _imported(name)
    known = [*SOURCES, TABLES]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise RecipeError(
        f"unknown source {name!r}: expected one of {', '.join(known)}, or an import path such as "
        f"my_shop.sources:read{hint}"
    )


def read_log(settings: SourceSettings) -> Log:
    """The log that the settings name.

    Raises:
        RecipeError: there is no source of that name, or it needs a folder.
        LogError: the source's files cannot be used.
    """
    if settings.source == TABLES:
        return read_tables(settings.tables)
    return find_source(settings.source).log(settings.folder)


def _imported(path: str) -> Source:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecipeError(
            f"the source {path!r} cannot be imported: {error}; expected MODULE:NAME of a module that Python finds "
            "(install it, or put its folder on PYTHONPATH)"
        ) from error
    if isinstance(found, Source):
        return found
    if not callable(found):
        raise RecipeError(f"the source {path!r} is {type(found).__name__}: expected a function that gives a Log")
    if inspect.signature(found).parameters:
        return Source(path, partial(_read_checked, path, found), "generic", "unknown")
    # A reader without a folder is called as it is, whether the recipe names one or not.
    return Source(path, lambda _: _read_checked(path, found), "generic", "unknown", embedded=Path)


def _read_checked(path: str, reader: object, *folder: Path) -> Log:
    log = reader(*folder)  # type: ignore[operator]
    if not isinstance(log, Log):
        raise RecipeError(
            f"the source {path!r} gave {type(log).__name__}: expected a Log, as Log.checked(...) makes it"
        )
    return log
