"""Rows of a table as plain dictionaries, user by user."""

from __future__ import annotations

from typing import Any

import polars as pl


def rows_by_user(table: pl.DataFrame) -> dict[Any, list[dict[str, Any]]]:
    """Each user's rows, in the order of the table."""
    parts: dict[Any, list[dict[str, Any]]] = {}
    for row in table.iter_rows(named=True):
        parts.setdefault(row["user_id"], []).append(row)
    return parts
