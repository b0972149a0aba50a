"""Rows that hold many interactions: lists of what was shown, with what was clicked, and lists of objects."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from typing import Any

import polars as pl

from trackrec.data.table import SHORT_ROW, Table
from trackrec.errors import LogError

_PEEKED = 1_000
_TOKEN = r"[^\s,;|]+"
_AROUND = r"""[\[\]{}()"']"""
_MARKED = r"^(.*)[-:=]([01])$"


def explode_shown(frame: pl.LazyFrame, schema: pl.Schema, *, where: str) -> pl.LazyFrame:
    """A row for each item that was shown, with ``item_id`` and a ``rating`` of 1 (clicked) or 0 (not).

    Args:
        frame: with ``shown`` (a list, or text such as ``N1-1 N2-0`` or ``[12, 15]``) and perhaps ``shown_clicked``.
        schema: its columns.
        where: the file, for messages.

    Raises:
        LogError: nothing says what was clicked.
    """
    shown = _tokens("shown", schema["shown"])
    if "shown_clicked" in schema:
        clicked = _tokens("shown_clicked", schema["shown_clicked"]).fill_null([])
        rows = frame.with_columns(shown.alias("item_id"), clicked.alias("shown_clicked"))
        if _are_flags(rows):
            rows, rating = rows.explode("item_id", "shown_clicked"), pl.col("shown_clicked").cast(pl.Float64)
        else:  # what was clicked was shown, whether the list says so or not
            items, clicks = pl.col("item_id").fill_null([]), pl.col("shown_clicked")
            rows = rows.with_columns(items.list.concat(clicks.list.set_difference(items))).explode("item_id")
            rating = pl.col("shown_clicked").list.contains(pl.col("item_id")).cast(pl.Float64)
        return rows.with_columns(rating.alias("rating")).drop("shown", "shown_clicked")
    rows = frame.with_columns(shown.alias("token")).explode("token")
    marked = pl.col("token").str.contains(_MARKED)
    if not rows.select(marked.any()).collect(engine="streaming").item():
        raise LogError(
            f"{where}: nothing says which of what was shown was clicked: expected items such as N1-1 and N2-0 in "
            "columns.shown, or the clicked ones in columns.shown_clicked"
        )
    item = pl.when(marked).then(pl.col("token").str.extract(_MARKED, 1)).otherwise("token")
    click = pl.col("token").str.extract(_MARKED, 2).cast(pl.Float64)
    return rows.with_columns(item.alias("item_id"), click.alias("rating")).drop("shown", "token")


def _are_flags(rows: pl.LazyFrame) -> bool:
    """Whether ``shown_clicked`` holds a 1 or 0 for each item that was shown, and not what was clicked."""
    shown, clicked = pl.col("item_id").fill_null([]), pl.col("shown_clicked")
    flags = clicked.list.eval(pl.element().is_in(["0", "1"])).list.all()
    even = clicked.list.len() == shown.list.len()
    alien = clicked.list.set_difference(shown).list.len() > 0
    return bool(rows.select(even.all() & flags.all() & alien.any()).collect(engine="streaming").item())


def unnest(table: Table, column: str) -> Table:
    """The table with a row for each entry in a column of lists, the keys of objects as columns beside those of the row.

    Args:
        table: whose column holds lists of objects, as such or as text (JSON or Python); or lists of plain values, which
            then become rows, together with the lists of the same lengths in other columns.
        column: its name. A key that is also a column is ``COLUMN_KEY``.

    Raises:
        LogError: there is no such column, or it holds something else.
    """
    if column not in table.names:
        found = ", ".join(table.names)
        raise LogError(f"{table.where} has no column {column!r}, which columns.nested names: found {found}")
    dtype = table.frame.collect_schema()[column]
    if (alone := _of_plain_values(table, column)) is not None:
        return _replaced(table, alone, set())
    if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):
        names = {field.name: _free(field.name, table.names, column) for field in dtype.inner.fields}
        objects = pl.col(column).struct.rename_fields(list(names.values()))
        frame = table.frame.explode(column).with_columns(objects).unnest(column)
        told = {names[field.name] for field in dtype.inner.fields if field.dtype == pl.String}
        return _replaced(table, frame, told)
    with table.reading():
        rows = table.frame.collect()
    places: list[int] = []
    keys: dict[str, list[str | None]] = {}
    texts: set[str] = set()
    for place, text in enumerate(rows[column].cast(pl.String)):
        for each in _objects(text, table.where, column, place):
            places.append(place)
            texts |= {_free(key, table.names, column) for key, value in each.items() if isinstance(value, str)}
            for key in each.keys() - keys.keys():
                keys[key] = [None] * (len(places) - 1)
            for key, values in keys.items():
                values.append(_as_text(each.get(key)))
    added = {_free(key, table.names, column): pl.Series(values, dtype=pl.String) for key, values in keys.items()}
    whole = rows.drop(column)[places].with_columns(**added)
    return _replaced(table, whole.lazy(), texts)


def _of_plain_values(table: Table, column: str) -> pl.LazyFrame | None:
    """The rows with lists of plain values taken apart, with all lists that are as long beside them; None: objects."""
    schema = table.frame.collect_schema()
    lists = [name for name in table.names if isinstance(schema[name], pl.List) or schema[name] == pl.String]
    head = table.frame.select(lists).head(_PEEKED).collect()
    entries = {name: _entries(head[name]) for name in lists}
    own = entries.get(column)
    if own is None or any(isinstance(value, (dict, list)) for each in own for value in each or ()):
        return None
    lengths = [None if each is None else len(each) for each in own]
    along = [
        name for name, other in entries.items()
        if other is not None and [None if each is None else len(each) for each in other] == lengths
    ]  # fmt: skip
    parsed = [
        pl.col(name) if isinstance(schema[name], pl.List)
        else pl.col(name).map_elements(_texts_of, return_dtype=pl.List(pl.String))
        for name in along
    ]  # fmt: skip
    return table.frame.with_columns(parsed).explode(along).drop(table.parts)


def _entries(values: pl.Series) -> list[list[Any] | None] | None:
    """The lists in a column; None if something else is in it."""
    if isinstance(values.dtype, pl.List):
        return [None if each is None else list(each) for each in values.to_list()]
    found = [None if not text else _parsed(text) for text in values]
    return found if any(found) and all(each is None or isinstance(each, list) for each in found) else None


def _texts_of(text: str) -> list[str | None] | None:
    value = _parsed(text)
    return [_as_text(each) for each in value] if isinstance(value, list) else None


def _parsed(text: str) -> Any:
    """What JSON or Python reads in a text that looks like a list or object; None where they read nothing."""
    if text.strip()[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return text


def _replaced(table: Table, frame: pl.LazyFrame, texts: set[str]) -> Table:
    inner = {*table.parts, SHORT_ROW}
    names = tuple(name for name in frame.collect_schema() if name not in inner)
    return replace(table, frame=frame, names=names, texts=table.texts | texts, parts=())


def _tokens(column: str, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.List):
        return pl.col(column).cast(pl.List(pl.String))
    text = pl.col(column).cast(pl.String)
    listed = text.map_elements(_ids_of, return_dtype=pl.List(pl.String))
    return pl.coalesce(listed, text.str.replace_all(_AROUND, " ").str.extract_all(_TOKEN))


def _ids_of(text: str) -> list[str | None] | None:
    """The ids of a list in JSON or Python, which may hold spaces; None where there is no such list."""
    value = _parsed(text) if text.strip()[:1] == "[" else None
    return [_as_text(each) for each in value] if isinstance(value, list) else None


def _free(key: str, names: tuple[str, ...], column: str) -> str:
    return f"{column}_{key}" if key in names and key != column else key


def _objects(text: str | None, where: str, column: str, place: int) -> list[dict[str, Any]]:
    if text is None or not text.strip():
        return []
    try:
        value = json.loads(text)
    except ValueError:
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = None
    value = [value] if isinstance(value, dict) else value
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise LogError(f"{where}, row {place + 1}: {column!r} holds {text[:60]!r}, expected a list of objects")
    return value


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, bool) else str(value).lower()
