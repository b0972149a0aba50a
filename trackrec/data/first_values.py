"""The first interaction as it was read, so that a reader sees at a glance what each column was taken for."""

from __future__ import annotations

import datetime
from typing import Any

from trackrec.data.log import Log

_LONGEST = 40


def first_values(log: Log) -> dict[str, str]:
    """Role (user, item, rating, timestamp, title, year, genres, creator) to its value, times as text in UTC.

    They are those of the first interaction that was kept, and of its item. What it lacks is left out.
    """
    if log.interactions.is_empty():
        return {}
    row = log.interactions.row(0, named=True)
    item = log.items.filter(log.items["item_id"] == row["item_id"]).row(0, named=True)
    moment = datetime.datetime.fromtimestamp(row["timestamp"], datetime.UTC)
    found: dict[str, Any] = {
        "user": row["user_id"],
        "item": row["item_id"],
        "rating": f"{row['rating']:g}",
        "timestamp": f"{moment:%Y-%m-%d %H:%M:%S}",
        "title": item["title"],
        "year": item["year"],
        "genres": " + ".join(item["genres"]),
        "creator": item.get("creator"),
    }
    told = {role: " ".join(str(value).split()) for role, value in found.items() if value not in (None, "")}
    return {role: text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…" for role, text in told.items()}
