"""The log that is written from, opened as a stream: files, folders and patterns of them, Delta and Iceberg tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from trackrec.data.catalogues import items_of
from trackrec.data.interactions import ReadReport, plain_interactions
from trackrec.data.many_files import files_of
from trackrec.data.mapped_table import ID_COLUMNS, MappedTable, whole_in_all
from trackrec.data.open_table import open_table
from trackrec.data.sources import TABLES, SourceSettings, read_log
from trackrec.data.table import Table, TableSettings
from trackrec.data.tabular import TablesSettings, open_tables
from trackrec.errors import LogError
from trackrec.settings import Settings
from trackrec.writing.place import open_fs

_MARKS = re.compile(r"[*?\[]")
OWN = "own"
"""In place of a log's path: the log that the run itself was made from."""


class LogSettings(Settings):
    """Which log texts are written from."""

    path: str = OWN
    """A file, a folder or a pattern of files, a Delta or Iceberg table, a path or any URL; ``own``: the run's log."""
    items: str = ""
    """The catalogue as it is now. Empty: that of the run, and what the log says of items that the run did not know."""
    columns: dict[str, Any] = Field(default_factory=dict)
    """What the columns are, over what the run's recipe says; see ``source.tables.columns``."""


@dataclass(frozen=True)
class OpenLog:
    """A log that is open, but not yet read."""

    rows: pl.LazyFrame
    """``user_id, item_id, rating, timestamp, unusable`` (why a row cannot be used; null: it can), in order."""
    items: pl.DataFrame
    """The catalogue that came with it: ``item_id, title, ...``."""
    tables: TablesSettings
    where: str
    found: dict[str, int]
    """What was found of the tables as a whole."""


@contextmanager
def open_log(settings: LogSettings, source: SourceSettings, scratch: Path) -> Iterator[OpenLog]:
    """Open a log; it can be read inside the block.

    Args:
        settings: which log.
        source: that of the run's recipe, which says how its tables are written.
        scratch: an existing folder for copies of what cannot be read in place.

    Raises:
        LogError: it is not there or cannot be used.
    """
    if settings.path == OWN and source.source != TABLES:
        log = read_log(source)
        rows = log.interactions.sort("event_id").lazy()
        wanted = rows.select("user_id", "item_id", "rating", "timestamp", pl.lit(None, pl.String).alias("unusable"))
        yield OpenLog(wanted, log.items, TablesSettings(), source.source, dict(log.counts))
        return
    tables = _tables(settings, source)
    opened = _open(tables, scratch)
    known = {
        name: MappedTable.of(name, table, tables.columns, catalogue="items" in opened) for name, table in opened.items()
    }
    found = ReadReport()
    whole = {column: whole_in_all(column, known, found.counts) for column in ID_COLUMNS["interactions"]}
    acts = known["interactions"]
    frame = plain_interactions(acts, whole, tables, found)
    if tables.columns.row_order_as_time:
        frame = frame.with_row_index("_row").with_columns((pl.col("_row").cast(pl.Int64) + 1).alias("timestamp"))
    items = items_of(known, frame, whole, tables.columns, found)
    rows = frame.select("user_id", "item_id", "rating", "timestamp", "unusable")
    with acts.table.reading():
        yield OpenLog(rows, items, tables, tables.interactions.path or "the query", found.counts)


def fingerprint(settings: LogSettings, source: SourceSettings) -> list[Any]:
    """What tells this log from another state of it: each file's name, size and time of change, without reading it."""
    if settings.path == OWN and source.source != TABLES:
        return [source.source, str(source.folder)]
    tables = _tables(settings, source)
    paths = [table.path for table in (tables.interactions, tables.items) if table.path]
    return [settings.model_dump(mode="json"), *(part for path in paths for part in _states(path))]


def _states(path: str) -> list[list[Any]]:
    if _is_remote(path):
        fs, root = open_fs(path)
        found = fs.glob(root) if _is_pattern(root) and not fs.exists(root) else fs.find(root) or [root]
        return [[name, *_state(fs.info(name))] for name in found]
    files = files_of(path)
    return [[str(file), (stat := file.stat()).st_size, stat.st_mtime_ns] for file in files]


def _state(info: dict[str, Any]) -> list[str]:
    """Size and what tells one content of an object from another, under the names that clients give it."""
    told = (info.get(name) for name in ("e_tag", "ETag", "last_modified", "LastModified", "mtime"))
    return [str(info.get("size")), str(next((value for value in told if value), ""))]


def _tables(settings: LogSettings, source: SourceSettings) -> TablesSettings:
    """The run's way of reading, with this log in place of its own."""
    tables = source.tables if source.source == TABLES else TablesSettings()
    changes: dict[str, Any] = {"users": TableSettings()}
    if settings.path != OWN:
        changes["interactions"] = tables.interactions.model_copy(update={"path": settings.path, "query": ""})
    if settings.items:
        changes["items"] = TableSettings(path=settings.items)
    elif settings.path != OWN and source.source != TABLES:
        changes["items"] = TableSettings()
    columns = tables.columns.model_validate(tables.columns.model_dump() | settings.columns)
    return tables.model_copy(update=changes | {"columns": columns})


def _open(tables: TablesSettings, scratch: Path) -> dict[str, Table]:
    path = tables.interactions.path
    special = _open_lake(path) if path else None
    if special is None:
        opened = open_tables(tables, scratch)
        opened.pop("users", None)
        return opened
    opened = {"interactions": special}
    if tables.items.given:
        opened["items"] = open_table(tables.items, scratch)
    return opened


def _open_lake(path: str) -> Table | None:
    """A Delta or Iceberg table, or Parquet files on object storage; None: it is none of these."""
    plain = path.removeprefix("file://")
    if _is_lake(path, "_delta_log"):
        return _lake(path, "Delta", lambda: pl.scan_delta(plain))
    if path.endswith(".metadata.json") or _is_lake(path, "metadata"):
        return _lake(path, "Iceberg", lambda: pl.scan_iceberg(_newest_metadata(plain)))
    if _is_remote(path):
        place: str | list[str] = f"{path}**/*.parquet" if path.endswith("/") else path
        glob = True
        if _is_pattern(path) and (found := _of_that_name(path)):
            if not path.endswith(("/", ".parquet")):
                return None
            place, glob = found, False
        elif not (_is_pattern(path) or path.endswith("/") or path.rstrip("/").endswith(".parquet")):
            return None
        return _lake(path, "Parquet", lambda: pl.scan_parquet(place, glob=glob, hive_partitioning=False))
    return None


def _lake(path: str, kind: str, scan: Any) -> Table:
    try:
        frame: pl.LazyFrame = scan()
        schema = frame.collect_schema()
    except (ImportError, ModuleNotFoundError) as error:
        raise LogError(f"{path} is a {kind} table, which needs: pip install 'trackrec[lake]' ({error})") from error
    except Exception as error:  # each of these readers has errors of its own
        raise LogError(f"{path} cannot be read as {kind}: {str(error).splitlines()[0]}") from error
    return Table(frame, tuple(schema), path, frozenset(name for name, kind_ in schema.items() if kind_ == pl.String))


def _is_lake(path: str, folder: str) -> bool:
    """Whether a path is a folder with a table's own log in it."""
    if not _is_remote(path):
        return (Path(path.removeprefix("file://")) / folder).is_dir()
    fs, root = open_fs(path)
    return not _is_pattern(root) and bool(fs.isdir(f"{root.rstrip('/')}/{folder}"))


def _of_that_name(url: str) -> list[str]:
    """The object of that very name, or the Parquet files in the folder of that name: it comes before the pattern that
    the name could be."""
    fs, path = open_fs(url)
    protocol = url.partition("://")[0]
    if fs.isfile(path):
        return [f"{protocol}://{path}"]
    return [f"{protocol}://{name}" for name in sorted(fs.find(path)) if name.endswith(".parquet")]


def _newest_metadata(path: str) -> str:
    if path.endswith(".json"):
        return path
    found = sorted((Path(path) / "metadata").glob("*.metadata.json"), key=lambda file: file.stat().st_mtime_ns)
    if not found:
        raise LogError(f"{path}/metadata holds no *.metadata.json: expected that of an Iceberg table")
    return str(found[-1])


def _is_remote(path: str) -> bool:
    return "://" in path and not path.startswith("file://")


def _is_pattern(path: str) -> bool:
    return bool(_MARKS.search(path))
