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
                salt, users = read_tombstones(path.read_bytes(), path)
                marks[salt] = frozenset(users)
        return cls(marks)

    def __or__(self, other: Forgotten) -> Forgotten:
        return Forgotten(self.marks | other.marks)

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
        gone = [user for user in table["user_id"].unique().drop_nulls().to_list() if user in self]
        theirs = pl.col("user_id").is_in(pl.Series(gone, dtype=table.schema["user_id"]).implode())
        return table.filter(~theirs.fill_null(False))


def remember(folder: Path, user: str) -> None:
    """Put a tombstone into a run folder.

    Args:
        folder: of the run.
        user: the id as text.
    """
    path = folder / TOMBSTONES
    write_json(path, with_tombstone(path.read_bytes() if path.is_file() else None, path, user))


def with_tombstone(content: bytes | None, where: object, user: str) -> dict[str, Any]:
    """What a file of tombstones holds once somebody more is forgotten.

    Args:
        content: of the file as it is; None: there is none.
        where: the file, for messages.
        user: the id as text.
    """
    salt, users = (secrets.token_hex(16), []) if content is None else read_tombstones(content, where)
    return {"salt": salt, "users": sorted({*users, _mark(salt, user)})}


def read_tombstones(content: bytes, where: object) -> tuple[str, list[str]]:
    """The salt and the hashes in a file of tombstones.

    Args:
        content: of the file.
        where: the file, for messages.

    Raises:
        RunError: it is damaged, so that nobody knows whom to leave out.
    """
    try:
        told = json.loads(content)
        return str(told["salt"]), [str(user) for user in told["users"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{where} is damaged: it says who was forgotten, and without it they would come back. Put it back, or "
            "forget them again after deleting it"
        ) from error


def _mark(salt: str, user: Any) -> str:
    return hashlib.sha256(f"{salt}\0{user}".encode("utf-8", "surrogatepass")).hexdigest()
