"""Rows that hold many interactions: lists of what was shown, with what was clicked, and lists of objects."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from typing import Any

import polars as pl

from trackrec.data.table import SHORT_ROW, Table
from trackrec.errors import LogError

_TOKEN = r"[^\s,;|]+"
_AROUND = r"""[\[\]{}()"']"""
_MARKED = r"^(.*)-([01])$"


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
        rows = frame.with_columns(shown.alias("item_id"), clicked.alias("shown_clicked")).explode("item_id")
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


def unnest(table: Table, column: str) -> Table:
    """The table with a row for each object in a column of lists, its keys as columns beside those of the row.

    Args:
        table: whose column holds lists of objects, as such or as text (JSON or Python).
        column: its name. A key that is also a column is ``COLUMN_KEY``.

    Raises:
        LogError: there is no such column, or it holds something else.
    """
    if column not in table.names:
        found = ", ".join(table.names)
        raise LogError(f"{table.where} has no column {column!r}, which columns.nested names: found {found}")
    dtype = table.frame.collect_schema()[column]
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


def _replaced(table: Table, frame: pl.LazyFrame, texts: set[str]) -> Table:
    names = tuple(name for name in frame.collect_schema() if name != SHORT_ROW)
    return replace(table, frame=frame, names=names, texts=table.texts | texts)


def _tokens(column: str, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.List):
        return pl.col(column).cast(pl.List(pl.String))
    return pl.col(column).cast(pl.String).str.replace_all(_AROUND, " ").str.extract_all(_TOKEN)


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
