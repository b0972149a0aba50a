"""Runs in an environment with pyarrow alone, in the folder of an export: read it, held against its ``schema.json``."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq


def main() -> None:
    """Read, and compare."""
    schema = json.loads(Path("schema.json").read_text(encoding="utf-8"))
    rows = {}
    for name, said in schema.items():
        table = pq.read_table(f"{name}.parquet")
        assert table.num_rows == said["rows"]
        assert table.column_names == list(said["columns"])
        for column, about in said["columns"].items():
            assert table.column(column).null_count == about["missing"], column
            kind = str(table.schema.field(column).type).replace("<element:", "<item:")  # Parquet's word for it
            assert kind == about["arrow_type"], column
        rows[name] = table.num_rows
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
