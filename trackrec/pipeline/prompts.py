"""The exact prompts of a recipe, as messages, for use elsewhere."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Literal

from transformers import AutoTokenizer

from trackrec.assets import resolve_language_model
from trackrec.data.roles import Role
from trackrec.lm.settings import remote_code_is_trusted
from trackrec.pipeline.dataset import prepare
from trackrec.progress import Reporter
from trackrec.prompts.renderer import Renderer
from trackrec.recipe import Recipe
from trackrec.run import Run, written_whole
from trackrec.teachers.llm import LLMTeacherSettings, ask

Whom = Literal["taught", "all"]
"""Users whose prompts are written: those whom the teacher writes for, or all with a role."""


def write_prompts(recipe: Recipe, path: Path, whom: Whom = "taught") -> int:
    """Write each user's prompt as a line of JSON: ``user_id, messages`` (a list of ``role, content``).

    With the teacher `llm` they are what it sends; with any other one, what the generator reads. The answers, as JSON
    lines with ``user_id, text``, are what the teacher `texts` reads.

    Args:
        recipe: which log, users and prompts.
        path: the file, written whole or not at all.
        whom: see :data:`Whom`.

    Returns:
        How many prompts were written.
    """
    with tempfile.TemporaryDirectory() as scratch:
        dataset = prepare(recipe, Run(Path(scratch) / "run", Reporter(), recipe.seed))
    tokenizer = AutoTokenizer.from_pretrained(
        resolve_language_model(recipe.model.name),
        revision=recipe.model.revision or "main",
        trust_remote_code=remote_code_is_trusted(),
    )
    renderer = Renderer(tokenizer, dataset.items, recipe.prompts, profile=recipe.profile)
    roles = (Role.LM, Role.LM_EXTRA, Role.LM_VALIDATION)
    users = dataset.users(*roles) if whom == "taught" else dataset.roles["user_id"].to_list()
    teacher = recipe.teacher
    with written_whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        for user in users:
            if isinstance(teacher, LLMTeacherSettings):
                turns = [
                    (turn.role, turn.content) for turn in ask(dataset.history_rows.frame([user]), teacher, renderer)
                ]
            else:
                system, told = renderer.generator_turns(dataset.history_rows[user])
                turns = [("system", system), ("user", told)]
            messages = [{"role": role, "content": content} for role, content in turns]
            file.write(json.dumps({"user_id": user, "messages": messages}, ensure_ascii=False) + "\n")
    return len(users)
