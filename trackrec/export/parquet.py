"""Plain Parquet with a schema beside it."""

from __future__ import annotations

from pathlib import Path

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
