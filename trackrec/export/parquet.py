"""Parquet files: plain with a schema beside them, or as a data set that Hugging Face's ``load_dataset`` reads."""

from __future__ import annotations

from pathlib import Path

import yaml

from trackrec.export.feature_tables import COLUMNS, FeatureTables
from trackrec.run import write_json


def write_parquet(tables: FeatureTables, folder: Path) -> None:
    """``examples.parquet``, ``users.parquet``, ``items.parquet`` and ``schema.json``.

    The schema names each column's type as Polars and as Arrow call it, its meaning, and how many values are missing.
    """
    schema = {}
    for name, meanings in COLUMNS.items():
        table = tables.table(name)
        table.write_parquet(folder / f"{name}.parquet")
        arrow = table.head(0).to_arrow().schema
        schema[name] = {
            "rows": table.height,
            "columns": {
                column: {
                    "type": str(table.schema[column]),
                    "arrow_type": str(arrow.field(column).type),
                    "missing": table[column].null_count(),
                    "meaning": meaning,
                }
                for column, meaning in meanings.items()
            },
        }
    write_json(folder / "schema.json", schema)


SPLITS = ("train", "validation", "test")


def write_huggingface(tables: FeatureTables, folder: Path) -> None:
    """``README.md`` with the configurations ``examples`` (train, validation, test), ``users`` and ``items``."""
    configs = []
    for name in COLUMNS:
        (folder / name).mkdir()
        files = []
        for split in SPLITS if name == "examples" else ("train",):
            table = tables.part(split) if name == "examples" else tables.table(name)
            table.write_parquet(folder / name / f"{split}.parquet")
            files.append({"split": split, "path": f"{name}/{split}.parquet"})
        configs.append({"config_name": name, "default": name == "examples", "data_files": files})
    head = {"pretty_name": f"TrackRec features ({tables.name})", "configs": configs, "tags": ["recommendation"]}
    text = [f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n", f"# TrackRec features of the run {tables.name}\n"]
    text.append(
        "Users of `examples` are in one split each; `users` and `items` have one split, called train as "
        "`load_dataset` wants it. Look before you publish: texts and ratings are those of people.\n"
    )
    for name, meanings in COLUMNS.items():
        text.append(f"## {name}\n\n| column | type | meaning |\n|---|---|---|")
        schema = tables.table(name).schema
        text += [f"| `{column}` | {schema[column]} | {meaning} |" for column, meaning in meanings.items()]
        text.append("")
    (folder / "README.md").write_text("\n".join(text), encoding="utf-8")
