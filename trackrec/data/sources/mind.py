"""MIND: news that was shown to readers of Microsoft News, and what they clicked."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import polars as pl

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.log import Log
from trackrec.data.open_table import open_table
from trackrec.data.source_files import need_files
from trackrec.data.table import NO_QUOTES, TableSettings
from trackrec.data.tabular import TablesSettings, make_log

FILES = ("behaviors.tsv", "news.tsv")
_BEHAVIORS = ("impression_id", "user_id", "time", "history", "impressions")
_NEWS = ("news_id", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities")
_COLUMNS = ColumnMapping(
    user="user_id", timestamp="time", timestamp_format="%m/%d/%Y %I:%M:%S %p", shown="impressions",
    item_in_items="news_id", title="title", genres="genres", genre_separator="|", attributes=("abstract",), year="-",
    creator="-", quantity="-",
)  # fmt: skip


def read_mind(folder: Path) -> Log:
    """The log of MIND: each item of an impression is an interaction, with a rating of 1 (clicked) or 0.

    Items hold category and subcategory as ``genres``, and the abstract. What readers had clicked before the log begins
    (its column of histories) has no times, and is not read.

    Args:
        folder: one that holds behaviors.tsv and news.tsv.

    Raises:
        LogError: a file is not there or cannot be used.

    Source:
        Wu et al., "MIND: A Large-scale Dataset for News Recommendation", ACL 2020.
    """
    need_files(folder, FILES, "MIND")
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:
        behaviors, news = (
            open_table(
                TableSettings(path=str(folder / name), separator="\t", quote=NO_QUOTES, column_names=names),
                Path(scratch),
            )
            for name, names in zip(FILES, (_BEHAVIORS, _NEWS), strict=True)
        )
        genres = pl.concat_str("category", "subcategory", separator="|", ignore_nulls=True)
        frame = news.frame.with_columns(genres.alias("genres"))
        news = dataclasses.replace(news, frame=frame, names=(*news.names, "genres"))
        tables = {"interactions": behaviors, "items": news}
        return make_log(tables, TablesSettings(columns=_COLUMNS), where=f"MIND in {folder}")
