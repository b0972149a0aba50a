"""Opening a table: CSV, TSV, JSON lines or Parquet, plain or gzipped, at a path or URL, or what a SQL query gives."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import polars as pl
import pyarrow
import pyarrow.parquet
from pydantic import Field, model_validator

from trackrec.data.broken_rows import broken_line, uneven_row
from trackrec.errors import LogError
from trackrec.settings import Settings

SEPARATORS = (",", "\t", ";", "|")
_SAMPLE = 1 << 16
_CHUNK = 1 << 22


class TableSettings(Settings):
    """One table: a file or a query. A text alone, in place of these settings, is the path."""

    path: str = ""
    """The file: a path or any URL that fsspec opens. What it is (CSV, JSON lines, Parquet, gzip) is seen in it."""
    query: str = ""
    """In place of a file: a SQL query for DuckDB (needs the extra trackrec[sql])."""
    separator: str = Field(default="", max_length=1)
    """What stands between two fields of a CSV file. Empty: found from its first lines."""
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
        return self

    @property
    def given(self) -> bool:
        """Whether there is such a table at all."""
        return bool(self.path or self.query)


@dataclass(frozen=True)
class Table:
    """A table that is open, but not yet read."""

    frame: pl.LazyFrame
    """Its rows. Those of CSV and JSON lines are text throughout, so that nothing is lost to a wrong guess of type."""
    names: tuple[str, ...]
    where: str
    """The file, for messages."""
    texts: frozenset[str] = frozenset()
    """Columns of which the file itself says that they are text, even where they look like numbers."""
    locate: Callable[[], str] = str
    """Finds the first row that is broken, in words; "" if none is."""

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turns what goes wrong while rows are read into a LogError that names the file and, if it can, the row."""
        try:
            yield
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, UnicodeError) as error:
            raise LogError(f"{self.where} cannot be read: {self._cause(error)}") from error

    def _cause(self, error: BaseException) -> str:
        text = str(error)
        if "utf-8" in text.lower() or "utf8" in text.lower():
            return "it is not in UTF-8; say in encoding what it is, such as latin-1 or cp1252"
        return self.locate() or text.split("\n\n")[0].strip()


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
    where = settings.path
    path, head = local_copy(settings, scratch)
    if head.startswith(b"PAR1"):
        return _parquet(path, where)
    if head.startswith(b"PK\x03\x04"):
        raise LogError(f"{where} is a zip archive or a spreadsheet: unpack it, or save it as CSV")
    if b"\x00" in head:
        raise LogError(f"{where} is binary: expected CSV, JSON lines or Parquet, plain or gzipped")
    start = head.lstrip()[:1]
    if start == b"{":
        return _json_lines(path, where, keys)
    if start == b"[" and where.removesuffix(".gz").endswith((".json", ".jsonl", ".ndjson")):
        raise LogError(f"{where} is one JSON array: expected JSON lines, one object a line")
    return _csv(path, head, settings, where)


def local_copy(settings: TableSettings, scratch: Path) -> tuple[Path, bytes]:
    """A plain local file in UTF-8 with the content of the settings' file, and its beginning.

    Raises:
        LogError: the file is not there, damaged, empty, or in another encoding.
    """
    where = settings.path
    try:
        path, head = _copied(settings, scratch)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LogError(f"{where} is a damaged or truncated gzip file ({error}): get it again") from error
    except UnicodeError as error:
        raise LogError(f"{where} is not in {settings.encoding or 'UTF-16'}: {error}; set its encoding") from error
    except LookupError as error:
        raise LogError(f"{where}: {error}; set encoding to one that Python knows, such as latin-1") from error
    except (OSError, ValueError, ImportError) as error:
        raise LogError(f"{where} cannot be opened: {error}") from error
    if not head.strip():
        raise LogError(f"{where} is empty: expected a table")
    return path, head


def _copied(settings: TableSettings, scratch: Path) -> tuple[Path, bytes]:
    path = Path(settings.path.removeprefix("file://"))
    remote = "://" in settings.path and not settings.path.startswith("file://")
    with _open(settings.path) if remote else path.open("rb") as file:
        start = file.read(4)
    packed = start[:2] == b"\x1f\x8b"
    encoding = settings.encoding
    if not encoding and start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-16"
    plain = encoding.lower().replace("_", "-") in ("", "utf-8", "utf8", "utf-8-sig")
    if remote or packed or not plain:
        target = scratch / f"table-{len(list(scratch.iterdir()))}"
        with _open(settings.path) if remote else path.open("rb") as source, target.open("wb") as copy:
            stream: IO[bytes] = gzip.GzipFile(fileobj=source) if packed else source  # type: ignore[assignment]
            decode = codecs.getincrementaldecoder(encoding or "utf-8")()
            while chunk := stream.read(_CHUNK):
                copy.write(chunk if plain else decode.decode(chunk).encode())
            if not plain:
                copy.write(decode.decode(b"", final=True).encode())
        path = target
    with path.open("rb") as file:
        return path, file.read(_SAMPLE)


def _open(url: str) -> Any:
    import fsspec

    return fsspec.open(url, "rb")


def _ask(query: str) -> Table:
    where = f"the query {' '.join(query.split())[:60]!r}"
    try:
        import duckdb
    except ImportError as error:
        raise LogError(f"{where} needs DuckDB: pip install 'trackrec[sql]'") from error
    try:
        # The relation hands its rows over by itself (Arrow's C stream), whatever DuckDB calls its methods.
        answer = duckdb.connect().sql(query)
        if answer is None:
            raise LogError(f"{where} gives no table: expected a SELECT")
        frame = pl.DataFrame(answer)
    except duckdb.Error as error:
        raise LogError(f"{where} failed: {error}") from error
    return _typed(frame.lazy(), where)


def _typed(frame: pl.LazyFrame, where: str) -> Table:
    schema = frame.collect_schema()
    texts = frozenset(name for name, dtype in schema.items() if dtype in (pl.String, pl.Categorical, pl.Enum))
    return Table(frame, tuple(schema), where, texts)


def _parquet(path: Path, where: str) -> Table:
    try:
        # Polars ends the process on some damaged pages; Arrow, which says what is wrong with them, goes first.
        with pyarrow.parquet.ParquetFile(path) as file:
            for _ in file.iter_batches(batch_size=1 << 18, use_threads=False):
                pass
        return _typed(pl.scan_parquet(path), where)
    except (
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
        pyarrow.ArrowException,
        OSError,
        ValueError,
    ) as error:
        raise LogError(f"{where} is a damaged Parquet file: {str(error).splitlines()[0]}") from error


def _json_lines(path: Path, where: str, keys: Sequence[str]) -> Table:
    """All columns as text; lists and objects are their JSON text."""
    locate = partial(broken_line, path)
    if keys:
        found, texts = list(keys), list(keys)
    else:
        try:
            schema = pl.scan_ndjson(path, infer_schema_length=10_000).collect_schema()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            reason = locate() or str(error).splitlines()[0]
            raise LogError(f"{where} is not in JSON lines, one object a line: {reason}") from error
        found, texts = schema.names(), [name for name, dtype in schema.items() if dtype == pl.String]
    frame = pl.scan_ndjson(path, schema=dict.fromkeys(found, pl.String))
    return Table(frame, tuple(found), where, frozenset(texts), locate)


def _csv(path: Path, head: bytes, settings: TableSettings, where: str) -> Table:
    lines = head.decode("utf-8-sig", errors="replace")
    if len(head) == _SAMPLE:
        lines = lines[: lines.rfind("\n") + 1] or lines
    separator = settings.separator or find_separator(lines)
    first = _rows(lines, separator)[0]
    likely = find_separator(lines)
    if len(first) == 1 < len(_rows(lines, likely)[0]):
        raise LogError(
            f"{where}: with the separator {separator!r} the first line is one field, {first[0][:60]!r}; "
            f"it looks separated by {likely!r}"
        )
    if settings.column_names and len(settings.column_names) != len(first):
        raise LogError(
            f"{where} has {len(first)} fields separated by {separator!r} in its first line, "
            f"but column_names gives {len(settings.column_names)}"
        )
    if not settings.column_names:
        _check_header(first, separator, where)
    names = settings.column_names or tuple(first)
    frame = pl.scan_csv(
        path,
        separator=separator,
        has_header=not settings.column_names,
        new_columns=list(names),
        infer_schema=False,
    )
    return Table(frame, names, where, locate=partial(uneven_row, path, separator, len(names)))


def _check_header(first: Sequence[str], separator: str, where: str) -> None:
    if "::" in "".join(first) or (separator == ":" and "" in first):
        raise LogError(f"{where} is separated by '::', as MovieLens 1M and 10M are: name that source instead")
    if numbers := [name for name in first if name.strip().lstrip("-").replace(".", "", 1).isdigit()]:
        raise LogError(
            f"{where} seems to have no header: its first line holds {', '.join(numbers[:4])}; "
            "name its columns in column_names"
        )
    if repeated := sorted({name for name in first if first.count(name) > 1}):
        raise LogError(f"{where} has several columns of the name {', '.join(map(repr, repeated))}: rename them")


def find_separator(lines: str) -> str:
    r"""The character that cuts the first lines of a CSV file into the same number of fields, as many as can be.

    Example:
        >>> find_separator('user;item;title\n1;2;"a, b"\n')
        ';'
    """
    best = (0.0, 0, SEPARATORS[0])
    for separator in SEPARATORS:
        widths = [len(row) for row in _rows(lines, separator)]
        even = sum(width == widths[0] for width in widths) / len(widths)
        if widths[0] > 1:
            best = max(best, (float(even >= 0.9), widths[0], separator))
    return best[2]


def _rows(lines: str, separator: str, limit: int = 200) -> list[list[str]]:
    rows = csv.reader(io.StringIO(lines, newline=""), delimiter=separator)
    try:
        return [row for row in itertools.islice(rows, limit) if row] or [[""]]
    except csv.Error:  # a field of more than 128 KiB: an unclosed quote, which reading will name
        return [lines.split("\n", 1)[0].split(separator)]
