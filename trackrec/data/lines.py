"""Tables whose lines no CSV reader understands (several characters between fields, backslashes), cut by a pattern."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from trackrec.data.local_file import local_copy
from trackrec.data.scan import scan_lines
from trackrec.data.table import Table, TableSettings


def open_lines(
    file: Path, names: Sequence[str], pattern: str, scratch: Path, *, encoding: str = "", header: bool = False
) -> Table:
    """Open a file as a table of text.

    Args:
        file: what is read, perhaps gzipped. Blank lines are skipped.
        names: the columns' names, one a group.
        pattern: a regular expression with a group for each column. A line that it does not fit becomes a row of
            nulls, which the log counts as one without ids.
        scratch: a folder for copies, which must live until the table has been read.
        encoding: how the text is encoded; empty: UTF-8.
        header: the first line holds names, and is skipped.

    Raises:
        LogError: the file cannot be opened.
    """
    path, _ = local_copy(TableSettings(path=str(file), encoding=encoding), scratch)
    lines = scan_lines(path)
    line = pl.col("line").str.strip_chars_end("\r")
    rows = lines.slice(int(header)).filter(line.str.strip_chars() != "")
    groups = line.str.extract_groups(pattern).struct.rename_fields(list(names))
    frame = rows.select(groups.alias("fields")).unnest("fields")
    return Table(frame, tuple(names), str(file))


def is_utf_8(file: Path) -> bool:
    """Whether a file is in UTF-8, read in pieces."""
    try:
        with file.open(encoding="utf-8") as text:
            while text.read(1 << 22):
                pass
    except UnicodeDecodeError:
        return False
    return True
