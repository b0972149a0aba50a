"""The catalogue: titles, years, genres and further attributes from the items' table, or from the interactions."""

from __future__ import annotations

import json
import logging

import polars as pl

log = logging.getLogger("trackrec.data")

LONG_TITLE = 1000
"""Characters from which on a title is counted as odd."""

_GENRE_SEPARATORS = ("|", ";", ",")
_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""


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


def read_genres(values: pl.Series, separator: str | None) -> pl.Series:
    """Lists of distinct names in their order, from lists, lists of lists, lists written as text, or separated text.

    Args:
        values: one entry an item.
        separator: what stands between two names in text; None: found from the values; "": nothing does.

    Example:
        >>> read_genres(pl.Series(["Drama|War", "War", None]), None).to_list()
        [['Drama', 'War'], ['War'], []]
    """
    if isinstance(values.dtype, pl.List):
        inner = values.dtype.inner
        lists = values.list.eval(pl.element().explode()) if isinstance(inner, pl.List) else values
        lists = lists.cast(pl.List(pl.String))
    else:
        text = values.cast(pl.String)
        as_list = text.str.contains(r"^\s*\[").fill_null(False)
        if separator is None:
            separator = _separator_of(text.filter(~as_list))
        plain = text.str.split(separator) if separator else text.reshape((-1, 1)).arr.to_list()
        quoted = text.str.extract_all(_QUOTED)
        if as_list.any():
            quoted = _unquoted(quoted)
        lists = pl.select(pl.when(as_list).then(quoted).otherwise(plain)).to_series()
    cleaned = lists.list.eval(pl.element().str.strip_chars().filter(pl.element().str.strip_chars() != ""))
    return cleaned.fill_null([]).list.unique(maintain_order=True).alias("genres")


def _separator_of(text: pl.Series) -> str:
    shares = [(int(text.str.contains(separator, literal=True).sum()), separator) for separator in _GENRE_SEPARATORS]
    count, separator = max(shares, key=lambda share: share[0])
    if count:
        log.info("genres are separated by %r in %d of %d items", separator, count, len(text))
    return separator if count else ""


def _unquoted(lists: pl.Series) -> pl.Series:
    """Without the quotes; the few with a backslash are decoded one by one."""
    names = lists.explode().drop_nulls().unique()
    escaped = names.filter(names.str.contains("\\", literal=True))
    decoded = {name: _decoded(name) for name in escaped}
    element = pl.element()
    return lists.list.eval(
        pl.when(element.str.contains("\\", literal=True))
        .then(element.replace(list(decoded), list(decoded.values())) if decoded else element)
        .otherwise(element.str.slice(1, element.str.len_chars() - 2))
    )


def _decoded(name: str) -> str:
    if name.startswith('"'):
        try:
            return str(json.loads(name))
        except ValueError:
            pass
    return name[1:-1].replace("\\'", "'").replace('\\"', '"').replace("\\\\", "\\")


def items_described(rows: pl.LazyFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """A catalogue from interactions that describe their item: what stands in its first row that says something.

    Args:
        rows: item_id and any of title, year, genres, creator and attributes, one row an interaction.

    Returns:
        One row an item, sorted by id; and how many items have several rows, and how many of these several titles.
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
    counts = {
        "items_with_several_rows": items.filter(pl.col("__rows") > 1).height,
        "items_with_several_titles": items.filter(pl.col("__titles") > 1).height,
    }
    return items.drop("__titles", "__rows"), counts


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
