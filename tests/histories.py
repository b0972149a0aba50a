"""One user's history as the frame that teachers read, and the text that a teacher writes from it."""

from __future__ import annotations

from typing import Any

import polars as pl

from trackrec.teachers.template import ProfileTeacher
from trackrec.users.profile import EMPTY


def history_frame(user: Any, rows: list[dict[str, Any]], recent: int | None = None) -> pl.DataFrame:
    """The rows as a frame; ``recent``: so many of the newest are shown one by one. None: all."""
    shown = len(rows) if recent is None else recent
    places = range(len(rows))
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(
        user_id=pl.Series([user] * len(rows)),
        position=pl.Series(places, dtype=pl.Int32),
        shown=pl.Series([place >= len(rows) - shown for place in places]),
    )


def written(writer: ProfileTeacher, user: Any, rows: list[dict[str, Any]], seed: int, recent: int | None = None) -> str:
    """The teacher's text on one user."""
    if not rows:
        return writer.tell(user, EMPTY, seed)
    return str(writer.write(history_frame(user, rows, recent), seed)["text"][0])
