"""Arms of a comparison whose texts come from a file: RecCoTs written anywhere, by anybody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from research.comparison.arms import FINAL, NO_TEXT, Arms
from trackrec.errors import RecipeError
from trackrec.features.encoder import shared_encoder, user_vectors
from trackrec.run import Stage
from trackrec.teachers.texts import TextsTeacher, TextsTeacherSettings, read_texts

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
CHOICE = "--texts-missing leave_out"


class FileTexts(TextsTeacherSettings):
    """A file of texts, `user_id, text`, as the teacher `texts` reads it."""

    name: str
    """What the arm is called; letters, digits, - and _."""


def file_texts(given: Sequence[str], missing: str) -> list[dict[str, str]]:
    """The settings of ``--texts NAME=FILE`` options.

    Raises:
        RecipeError: one has another form, a name cannot be one or comes twice, or ``missing`` is no choice.
    """
    if missing not in ("error", "leave_out"):
        raise RecipeError(f"--texts-missing got {missing!r}, expected error or leave_out")
    found: dict[str, str] = {}
    for option in given:
        name, equals, path = option.partition("=")
        if not equals or not path or not _NAME.fullmatch(name):
            raise RecipeError(
                f"--texts got {option!r}, expected NAME=FILE, the name of at most 40 letters, digits, - and _"
            )
        if name in found:
            raise RecipeError(f"--texts names {name!r} twice: give each file a name of its own")
        found[name] = path
    return [{"name": name, "path": path, "missing": missing} for name, path in found.items()]


def arm_name(texts: FileTexts) -> str:
    """The arm of a file."""
    return f"texts: {texts.name}"


class FileArms:
    """Vectors of the texts of files, for the users of a comparison.

    Args:
        arms: the other arms.
        files: one an arm.
    """

    def __init__(self, arms: Arms, files: Sequence[FileTexts]) -> None:
        self.arms, self.files, self.run = arms, files, arms.run

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """What is compared with what: each file with no text, and with the final round."""
        return [(arm_name(texts), other) for texts in self.files for other in (NO_TEXT, FINAL)]

    @property
    def names(self) -> list[str]:
        """The arms."""
        return [arm_name(texts) for texts in self.files]

    @property
    def tables(self) -> list[str]:
        """The tables of their vectors: ``user_id, vector, has_reccot``."""
        return [f"compare-texts-{texts.name}" for texts in self.files]

    def prepare(self) -> None:
        """Read, check and encode; what is done, with the same file, is not done again.

        Raises:
            RecipeError: a file is no table of texts.
            RunError: a user has no text, if that is an error.
        """
        for texts, table in zip(self.files, self.tables, strict=True):
            self._encode(texts, table)

    def inputs(self) -> dict[str, pl.DataFrame]:
        """Each arm's vectors."""
        return {name: self.run.read(table) for name, table in zip(self.names, self.tables, strict=True)}

    def coverage(self) -> dict[str, Any]:
        """How many users have a text, by arm."""
        pairs = zip(self.names, self.tables, strict=True)
        return {name: self.run.manifest(table)["counts"] for name, table in pairs}

    def _encode(self, texts: FileTexts, table: str) -> None:
        components, users = self.arms.components, self.arms.users.select("user_id")

        def work(stage: Stage) -> None:
            given = read_texts(texts.path)
            written = TextsTeacher(given, texts, CHOICE).write(users, components.recipe.seed)
            mine = users.join(written.select("user_id", "text"), on="user_id", how="left", maintain_order="left")
            vectors = user_vectors(mine, shared_encoder(components.recipe.encoder))
            stage.write(table, vectors)
            known = users.select(pl.col("user_id").cast(pl.String))
            stage.counts = {
                "users": users.height,
                "with_vector": vectors["vector"].count(),
                "texts_beyond_the_first": given.join(known, on="user_id", how="semi").height - written.height,
                "texts_of_others": given.join(known, on="user_id", how="anti").height,
            }
            self.run.reporter.line(f"{arm_name(texts)}: " + ", ".join(f"{n} {what.replace('_', ' ')}"
                                   for what, n in stage.counts.items()))  # fmt: skip

        components.do(table, work, [self.run.table("roles")], components.encoder_settings | {"texts": texts})
