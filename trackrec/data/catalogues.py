"""The catalogue: titles, years, genres and further attributes from the items' table, or from the interactions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.genres import read_genres, read_names
from trackrec.data.ids import read_ids
from trackrec.data.interactions import ReadReport
from trackrec.data.mapped_table import MappedTable
from trackrec.data.table import SHORT_ROW

log = logging.getLogger("trackrec.data")

LONG_TITLE = 1000
"""Characters from which on a title is counted as odd."""


def read_title(column: str) -> pl.Expr:
    """The title verbatim, whatever it holds; null if it is blank."""
    text = pl.col(column).cast(pl.String)
    return pl.when(text.str.strip_chars() != "").then(text).alias("title")


def read_year(column: str, dtype: pl.DataType) -> pl.Expr:
    """A year of 1000 to 2999 as Int32, from a number, a date or a text with one in it; else null."""
    if dtype.is_temporal():
        year = pl.col(column).dt.year()
    elif dtype == pl.String:
        year = pl.col(column).str.extract(r"(?:^|\D)([12]\d{3})(?:\D|$)").cast(pl.Int32)
    else:
        year = pl.col(column).cast(pl.Int32, strict=False)
    return pl.when(year.is_between(1000, 2999)).then(year).cast(pl.Int32).alias("year")


def items_described(rows: pl.LazyFrame) -> tuple[pl.DataFrame, int, int]:
    """A catalogue from interactions that describe their item: what stands in its first row that says something.

    Args:
        rows: item_id and any of title, year, genres, creator and attributes, one row an interaction.

    Returns:
        One row an item, sorted by id; how many items have several rows, and how many of these several titles.
    """
    names = [name for name in rows.collect_schema() if name != "item_id"]
    firsts = [pl.col(name).drop_nulls().first() for name in names]
    several = pl.col("title").drop_nulls().n_unique() if "title" in names else pl.lit(1)
    items = (
        rows.filter(pl.col("item_id").is_not_null())
        .group_by("item_id", maintain_order=True)
        .agg(*firsts, several.alias("__titles"), pl.len().alias("__rows"))
        .sort("item_id")
        .collect()
    )
    several_rows, several_titles = (items.filter(pl.col(name) > 1).height for name in ("__rows", "__titles"))
    return items.drop("__titles", "__rows"), several_rows, several_titles


def title_counts(items: pl.DataFrame) -> dict[str, int]:
    """What is odd about the titles, all of it kept as it is; before repeated ids are left out."""
    first = items.unique("item_id", keep="first", maintain_order=True)
    titles = first["title"].drop_nulls()
    pairs = items.select("item_id", "title").drop_nulls().unique()
    return {
        "kept_items_with_several_titles": pairs.filter(pairs["item_id"].is_duplicated())["item_id"].n_unique(),
        "kept_titles_of_several_items": titles.filter(titles.is_duplicated()).n_unique(),
        "kept_titles_with_line_breaks": int(titles.str.contains(r"[\r\n]").sum()),
        f"kept_titles_over_{LONG_TITLE}_characters": int((titles.str.len_chars() > LONG_TITLE).sum()),
    }


def _described(part: MappedTable, whole: Mapping[str, bool]) -> pl.LazyFrame:
    """item_id, title, year, genres as they came, creator and attributes, as far as they are there."""
    wanted = []
    for name, read in (("title", read_title), ("year", lambda column: read_year(column, part.schema[column]))):
        wanted += [read(name)] if name in part.schema else []
    if "creator" in part.schema:
        wanted.append(read_names("creator", part.schema["creator"]))
    ids = read_ids("item_id", part.schema["item_id"], whole=whole["item_id"])
    genres = ["genres"] if "genres" in part.schema else []
    return part.frame.select(ids, *wanted, *genres, *_flat(part))


def _flat(part: MappedTable) -> list[pl.Expr]:
    """The attributes: lists as one text, an object's fields as columns of their own (``size_width``)."""
    flat: list[pl.Expr] = []
    for name in part.attributes:
        dtype = part.schema[name]
        if isinstance(dtype, pl.Struct):
            flat += [pl.col(name).struct.field(field.name).alias(f"{name}_{field.name}") for field in dtype.fields]
        else:
            flat.append(read_names(name, dtype) if isinstance(dtype, (pl.List, pl.Array)) else pl.col(name))
    return flat


def items_of(
    parts: Mapping[str, MappedTable],
    rows: pl.LazyFrame,
    whole: Mapping[str, bool],
    mapping: ColumnMapping,
    found: ReadReport,
) -> pl.DataFrame:
    """The catalogue: the table of items, or what the interactions (``rows``: with their ids) say of them."""
    if "items" in parts:
        part = parts["items"]
        return _finished(part.collect(_described(part, whole)), part, mapping, found)
    return _items_of_interactions(parts["interactions"], rows, whole, mapping, found)


def _items_of_interactions(
    part: MappedTable, rows: pl.LazyFrame, whole: Mapping[str, bool], mapping: ColumnMapping, found: ReadReport
) -> pl.DataFrame:
    whole_rows = part.frame
    if SHORT_ROW in part.schema:  # a value of a short row may stand in another column's place
        whole_rows = part.frame.filter(~pl.col(SHORT_ROW))
    described = _described(replace(part, frame=whole_rows), whole)
    if described.collect_schema().names() == ["item_id"]:
        ids = rows.select(pl.col("item_id").drop_nulls().unique().sort()).collect(engine="streaming")
        return _finished(ids, part, mapping, found)
    with part.table.reading():
        items, several_rows, several = items_described(described)
    if "title" in part.columns.guessed and several * 2 > several_rows:
        log.warning(
            "%s: the column %r differs between rows of one item (%d items), so it is not taken for the item's title",
            part.table.where, part.columns.roles["title"], several,
        )  # fmt: skip
        items, several = items.drop("title"), 0
    items = _finished(items, part, mapping, found)
    found.counts["kept_items_with_several_titles"] = several
    return items


def _finished(items: pl.DataFrame, part: MappedTable, mapping: ColumnMapping, found: ReadReport) -> pl.DataFrame:
    if "genres" in items.columns:
        asked = mapping.genre_separator
        genres = read_genres(items["genres"], part.columns.genre_separator if asked is None else asked)
        column = part.columns.roles["genres"]
        found.notes += [f"genres in {column}: {genres.note}"] if genres.note else []
        found.counts["items_with_nothing_in_their_genres"] = int((genres.values.list.len() == 0).sum())
        items = items.with_columns(genres.values)
    if "title" not in items.columns:
        found.counts["kept_items_titled_by_their_id"] = items["item_id"].drop_nulls().n_unique()
        items = items.with_columns(pl.col("item_id").cast(pl.String).alias("title"))
    found.counts |= title_counts(items)
    return items
