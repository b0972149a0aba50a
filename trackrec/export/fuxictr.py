"""A FuxiCTR data set: raw Parquet by split, vectors as pre-trained embeddings, and the two configuration files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from trackrec.errors import RunError
from trackrec.export.feature_tables import FeatureTables

SPLITTERS = ("^", "|", "~", "\x1f", "\x1e")
"""What FuxiCTR may split sequences by: the first that no id and no genre holds, so that each stays as it is."""
FILES = {"train": "train", "valid": "validation", "test": "test"}


def write_fuxictr(tables: FeatureTables, folder: Path) -> None:
    """``train.parquet, valid.parquet, test.parquet, user_vectors.npz, item_vectors.npz`` and the configuration.

    The vectors stand once, by user and by item, as frozen pre-trained embeddings: FuxiCTR projects them to the model's
    own width. A user without a vector gets zeros and a 0 in ``has_reccot``, which is a feature of its own; likewise for
    items and P(Yes). Paths are relative to the folder, so FuxiCTR is to be started there.
    """
    splitter = find_splitter(tables)
    for name, split in FILES.items():
        _rows(tables, split, splitter).write_parquet(folder / f"{name}.parquet")
    _write_vectors(folder / "user_vectors.npz", tables.users, "user_id", "reccot_vector")
    _write_vectors(folder / "item_vectors.npz", tables.items, "item_id", "item_vector")
    dataset = {dataset_id(tables): _dataset(tables, splitter)}
    (folder / "dataset_config.yaml").write_text(yaml.safe_dump(dataset, sort_keys=False), encoding="utf-8")
    (folder / "model_config.yaml").write_text(yaml.safe_dump(_models(tables), sort_keys=False), encoding="utf-8")


def dataset_id(tables: FeatureTables) -> str:
    """The data set's name in the configuration."""
    return "trackrec_" + tables.name.replace("-", "_")


def find_splitter(tables: FeatureTables) -> str:
    """What stands between two ids or genres of a sequence.

    Raises:
        RunError: each of ``SPLITTERS`` is in some id or genre, or an id is empty, which FuxiCTR takes for missing.
    """
    items = pl.concat(
        [tables.items["item_id"], tables.examples["item_id"], tables.examples["recent_item_ids"].explode()]
    )
    names = pl.concat([items.cast(pl.String), tables.items["genres"].explode().cast(pl.String)]).drop_nulls().unique()
    ids = pl.concat([items.cast(pl.String), tables.users["user_id"].cast(pl.String)])
    if (ids == "").any():
        raise RunError(
            "an id is empty, which FuxiCTR takes for a missing one: name it in the log, or export as parquet"
        )
    for splitter in SPLITTERS:
        if not names.str.contains(splitter, literal=True).any():
            return splitter
    raise RunError(
        f"ids or genres hold each of {', '.join(map(repr, SPLITTERS))}, so that FuxiCTR could not tell where one ends "
        "in a sequence: rename those with the last one, or export as parquet"
    )


def _rows(tables: FeatureTables, split: str, splitter: str) -> pl.DataFrame:
    users, items = tables.users, tables.items
    joined = (
        tables.part(split)
        .join(users.select("user_id", "has_reccot"), on="user_id", how="left", maintain_order="left")
        .join(items.select("item_id", "year", "genres", "has_text"), on="item_id", how="left", maintain_order="left")
    )
    user, item = (pl.col(name).cast(pl.String) for name in ("user_id", "item_id"))
    flags = {"has_reccot": pl.col("has_reccot"), "has_item_vector": pl.col("has_text").fill_null(False)}
    flags["has_yes_probability"] = pl.col("yes_probability").is_not_null()
    return joined.select(
        pl.col("label").cast(pl.Float64),
        user.alias("user_id"),
        item.alias("item_id"),
        pl.col("year").cast(pl.String).fill_null("unknown"),
        _joined("genres", splitter),
        _joined("recent_item_ids", splitter).alias("recent_items"),
        _joined("recent_ratings", splitter),
        pl.col("raters", "likes").cast(pl.Float64),
        *(flag.cast(pl.Float64).alias(name) for name, flag in flags.items()),
        pl.col("yes_probability").fill_null(0.0),
        user.alias("reccot"),
        item.alias("item_text"),
    )


def _joined(name: str, splitter: str) -> pl.Expr:
    return pl.col(name).cast(pl.List(pl.String)).fill_null([]).list.join(splitter)


def _write_vectors(path: Path, table: pl.DataFrame, key: str, column: str) -> None:
    known = table.filter(pl.col(column).is_not_null())
    if known.height:
        keys = np.asarray(known[key].cast(pl.String).to_list(), dtype=np.str_)
        np.savez(path, key=keys, value=np.asarray(known[column].to_list(), dtype=np.float32))


def _dataset(tables: FeatureTables, splitter: str) -> dict[str, Any]:
    numbers = ["raters", "likes", "has_reccot", "has_item_vector", "has_yes_probability", "yes_probability"]
    sequence = {"active": True, "dtype": "str", "type": "sequence", "splitter": splitter, "padding": "post"}
    features: list[dict[str, Any]] = [
        {"name": "user_id", "active": True, "dtype": "str", "type": "meta"},
        {"name": "item_id", "active": True, "dtype": "str", "type": "categorical", "source": "item"},
        {"name": "year", "active": True, "dtype": "str", "type": "categorical", "source": "item"},
        {"name": "genres", **sequence, "max_len": 5, "feature_encoder": "layers.MaskedAveragePooling()"},
    ]
    if tables.recent:
        shown = {**sequence, "max_len": tables.recent, "feature_encoder": "layers.MaskedAveragePooling()"}
        features.append({"name": "recent_items", **shown, "share_embedding": "item_id"})
        features.append({"name": "recent_ratings", **shown})
    for name in numbers:
        scaled = {"normalizer": "StandardScaler"} if name in ("raters", "likes") else {}
        features.append({"name": name, "active": True, "dtype": "float", "type": "numeric", **scaled})
    for name, width, file, source in (
        ("reccot", tables.user_width, "user_vectors.npz", "user"),
        ("item_text", tables.item_width, "item_vectors.npz", "item"),
    ):
        if width:
            features.append(
                {
                    "name": name,
                    "active": True,
                    "dtype": "str",
                    "type": "categorical",
                    "source": source,
                    "pretrained_emb": f"./{file}",
                    "pretrain_dim": width,
                    "freeze_emb": True,
                    "pretrain_usage": "init",
                }
            )
    files = {f"{name}_data": f"./{name}.parquet" for name in FILES}
    label = {"name": "label", "dtype": "float"}
    return {
        "data_root": "./processed/",
        "data_format": "parquet",
        **files,
        "min_categr_count": 1,
        "feature_cols": features,
        "label_col": label,
    }


def _models(tables: FeatureTables) -> dict[str, Any]:
    base = {
        "model_root": "./checkpoints/",
        "num_workers": 1,
        "verbose": 1,
        "early_stop_patience": 2,
        "save_best_only": True,
        "eval_steps": None,
        "debug_mode": False,
        "group_id": "user_id",
        "use_features": None,
        "feature_specs": None,
        "feature_config": None,
    }
    dnn = {
        "model": "DNN",
        "dataset_id": dataset_id(tables),
        "loss": "binary_crossentropy",
        "metrics": ["logloss", "AUC", "gAUC"],
        "task": "binary_classification",
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "hidden_units": [64, 32],
        "hidden_activations": "relu",
        "net_regularizer": 0,
        "embedding_regularizer": 1e-6,
        "net_dropout": 0.1,
        "batch_norm": False,
        "batch_size": 512,
        "embedding_dim": 16,
        "epochs": 5,
        "shuffle": True,
        "seed": 2026,
        "monitor": "AUC",
        "monitor_mode": "max",
    }
    return {"Base": base, "DNN_trackrec": dnn}
