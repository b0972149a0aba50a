"""Who was forgotten: tombstones in a run folder, which keep a person from coming back when a table is made anew."""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import RunError
from trackrec.files.whole import write_json

TOMBSTONES = "forgotten.json"
"""In a run folder; it holds for the runs inside that folder too. Ids stand in it as salted hashes, not in the clear."""


class Forgotten:
    """The people whom a run, and the runs around it, were told to forget.

    Args:
        marks: salt and hashes of each tombstone file.
    """

    def __init__(self, marks: dict[str, frozenset[str]]) -> None:
        self.marks = marks

    @classmethod
    def of(cls, folder: Path) -> Forgotten:
        """Those of a run folder and of the folders that it lies in.

        Raises:
            RunError: the tombstones cannot be read, so that nobody knows whom to leave out.
        """
        place = folder.absolute()
        marks = {}
        for path in (around / TOMBSTONES for around in (place, *place.parents)):
            if path.is_file():
                salt, users = _read(path)
                marks[salt] = frozenset(users)
        return cls(marks)

    def __bool__(self) -> bool:
        return any(self.marks.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forgotten) and self.marks == other.marks

    def __hash__(self) -> int:
        return hash(frozenset(self.marks.items()))

    def __contains__(self, user: Any) -> bool:
        return any(_mark(salt, user) in users for salt, users in self.marks.items())

    def left_out(self, table: pl.DataFrame) -> pl.DataFrame:
        """The table without the rows of these people, by its column ``user_id``."""
        if not self:
            return table
        gone = [user for user in table["user_id"].unique().to_list() if user in self]
        return table.filter(~pl.col("user_id").is_in(pl.Series(gone, dtype=table.schema["user_id"]).implode()))


def remember(folder: Path, user: str) -> None:
    """Put a tombstone into a run folder.

    Args:
        folder: of the run.
        user: the id as text.
    """
    path = folder / TOMBSTONES
    salt, users = _read(path) if path.is_file() else (secrets.token_hex(16), [])
    write_json(path, {"salt": salt, "users": sorted({*users, _mark(salt, user)})})


def _read(path: Path) -> tuple[str, list[str]]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return str(told["salt"]), [str(user) for user in told["users"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} is damaged: it says who was forgotten, and without it they would come back. Put it back, or "
            "forget them again after deleting it"
        ) from error


def _mark(salt: str, user: Any) -> str:
    return hashlib.sha256(f"{salt}\0{user}".encode()).hexdigest()
