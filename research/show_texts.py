"""RecCoTs of every origin side by side: of the template teacher, of the one that taught, of files, of each generator.

The table is Markdown, for documents. Texts are what they are: nothing is cut, and what a page would obey is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from transformers import AutoTokenizer

from trackrec.assets import resolve_language_model
from trackrec.errors import RunError
from trackrec.files.tables import read_table
from trackrec.lm.settings import remote_code_is_trusted
from trackrec.pipeline.dataset import Dataset, finished_run
from trackrec.prompts.budget import teacher_tokens
from trackrec.prompts.renderer import Renderer
from trackrec.recipe import Recipe
from trackrec.teachers.base import TeacherContext, write_texts
from trackrec.teachers.template import ProfileTeacher, TeacherSettings
from trackrec.teachers.texts import read_texts

TEMPLATE, DISTILLED = "template teacher", "distilled G (round 0)"
NONE = "(none)"


class Shown(NamedTuple):
    """A text of one user."""

    user: Any
    origin: str
    text: str | None
    """None: there is none of this origin."""


def show_texts(
    folder: Path, number: int, files: Mapping[str, str] | None = None, users: Sequence[str] = ()
) -> list[Shown]:
    """Texts of the same users from every origin, user by user.

    Args:
        folder: a finished run.
        number: how many users, those first who have the most origins; among equals in the order of the run's roles.
        files: further texts, a file of ``user_id, text`` by name.
        users: ids as text of the users to show, in place of ``number``.

    Raises:
        RunError: no finished run there, or it wrote nothing for a user that is asked for.
    """
    recipe, run, dataset = finished_run(folder)
    promoted = int(run.manifest("promote")["counts"]["promoted"])
    origins = _written(read_table(folder / "reccots.parquet"), recipe, promoted)
    origins |= {f"texts: {name}": _of_file(path, dataset) for name, path in (files or {}).items()}
    chosen = _chosen(origins, dataset, number, users, folder)
    if TEMPLATE not in origins:
        origins = {TEMPLATE: _template(recipe, dataset, chosen)} | origins
    return [Shown(user, origin, texts.get(user)) for user in chosen for origin, texts in origins.items()]


def as_markdown(rows: Sequence[Shown]) -> str:
    """The table, a row a text, the user's id in the first row of each."""
    lines, before = ["| user | written by | text |", "|---|---|---|"], None
    for row in rows:
        user = "" if row.user == before else _cell(str(row.user))
        lines.append(f"| {user} | {_cell(row.origin)} | {NONE if row.text is None else _cell(row.text)} |")
        before = row.user
    return "\n".join(lines) + "\n"


def _written(table: pl.DataFrame, recipe: Recipe, promoted: int) -> dict[str, dict[Any, str]]:
    """The texts in the run's own table by origin: teacher, then the kept ones of each round."""
    own = TEMPLATE if isinstance(recipe.teacher, TeacherSettings) else f"teacher ({recipe.teacher.type})"
    found = {own: _first(table.filter(pl.col("kind") == "teacher"))}
    for number in range(recipe.loop.rounds + 1):
        name = DISTILLED if number == 0 else f"aligned G (round {number})"
        kept = table.filter((pl.col("kind") == "kept") & (pl.col("round") == number))
        found[name + (", promoted" if number == promoted else "")] = _first(kept)
    return found


def _first(table: pl.DataFrame) -> dict[Any, str]:
    rows = table.sort("sample").unique("user_id", keep="first", maintain_order=True)
    return dict(rows.select("user_id", "text").drop_nulls().iter_rows())


def _of_file(path: str, dataset: Dataset) -> dict[Any, str]:
    texts = dict(reversed(read_texts(path).rows()))  # of several the first
    return {user: texts[str(user)] for user in dataset.roles["user_id"] if str(user) in texts}


def _chosen(
    origins: Mapping[str, Mapping[Any, str]], dataset: Dataset, number: int, asked: Sequence[str], folder: Path
) -> list[Any]:
    counts = {user: sum(user in texts for texts in origins.values()) for user in dataset.roles["user_id"]}
    known = {str(user): user for user, count in counts.items() if count}
    for user in asked:
        if user not in known:
            some = ", ".join([*known][:5])
            raise RunError(f"the run {folder} wrote nothing for user {user!r}; it did for {some} and others")
    if asked:
        return [known[user] for user in asked]
    return sorted(known.values(), key=lambda user: -counts[user])[:number]


def _template(recipe: Recipe, dataset: Dataset, users: Sequence[Any]) -> dict[Any, str]:
    """What the template teacher writes of these users where the run's teacher is another one."""
    path = resolve_language_model(recipe.model.name)
    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=remote_code_is_trusted())
    renderer = Renderer(tokenizer, dataset.items, recipe.prompts, profile=recipe.profile)
    settings = TeacherSettings(max_tokens=teacher_tokens(recipe.prompts.reccot_tokens))
    teacher = ProfileTeacher.make(settings, TeacherContext(dataset.items, renderer, recipe.profile))
    return _first(write_texts(teacher, dataset.histories, renderer, recipe.seed * 1000, users=users))


def _cell(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
