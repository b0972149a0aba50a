"""The tables of a run, and its pages for labelling, without a user."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trackrec.checks.label_page import page_without
from trackrec.errors import RunError
from trackrec.files.hashes import file_hash
from trackrec.files.tables import read_table
from trackrec.files.whole import write_table, written_whole
from trackrec.pipeline.check_the_checker import DRAWN, FOLDER, PAGE

_WRITTEN = ("write-", "sample-", "teacher", "reccots")
"""Tables in which every text was written for the user of its row."""


class UserTables:
    """The Parquet files of a run folder, seen from one user.

    Args:
        user: the id as text.
        folder: of the run.
    """

    def __init__(self, user: str, folder: Path) -> None:
        self.user, self.folder = user, folder
        self.damaged: list[Path] = []
        """Files that cannot be read."""
        self.known = False
        """Whether some table has a row of the user."""
        self.texts: set[str] = set()
        """The texts that were written for the user."""
        self._others: dict[str, set[str]] = {}
        for path in self._files():
            try:
                table = read_table(path)
            except RunError:
                self.damaged.append(path)
                continue
            columns = _id_columns(table)
            if not columns:
                continue
            self.known |= bool(table.select(pl.any_horizontal(*(self._is_user(name) for name in columns)).any()).item())
            if path.stem.startswith(_WRITTEN) and {"user_id", "text"} <= set(table.columns):
                self._collect(table.filter(pl.col("text").is_not_null()))

    def _collect(self, table: pl.DataFrame) -> None:
        mine = self._is_user("user_id")
        self.texts |= {text for text in table.filter(mine)["text"].to_list() if text.strip()}
        for owner, text in table.filter(~mine).select(pl.col("user_id").cast(pl.String), "text").unique().iter_rows():
            self._others.setdefault(text, set()).add(owner)

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*.parquet") if path.is_file())

    def paths(self) -> list[Path]:
        """The files that can be read."""
        return [path for path in self._files() if path not in self.damaged]

    def clean(self, path: Path) -> int:
        """Take the user out of a file; gives the number of rows that went or changed.

        Own rows go. In a row of somebody else, a text or vector of the user's becomes null: that row is another
        person's, who keeps it.
        """
        table = read_table(path)
        if not _id_columns(table):
            return 0
        kept = table.filter(~self._is_user("user_id")) if "user_id" in table.columns else table
        gone = table.height - kept.height
        for name in _id_columns(kept):
            if name != "user_id":
                kept, emptied = self._without_gifts(kept, name)
                gone += emptied
        kept, emptied = self._without_texts(kept)
        if gone + emptied:
            write_table(path, kept)
            note = path.with_suffix(".sha256")
            if note.is_file():  # of a shard
                note.write_text(file_hash(path), encoding="utf-8")
        return gone + emptied

    def _is_user(self, column: str) -> pl.Expr:
        return pl.col(column).cast(pl.String).eq_missing(self.user)

    def _without_gifts(self, table: pl.DataFrame, source: str) -> tuple[pl.DataFrame, int]:
        """What came from the user, as the column ``source`` says, taken out of the rows of others."""
        given = self._is_user(source)
        count = int(table.select(given.sum()).item())
        if not count:
            return table, 0
        if "user_id" not in table.columns:
            return table.filter(~given), count
        vectors = [name for name, dtype in table.schema.items() if isinstance(dtype, (pl.List, pl.Array))]
        empty = [source, *vectors, *(["text"] if "text" in table.columns else [])]
        changes = [pl.when(given).then(None).otherwise(pl.col(name)).alias(name) for name in empty]
        if "has_reccot" in table.columns:
            changes.append((pl.col("has_reccot") & ~given).alias("has_reccot"))
        return table.with_columns(changes), count

    def _without_texts(self, table: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """The user's texts taken out of the rows of others, unless the very same was written for those."""
        if not self.texts or not {"user_id", "text"} <= set(table.columns) or table.schema["text"] != pl.String:
            return table, 0
        rows = table.select(pl.col("user_id").cast(pl.String), "text").iter_rows()
        foreign = [text in self.texts and owner not in self._others.get(text, ()) for owner, text in rows]
        if not any(foreign):
            return table, 0
        given = pl.Series(foreign)
        empty = [name for name in ("text", "tokens", "token_ids", "token_logprobs") if name in table.columns]
        changes = [pl.when(given).then(None).otherwise(pl.col(name)).alias(name) for name in empty]
        return table.with_columns(changes), sum(foreign)


def _id_columns(table: pl.DataFrame) -> list[str]:
    return [name for name in table.columns if name == "user_id" or name.endswith("_user_id")]


def forget_in_pages(user: str, folder: Path) -> list[str]:
    """Take a person's sentences out of the pages of a run and of the runs inside it.

    To be called before the tables are cleaned, which say whose sentence is whose. Labels that were given stay: they say
    nothing but a number.

    Args:
        user: the id as text.
        folder: the run.

    Returns:
        Pages that were removed, since nobody can say what is in them.
    """
    removed = []
    for page in sorted(folder.rglob(f"{FOLDER}/{PAGE}")):
        try:
            drawn = read_table(page.parent / DRAWN)
            gone = drawn.filter(pl.col("user_id").cast(pl.String).eq_missing(user))["id"].to_list()
        except (RunError, OSError, pl.exceptions.PolarsError):
            gone = None
        content = page.read_text(encoding="utf-8", errors="replace")
        without = None if gone is None else page_without(content, set(gone))
        if without is None:
            page.unlink()
            removed.append(str(page))
        elif not without:
            page.unlink()
        elif without != content:
            with written_whole(page) as partial:
                partial.write_text(without, encoding="utf-8")
    return removed
