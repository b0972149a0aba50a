"""Several tables of items as one: joined by the item's id, what one lacks taken from the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.columns import find_columns
from trackrec.data.table import SHORT_ROW, Table

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
