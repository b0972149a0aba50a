"""Several files as one table: the parts of one, or tables of items that are joined by the id."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.columns import find_columns
from trackrec.data.local_file import local_path
from trackrec.data.source_files import is_hidden
from trackrec.data.table import SHORT_ROW, Table, TableSettings
from trackrec.errors import LogError

_MARKS = "*?["


def files_of(path: str) -> list[Path]:
    """The local files that a path names; none for what is remote, or not there.

    A file of that very name is that file, whatever marks the name holds. A folder is all files in and below it, but for
    hidden ones, what `trackrec data check` wrote, and the folders of runs. Anything else with ``*``, ``?`` or ``[`` is
    a pattern; ``**`` stands for folders of any depth.
    """
    place = local_path(path)
    if place is None or place.is_file():
        return [place] if place else []
    if place.is_dir():
        found = sorted(file for file in place.rglob("*") if file.is_file())
        runs = {file.parent for file in found if file.name == "recipe.yaml" and (file.parent / "manifests").is_dir()}
        seen = [file for file in found if not any(is_hidden(part) for part in file.relative_to(place).parts)]
        return [file for file in seen if not runs & set(file.parents)]
    if not any(mark in str(place) for mark in _MARKS):
        return []
    root = _root(path)
    pattern = str(Path(glob.escape(str(root)), *place.parts[len(root.parts) :]))
    found = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
    return [file for file in found if file.is_file() and not is_hidden(file.name)]


def is_many(path: str) -> bool:
    """Whether a path is a folder or, with no file of that very name, a pattern."""
    place = local_path(path)
    if place is None or place.is_file():
        return False
    return place.is_dir() or any(mark in str(place) for mark in _MARKS)


def open_many(settings: TableSettings, open_one: Callable[[TableSettings], Table]) -> Table:
    """The rows of all files, file by file in the order of their names.

    Folders called ``key=value`` add a column ``key``, unless the files have one.

    Args:
        settings: its path is a folder or a pattern; the rest holds for each file.
        open_one: opens one of them.

    Raises:
        LogError: there is no file, or one has other columns than the first.
    """
    files = files_of(settings.path)
    if not files:
        raise LogError(f"{settings.path} holds no file: expected a file, a folder with some, or a pattern that fits")
    root = _root(settings.path)
    tables = [_with_keys(open_one(settings.model_copy(update={"path": str(file)})), file, root) for file in files]
    return tables[0] if len(tables) == 1 else join_files(tables, settings.path)


def join_files(tables: Sequence[Table], path: str) -> Table:
    """The rows of open tables, one after the other.

    Args:
        tables: two at least.
        path: what the files are together, for messages.

    Raises:
        LogError: one has other columns than the first.
    """
    first = tables[0]
    names = tuple(dict.fromkeys(name for table in tables for name in table.names))
    for table in tables[1:]:
        # Keys that are not in every line are as usual in JSON lines as they are strange in a header.
        if not (table.lines and first.lines) and set(table.names) != set(first.names):
            raise LogError(
                f"{table.where} does not fit the files beside it: {first.where} has the columns "
                f"{', '.join(first.names)}, it has {', '.join(table.names)}; take it away, or name a pattern that "
                "leaves it out"
            )
    parts = tuple(dict.fromkeys(part for table in tables for part in table.parts if part not in names))
    frames = [_alike(table, (*names, *parts), tables) for table in tables]
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    texts = frozenset().union(*(table.texts for table in tables))
    where = f"{path} ({len(tables)} files)"

    def locate() -> str:
        return next((f"{table.where}: {found}" for table in tables if (found := table.locate())), "")

    return Table(pl.concat(frames, how="vertical_relaxed"), names, where, texts, locate, notes, first.lines, parts)


def _root(path: str) -> Path:
    """The longest beginning of a path that is there: what marks it holds are no pattern."""
    place = local_path(path) or Path()
    return next((folder for folder in (place, *place.parents) if folder.exists()), Path())


def _with_keys(table: Table, file: Path, root: Path) -> Table:
    below = file.parent.relative_to(root).parts
    keys = dict(part.split("=", 1) for part in below if part.count("=") == 1 and not part.startswith("="))
    new = {key: value for key, value in keys.items() if key not in table.names}
    if not new:
        return table
    frame = table.frame.with_columns(pl.lit(value).alias(key) for key, value in new.items())
    return replace(table, frame=frame, names=(*table.names, *new))


def _alike(table: Table, names: Sequence[str], tables: Sequence[Table]) -> pl.LazyFrame:
    """The table with all columns in one order, and as text what is text in some file."""
    schemas = [other.frame.collect_schema() for other in tables]
    own = table.frame.collect_schema()
    columns = []
    for name in names:
        kinds = {schema[name] for schema in schemas if name in schema}
        column = pl.col(name) if name in own else pl.lit(None).alias(name)
        columns.append(column.cast(pl.String) if len(kinds) > 1 and pl.String in kinds else column)
    if any(SHORT_ROW in schema for schema in schemas):
        columns.append(pl.col(SHORT_ROW) if SHORT_ROW in own else pl.lit(False).alias(SHORT_ROW))
    return table.frame.select(columns)


_KEY = "__item_of_all_tables"


def join_item_tables(tables: Sequence[Table], mapping: ColumnMapping) -> Table:
    """The items of the first table with the columns of all.

    A column that several tables have is taken from the first that says something of the item. Where a further table
    has several rows of an item, its genres (or categories, tags) are all taken, and of other columns the first value.

    Args:
        tables: of items; each has a column of ids.
        mapping: what the user says of the columns; ``item_in_items`` where their ids' name is not usual.

    Raises:
        LogError: a table has no ids that can be found.
    """
    first, *others = tables
    columns = find_columns("items", first.names, _ids_alone(mapping), where=first.where)
    frame, names = first.frame.with_columns(_key(columns.roles["item"])), list(first.names)
    for other in others:
        roles = find_columns("items", other.names, _ids_alone(mapping), where=other.where).roles
        found = find_columns("items", other.names, ColumnMapping(item_in_items=roles["item"]), where=other.where).roles
        rest = [name for name in other.names if name != roles["item"]]
        values = [
            pl.col(name).drop_nulls() if name == found.get("genres") else pl.col(name).drop_nulls().first()
            for name in rest
        ]
        one = other.frame.with_columns(_key(roles["item"])).filter(pl.col(_KEY).is_not_null())
        many = one.select(pl.col(_KEY).is_duplicated().any()).collect().item()
        if many:
            one = one.group_by(_KEY, maintain_order=True).agg(values)
        one = one.select(_KEY, *(pl.col(name).alias(f"{name}{_KEY}") for name in rest))
        frame = frame.join(one, on=_KEY, how="left", maintain_order="left")
        for name in rest:
            new = pl.col(f"{name}{_KEY}")
            frame = frame.with_columns((pl.coalesce(name, new) if name in names else new).alias(name))
            names += [] if name in names else [name]
    notes = tuple(note for table in tables for note in table.notes)
    kept = [*names, *([SHORT_ROW] if SHORT_ROW in first.frame.collect_schema() else [])]
    return replace(first, frame=frame.select(kept), names=tuple(names), notes=notes, parts=())


def _ids_alone(mapping: ColumnMapping) -> ColumnMapping:
    """What the user says of the id; of the rest each table has but a part."""
    return ColumnMapping(item=mapping.item, item_in_items=mapping.item_in_items)


def _key(column: str) -> pl.Expr:
    text = pl.col(column).cast(pl.String).str.strip_chars().str.replace(r"^(\d+)\.0+$", "$1")
    return pl.when(text != "").then(text).alias(_KEY)
