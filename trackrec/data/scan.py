"""Every read of a file through polars: the path is taken literally, whatever marks its name holds.

Polars reads ``[``, ``]``, ``*`` and ``?`` of a path as a pattern, and ``~`` as the home folder. A file called
``log[1].csv`` would then be another one, or none. Where a pattern is meant, ``trackrec.data.many_files`` expands it
before anything is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

_MARKS = re.compile(r"([\[*?])")


def scan_csv(path: Path, **options: Any) -> pl.LazyFrame:
    """``polars.scan_csv`` of one file of that very name."""
    return pl.scan_csv(path.absolute(), glob=False, **options)


def scan_lines(path: Path) -> pl.LazyFrame:
    r"""The lines of one file of that very name as a column ``line``, cut at ``\n`` alone (``\r\n`` too)."""
    return pl.scan_lines(path.absolute(), glob=False)


def scan_parquet(path: Path) -> pl.LazyFrame:
    """``polars.scan_parquet`` of one file of that very name; folders called ``key=value`` add no columns."""
    return pl.scan_parquet(path.absolute(), glob=False, hive_partitioning=False)


def read_parquet(path: Path, **options: Any) -> pl.DataFrame:
    """``polars.read_parquet`` of one file of that very name."""
    return pl.read_parquet(path.absolute(), glob=False, hive_partitioning=False, **options)


def scan_json_lines(path: Path, schema: Mapping[str, Any] | None = None) -> pl.LazyFrame:
    """``polars.scan_ndjson`` of one file of that very name.

    Args:
        path: the file.
        schema: the keys that are wanted, with their types; None: all keys of all lines, each line looked at.
    """
    # scan_ndjson cannot be told to take a path literally; a mark inside brackets stands for itself.
    return pl.scan_ndjson(_MARKS.sub(r"[\1]", str(path.absolute())), schema=schema, infer_schema_length=None)
