"""Opening a table: CSV, TSV, JSON lines or Parquet, plain or gzipped, at a path or URL, or what a SQL query gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow
import pyarrow.parquet

from trackrec.data.delimited import open_delimited
from trackrec.data.json_table import is_json, open_json
from trackrec.data.local_file import local_copy
from trackrec.data.many_files import is_many, open_many
from trackrec.data.scan import scan_parquet
from trackrec.data.table import Table, TableSettings
from trackrec.errors import LogError

__all__ = ["Table", "TableSettings", "open_table"]

_READS = ("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE")
"""Parts of a SQL statement that only read."""


def open_table(settings: TableSettings, scratch: Path, keys: Sequence[str] = ()) -> Table:
    """Open a file or ask a query.

    Args:
        settings: where it is and how it is written.
        scratch: an existing folder for copies of what cannot be read in place (remote, gzipped, not in UTF-8); it
            must live until the table has been read.
        keys: of JSON lines, the keys that are wanted, whether all lines have them or not. Empty: those that are found.

    Raises:
        LogError: it is not there, damaged, empty, or of a form that is not known.
    """
    if settings.query:
        return _ask(settings.query)
    if is_many(settings.path):
        return open_many(settings, lambda one: open_table(one, scratch, keys))
    where = settings.path
    path, head = local_copy(settings, scratch)
    if head.startswith(b"PAR1"):
        return _parquet(path, where)
    if head.startswith(b"PK\x03\x04"):
        raise LogError(f"{where} is a zip archive or a spreadsheet: unpack it, or save it as CSV")
    if b"\x00" in head:
        raise LogError(
            f"{where} is binary: expected CSV, JSON lines or Parquet, plain or gzipped (or an encoding, as utf-16)"
        )
    if is_json(head):
        return open_json(path, head, where, keys, scratch)
    return open_delimited(path, head, settings, where, scratch)


def _ask(query: str) -> Table:
    where = f"the query {' '.join(query.split())[:60]!r}"
    try:
        import duckdb
    except ImportError as error:
        raise LogError(f"{where} needs DuckDB: pip install 'trackrec[sql]'") from error
    try:
        # A recipe may come from a stranger: its query reads, and neither writes (COPY ... TO) nor installs anything.
        connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
        kinds = [statement.type.name for statement in connection.extract_statements(query)]
        if kinds == ["SELECT"]:
            parsed = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0]
            kinds = [kind for kind in sorted(_nodes(json.loads(parsed))) if kind not in _READS] or kinds
        if kinds != ["SELECT"]:
            said = " and ".join(kinds) or "no statement"
            raise LogError(f"{where} is {said}: expected one SELECT, which reads and does nothing else")
        # The relation hands its rows over by itself (Arrow's C stream), whatever DuckDB calls its methods.
        answer = connection.sql(query)
        frame = pl.DataFrame(answer)
    except duckdb.Error as error:
        raise LogError(f"{where} failed: {error}") from error
    return _typed(frame.lazy(), where)


def _nodes(tree: Any) -> set[str]:
    """The kinds of nodes in a statement as DuckDB parsed it, at any depth: a WITH may hold ones that write."""
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    kind = tree.get("type") if isinstance(tree, dict) else None
    own = {kind} if isinstance(kind, str) and kind.endswith("_NODE") else set()
    return own.union(*map(_nodes, parts))


def _typed(frame: pl.LazyFrame, where: str) -> Table:
    schema = frame.collect_schema()
    exact = {name: dtype for name, dtype in schema.items() if isinstance(dtype, pl.Decimal)}
    if exact:  # as data bases export their keys: DECIMAL(38, 0)
        kinds = {name: _kind_of(dtype) for name, dtype in exact.items()}
        frame = frame.with_columns(pl.col(name).cast(kind) for name, kind in kinds.items())
    texts = frozenset(name for name, dtype in schema.items() if dtype in (pl.String, pl.Categorical, pl.Enum))
    inner = {
        f"{name}.{field.name}": pl.col(name).struct.field(field.name)
        for name, dtype in schema.items()
        if isinstance(dtype, pl.Struct)
        for field in dtype.fields
        if f"{name}.{field.name}" not in schema
    }
    texts |= {f"{name}.{field.name}" for name, dtype in schema.items() if isinstance(dtype, pl.Struct)
              for field in dtype.fields if field.dtype == pl.String}  # fmt: skip
    frame = frame.with_columns(part.alias(name) for name, part in inner.items())
    return Table(frame, tuple(schema), where, texts, parts=tuple(inner))


def _kind_of(dtype: pl.Decimal) -> type[pl.DataType]:
    """Numbers that may be too long for 64 bits are text, which is a number again where all of them are short."""
    if dtype.scale:
        return pl.Float64
    return pl.Int64 if dtype.precision is not None and dtype.precision <= 18 else pl.String


def _parquet(path: Path, where: str) -> Table:
    try:
        # Polars ends the process on some damaged pages; Arrow, which says what is wrong with them, goes first.
        with pyarrow.parquet.ParquetFile(path) as file:
            for _ in file.iter_batches(batch_size=1 << 18, use_threads=False):
                pass
        return _typed(scan_parquet(path), where)
    except (
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
        pyarrow.ArrowException,
        OSError,
        ValueError,
    ) as error:
        raise LogError(f"{where} is a damaged Parquet file: {str(error).splitlines()[0]}") from error
