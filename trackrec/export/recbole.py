"""RecBole's atomic files: interactions by split, users and items with their vectors as ``float_seq``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import yaml

from trackrec.export.feature_tables import FeatureTables
from trackrec.export.tokens import token, with_tokens, write_id_map

FILES = {"train": "train", "valid": "validation", "test": "test"}


def write_recbole(tables: FeatureTables, folder: Path) -> None:
    """``NAME/NAME.{train,valid,test}.inter``, ``NAME.user``, ``NAME.item``, ``NAME.yaml``, and the ids' tokens.

    RecBole separates by tabs and spaces. An id is its token wherever it can be; else what would break is written as
    ``%XX`` (``trackrec.export.tokens``). ``user_ids.parquet`` and ``item_ids.parquet`` hold each token and its id.

    NAME is the recipe's. RecBole has no missing values: a user or item without a vector has zeros there and a 0 in
    ``has_reccot`` or ``has_text``, columns of their own; an unasked P(Yes) is 0 with a 0 in ``has_yes_probability``.
    """
    name = tables.name
    home = folder / name
    home.mkdir()
    users = with_tokens(pl.concat([tables.users["user_id"], tables.examples["user_id"]]))
    recent = tables.examples["recent_item_ids"].explode()
    items = with_tokens(pl.concat([tables.items["item_id"], tables.examples["item_id"], recent]))
    write_id_map(folder / "user_ids.parquet", "user_id", users, tables.users.schema["user_id"])
    write_id_map(folder / "item_ids.parquet", "item_id", items, tables.items.schema["item_id"])
    for file, split in FILES.items():
        _write(home / f"{name}.{file}.inter", _interactions(tables.part(split), tables.recent))
    _write(home / f"{name}.user", _users(tables))
    _write(home / f"{name}.item", _items(tables))
    settings = yaml.safe_dump(_settings(tables), sort_keys=False)
    (folder / f"{name}.yaml").write_text(settings, encoding="utf-8")


def _interactions(examples: pl.DataFrame, recent: int) -> pl.DataFrame:
    columns = {
        "user_id:token": _token(pl.col("user_id")),
        "item_id:token": _token(pl.col("item_id")),
        "label:float": pl.col("label").cast(pl.Float64),
        "rating:float": pl.col("rating").cast(pl.Float64),
        "timestamp:float": pl.col("timestamp").cast(pl.Float64),
        "raters:float": pl.col("raters").cast(pl.Float64),
        "likes:float": pl.col("likes").cast(pl.Float64),
        "yes_probability:float": pl.col("yes_probability").fill_null(0.0),
        "has_yes_probability:float": pl.col("yes_probability").is_not_null().cast(pl.Float64),
    }
    if recent:
        tokens = pl.col("recent_item_ids").list.eval(_token(pl.element()))
        columns["recent_item_ids:token_seq"] = tokens.list.join(" ")
    return examples.select(**columns)


def _users(tables: FeatureTables) -> pl.DataFrame:
    columns = {
        "user_id:token": _token(pl.col("user_id")),
        "history_events:float": pl.col("history_events").cast(pl.Float64),
    }
    columns["has_reccot:float"] = pl.col("has_reccot").cast(pl.Float64)
    if tables.user_width:
        columns["reccot_vector:float_seq"] = _vector("reccot_vector", tables.user_width)
    return tables.users.select(**columns)


def _items(tables: FeatureTables) -> pl.DataFrame:
    columns = {
        "item_id:token": _token(pl.col("item_id")),
        "title:token_seq": _words(pl.col("title")).fill_null(""),
        "year:token": pl.col("year").cast(pl.String).fill_null("unknown"),
        "genres:token_seq": pl.col("genres").list.eval(_token(pl.element())).list.join(" ").fill_null(""),
        "has_text:float": pl.col("has_text").cast(pl.Float64),
    }
    if tables.item_width:
        columns["item_vector:float_seq"] = _vector("item_vector", tables.item_width)
    return tables.items.select(**columns)


def _token(ids: pl.Expr) -> pl.Expr:
    """Each id or genre as one token that stands for it alone."""
    return ids.cast(pl.String).map_elements(token, return_dtype=pl.String)


def _words(text: pl.Expr) -> pl.Expr:
    """A text as its words, with no tab, line end or quotation mark, which would break the file."""
    return text.cast(pl.String).str.replace_all(r"[\p{C}\s]+", " ").str.replace_all('"', "'").str.strip_chars(" ")


def _vector(name: str, width: int) -> pl.Expr:
    zeros = pl.lit([0.0] * width, dtype=pl.List(pl.Float32))
    return pl.col(name).fill_null(zeros).list.eval(pl.element().cast(pl.String)).list.join(" ")


def _write(path: Path, table: pl.DataFrame) -> None:
    table.write_csv(path, separator="\t", quote_style="never")


def _settings(tables: FeatureTables) -> dict[str, Any]:
    inter = ["user_id", "item_id", "label", "timestamp", "raters", "likes", "yes_probability", "has_yes_probability"]
    users, items = ["user_id", "has_reccot"], ["item_id", "year", "genres", "has_text"]
    users += ["reccot_vector"] if tables.user_width else []
    items += ["item_vector"] if tables.item_width else []
    recent = ["recent_item_ids"] if tables.recent else []
    return {
        "data_path": ".",
        "dataset": tables.name,
        "field_separator": "\t",
        "seq_separator": " ",
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "TIME_FIELD": "timestamp",
        "LABEL_FIELD": "label",
        "benchmark_filename": list(FILES),
        "load_col": {"inter": inter + recent, "user": users, "item": items},
        "alias_of_item_id": recent or None,
        "numerical_features": ["raters", "likes", "yes_probability", "has_yes_probability", "has_reccot", "has_text"],
        "normalize_all": False,
        "train_neg_sample_args": None,
        "eval_args": {"split": {"RS": [8, 1, 1]}, "group_by": None, "order": "RO", "mode": "labeled"},
        "metrics": ["AUC", "LogLoss"],
        "valid_metric": "AUC",
    }
