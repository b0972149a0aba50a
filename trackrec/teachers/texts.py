"""The teacher ``texts``: RecCoTs from a file, written anywhere, by anybody."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Literal, Self

import polars as pl
from pydantic import Field

from trackrec.errors import RecipeError, RunError
from trackrec.files.tables import read_table
from trackrec.settings import ComponentSettings
from trackrec.teachers.base import TeacherContext

log = logging.getLogger("trackrec.teachers")

SHIPPED = {"movielens-100k": Path(__file__).parent / "movielens-100k.jsonl"}
"""Files that come with the package, by name."""


class TextsTeacherSettings(ComponentSettings):
    """RecCoTs from a file."""

    type: str = "texts"
    path: str = Field(default="movielens-100k", min_length=1)
    """JSON lines or Parquet with ``user_id, text`` (several rows a user are samples); or the name of a shipped file."""
    missing: Literal["error", "leave_out"] = "error"
    """What a user without a text is: an error, or left out of what is learnt from the teacher, and counted."""


class TextsTeacher:
    """Gives the texts of a file.

    Args:
        texts: ``user_id, text``; the users' ids as text, so that files need not know their type.
        settings: see :class:`TextsTeacherSettings`.
        choice: how users without a text are left out, for the message.
    """

    Settings = TextsTeacherSettings

    def __init__(
        self, texts: pl.DataFrame, settings: TextsTeacherSettings, choice: str = "teacher.missing=leave_out"
    ) -> None:
        self.settings, self.choice = settings, choice
        place = pl.int_range(pl.len()).over("user_id")
        self.texts = texts.with_columns(place=place, texts=pl.len().over("user_id"))

    @classmethod
    def make(cls, settings: TextsTeacherSettings, context: TeacherContext) -> Self:
        """See :mod:`trackrec.registry`.

        Raises:
            RecipeError: the file is not there, or no table of texts.
        """
        return cls(read_texts(settings.path), settings)

    def write(self, histories: pl.DataFrame, seed: int, per_user: int = 1) -> pl.DataFrame:
        """See :class:`trackrec.teachers.base.Teacher`. A user with fewer texts than asked for repeats them in turn.

        Raises:
            RunError: users without a text, if the settings call that an error; their number, and one of them.
        """
        users = histories.select(pl.col("user_id").unique(maintain_order=True))
        wanted = users.with_columns(key=pl.col("user_id").cast(pl.String)).join(
            pl.DataFrame({"sample": range(per_user)}, schema={"sample": pl.Int16}), how="cross"
        )
        counted = self.texts.group_by("user_id").agg(pl.col("texts").first()).rename({"user_id": "key"})
        placed = wanted.join(counted, on="key", how="left", maintain_order="left").with_columns(
            place=pl.col("sample").cast(pl.Int64) % pl.col("texts").cast(pl.Int64)
        )
        found = placed.join(
            self.texts.select(pl.col("user_id").alias("key"), "place", "text"),
            on=["key", "place"],
            how="left",
            maintain_order="left",
        ).select("user_id", "sample", "text")
        without = found.filter(pl.col("text").is_null())["user_id"].unique(maintain_order=True)
        if without.len():
            told = (
                f"the texts of {self.settings.path} lack {without.len()} of {users.height} users, such as "
                f"{without[0]!r}"
            )
            if self.settings.missing == "error":
                raise RunError(
                    f"{told}. Add their texts (`trackrec prompts` writes the prompts), or go on without these users by "
                    f"{self.choice}"
                )
            log.warning("%s; they are left out of what is learnt from the teacher", told)
        return found.drop_nulls("text")


def read_texts(path: str) -> pl.DataFrame:
    """``user_id, text`` of a file, the ids as text, in the file's order.

    Args:
        path: JSON lines (``.jsonl``, ``.json``, ``.ndjson``) or Parquet; or the name of a shipped file.

    Raises:
        RecipeError: no such file; a line that is no JSON object; a column that is missing; an empty text. The line is
            named.
    """
    file = SHIPPED.get(path, Path(path))
    if not file.is_file():
        raise RecipeError(f"no file of texts {path!r}: expected JSON lines or Parquet with user_id and text, or one of "
                          f"the shipped ones ({', '.join(SHIPPED)})")  # fmt: skip
    if file.suffix == ".parquet":
        table = read_table(file)
        lacking = {"user_id", "text"} - set(table.columns)
        if lacking:
            raise RecipeError(f"{file} lacks the column {sorted(lacking)[0]!r}: expected user_id and text, it has "
                              f"{', '.join(table.columns)}")  # fmt: skip
        rows = [(str(user), text) for user, text in table.select("user_id", "text").iter_rows()]
    else:
        lines = _text(file).split("\n")
        rows = [_row(json_line, file, number) for number, json_line in enumerate(lines, 1) if json_line.strip()]
    for number, (user, text) in enumerate(rows, 1):
        if not isinstance(text, str) or not text.strip():
            raise RecipeError(f"{file}, row {number}: the text of user {user!r} is {text!r}, expected a text. Leave "
                              "the row out if there is none")  # fmt: skip
    return pl.DataFrame(rows, schema={"user_id": pl.String, "text": pl.String}, orient="row")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"the texts {file} are not in UTF-8 ({error}): save them so") from error


def _row(line: str, file: Path, number: int) -> tuple[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{file}, line {number} is no JSON ({error}): expected one object a line") from error
    if not isinstance(row, dict) or not {"user_id", "text"} <= set(row):
        raise RecipeError(f"{file}, line {number}: expected an object with user_id and text, got {line[:80]!r}")
    return str(row["user_id"]), row["text"]
