"""Rows user by user: histories, cut out of one table as they are needed, or all of a table at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from trackrec.users.catalogue import Row


class Histories(Mapping[Any, Sequence[Row]]):
    """Each user's events, oldest first, cut out of one table when they are asked for.

    Args:
        table: ``user_id``, ``position`` (0: the oldest event) and what else an event has; one row an event.
    """

    def __init__(self, table: pl.DataFrame) -> None:
        ordered = table.sort("user_id", "position") if "position" in table.columns else table.sort("user_id")
        self.table = ordered
        runs = ordered.select(pl.col("user_id").rle().alias("run")).unnest("run")
        starts = (runs["len"].cum_sum() - runs["len"]).to_list()
        self._places = {
            user: (start, length)
            for user, start, length in zip(runs["value"].to_list(), starts, runs["len"].to_list(), strict=True)
        }

    def __getitem__(self, user: Any) -> Sequence[Row]:
        start, length = self._places[user]
        return self.table.slice(start, length).to_dicts()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def frame(self, users: Sequence[Any]) -> pl.DataFrame:
        """The events of some users, in the users' order."""
        return pl.concat([self.table.slice(*self._places[user]) for user in users]) if users else self.table.clear()


def rows_by_user(table: pl.DataFrame) -> dict[Any, list[dict[str, Any]]]:
    """Each user's rows, in the order of the table."""
    parts: dict[Any, list[dict[str, Any]]] = {}
    for row in table.iter_rows(named=True):
        parts.setdefault(row["user_id"], []).append(row)
    return parts
