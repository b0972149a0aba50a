"""The sources that are known by name, and those that are found by their import path."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trackrec import registry
from trackrec.assets import movielens_100k
from trackrec.data.log import Log
from trackrec.data.sources.amazon import VERSIONS, read_amazon
from trackrec.data.sources.book_crossing import read_book_crossing
from trackrec.data.sources.goodreads import read_goodreads
from trackrec.data.sources.kuai import read_kuairand, read_kuairec
from trackrec.data.sources.lastfm import read_lastfm_2k, read_lastfm_360k
from trackrec.data.sources.libraries import read_fuxictr, read_recbole
from trackrec.data.sources.mind import FILES as MIND_FILES
from trackrec.data.sources.mind import read_mind
from trackrec.data.sources.movielens import (
    CSV_FILES,
    DAT_FILES,
    FILES,
    read_movielens_100k,
    read_movielens_csv,
    read_movielens_dat,
)
from trackrec.data.sources.shops import HM_FILES, TAOBAO_FILES, read_hm, read_taobao
from trackrec.data.sources.steam import read_steam
from trackrec.data.sources.yelp import read_yelp
from trackrec.data.tabular import read_tables
from trackrec.errors import RecipeError

if TYPE_CHECKING:
    from trackrec.data.sources.settings import SourceSettings


Feedback = Literal["graded", "implicit", "unknown"]


@dataclass(frozen=True)
class Source:
    """A data set that is known by name."""

    name: str
    """What ``source.source`` of a recipe calls it."""
    read: Callable[[Path], Log]
    """Reads the folder with its files into a checked log."""
    domain: str
    """Of the prompts that `trackrec data check` writes into its recipe, as in ``prompts.domain``."""
    feedback: Feedback
    """graded: ratings say how an item was liked, so that some of them are dislikes. implicit: they only count how often
    it was used; every interaction is a like. unknown: graded, if there are several ratings."""
    files: tuple[str, ...] = ()
    """The names of its files, so that a run notices a change in them; empty: all that are in the folder."""
    embedded: Callable[[], Path] | None = None
    """Gives the folder of the files that come with the package, fetched on first use; None: they do not."""
    like_threshold: float | None = None
    """graded alone: the rating from which on an item was liked, where the data set's own papers say it; None: found
    from the ratings."""
    impressions: bool = False
    """The log holds what was shown and not clicked, with a rating of 0: ``feedback.kind: impressions``."""

    def log(self, folder: Path | None) -> Log:
        """The log in a folder; None: the embedded one.

        Raises:
            RecipeError: there is no folder and nothing embedded.
            LogError: the files cannot be used.
        """
        if folder is not None:
            return self.read(folder)
        if self.embedded is None:
            raise RecipeError(f"the source {self.name!r} needs a folder: set source.folder to where its files are")
        return self.read(self.embedded())


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
        Source("lastfm-360k", read_lastfm_360k, "music", "implicit"),
        Source("goodreads", read_goodreads, "books", "graded", like_threshold=4.0),
        Source("steam", read_steam, "products", "graded", like_threshold=1.0),
        Source("hm", read_hm, "products", "implicit", HM_FILES),
        Source("taobao", read_taobao, "products", "implicit", TAOBAO_FILES),
        Source("yelp", read_yelp, "generic", "graded"),
        Source("mind", read_mind, "generic", "graded", MIND_FILES, impressions=True),
        Source("kuairand", read_kuairand, "generic", "graded", impressions=True),
        Source("kuairec", read_kuairec, "generic", "graded", like_threshold=2.0),
        Source("recbole", read_recbole, "generic", "unknown"),
        Source("fuxictr", read_fuxictr, "generic", "graded", impressions=True),
    )
}
"""A new source is a reader in a file of its own and a record here."""


def find_source(name: str) -> Source:
    """The source of a name, of a package's entry point, or at an import path such as ``my_shop.sources:read``.

    What the path names is a ``Source``, or a function that takes the folder (or nothing) and gives a ``Log``.

    Raises:
        RecipeError: there is no such source, or it cannot be imported.
    """
    if name in SOURCES:
        return SOURCES[name]
    if ":" in name or name in registry.known("source"):
        return _own(name)
    known = [*SOURCES, TABLES, *registry.known("source")]
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


def _own(path: str) -> Source:
    found = registry.find("source", path)
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
