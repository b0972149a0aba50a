"""Reading tables from files: a path is a path, whatever characters are in it.

Polars takes ``[ ] * ?`` in a path as a pattern and ``~`` as the home folder: asked for ``run[1]/a.parquet``, it would
read ``run1/a.parquet``. Every table of a run is read through here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow
import pyarrow.parquet

from trackrec.errors import RunError


def read_table(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """A Parquet file.

    Args:
        path: the very file.
        columns: those that are wanted; None: all of them.

    Raises:
        FileNotFoundError: there is no such file.
        RunError: it is damaged.
    """
    return _read(path.absolute(), path, columns)


def table_of(content: bytes, where: object, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """A Parquet file that was read already.

    Args:
        content: of the file.
        where: its name, for messages.
        columns: those that are wanted; None: all.

    Raises:
        RunError: it is damaged.
    """
    return _read(io.BytesIO(content), where, columns)


def _read(source: Path | io.BytesIO, path: object, columns: Sequence[str] | None) -> pl.DataFrame:
    try:
        # Polars ends the process on some damaged pages; Arrow, which says what is wrong with them, goes first.
        with pyarrow.parquet.ParquetFile(source):
            pass
        if isinstance(source, io.BytesIO):
            source.seek(0)
        return pl.read_parquet(source, columns=None if columns is None else list(columns), glob=False)
    except (pyarrow.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's; Arrow's own have no number
            raise
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(
            f"{path} is damaged and cannot be read ({told}): start the run again, which makes it anew"
        ) from error
