"""The writer that asks engines: endpoints that serve the run's generator, or any large model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trackrec.engines.base import Answer, Decoding, Engine, GenerateRequest, require
from trackrec.registry import make, settings_of
from trackrec.teachers.base import TeacherContext
from trackrec.teachers.llm import LLMTeacher, LLMTeacherSettings
from trackrec.writing.engine_pool import EngineFile, EnginePool
from trackrec.writing.partition import draw
from trackrec.writing.writers import was_cut, whole_sentences
from trackrec.writing.writing_recipe import WritingRecipe

if TYPE_CHECKING:
    from trackrec.prompts.renderer import Renderer


class EngineWriter:
    """Writes through one or several engines.

    Args:
        items: the catalogue.
        recipe: of the run.
        trees: the settings of the file of engines (see :class:`EngineFile`), in a list of one.
        engines: made already; None: those that the file names.

    Raises:
        EngineError: an engine cannot do what is needed, or nothing may be sent to it.
    """

    def __init__(
        self,
        items: pl.DataFrame,
        recipe: WritingRecipe,
        trees: list[dict[str, Any]],
        engines: list[Engine] | None = None,
    ) -> None:
        self.settings = EngineFile.model_validate(trees[0])
        made = engines or [make("engine", settings_of("engine", tree)) for tree in self.settings.engines]
        self.pool = EnginePool(made, self.settings.chunk, self.settings.rest)
        self._recipe, self._decoding = recipe, self._own_decoding(recipe)
        need = "messages" if self.settings.prompts == "teacher" else "token_ids"
        for engine in made:
            require(engine, [need], "writing for everybody")
        self._prompts = _Prompts(items, recipe, self.settings.prompts == "teacher", self.pool)
        self.name = self.pool.name

    def write(self, histories: pl.DataFrame) -> pl.DataFrame:
        """See :class:`trackrec.writing.writers.TextWriter`."""
        parts = histories.partition_by("user_id", maintain_order=True, as_dict=True)
        users = [user for (user,) in parts]
        requests = [self._prompts.request(user, parts[(user,)], self._seed(user)) for user in users]
        answers = [group[0] for group in self.pool.generate(requests, 1, self._decoding)]
        rows = [(user, *_usable(answer)) for user, answer in zip(users, answers, strict=True)]
        schema: dict[str, Any] = {
            "user_id": histories.schema["user_id"],
            "text": pl.String,
            "reason": pl.String,
            "prompt_tokens": pl.Int64,
            "completion_tokens": pl.Int64,
            "cut": pl.Boolean,
        }
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _own_decoding(self, recipe: WritingRecipe) -> Decoding:
        """That of the file; if it names none, that of the run's generator, or of the teacher `llm`."""
        if self.settings.decoding is not None:
            return self.settings.decoding
        if self.settings.prompts == "teacher":
            return LLMTeacherSettings().decoding
        return Decoding.model_validate(recipe.generator["writing"])

    def _seed(self, user: Any) -> int:
        return int(draw(self._recipe.seed, user) * 2**31)


def own_renderer(items: pl.DataFrame, recipe: WritingRecipe) -> Renderer:
    """What makes the prompts of a run's generator, without its model."""
    from transformers import AutoTokenizer

    from trackrec.assets import resolve_language_model
    from trackrec.prompts.renderer import Renderer

    model = recipe.generator["model"]
    tokenizer = AutoTokenizer.from_pretrained(
        resolve_language_model(str(model["name"])),
        revision=model.get("revision") or "main",
        trust_remote_code=False,
    )
    return Renderer(tokenizer, items, recipe.prompts, profile=recipe.profile)


class _Prompts:
    """Makes the requests: the generator's own prompt as token ids, or a teacher's messages."""

    def __init__(self, items: pl.DataFrame, recipe: WritingRecipe, asks: bool, pool: Engine) -> None:
        self._renderer = own_renderer(items, recipe)
        context = TeacherContext(items, self._renderer, recipe.profile)
        self._teacher = LLMTeacher(pool, LLMTeacherSettings(), context) if asks else None

    def request(self, user: Any, history: pl.DataFrame, seed: int) -> GenerateRequest:
        if self._teacher is None:
            ids = tuple(self._renderer.generator_prompt(history.to_dicts()))
            return GenerateRequest(token_ids=ids, seed=seed, subject=str(user))
        return self._teacher.request(user, history, seed)


def _usable(answer: Answer) -> tuple[str, str, int, int, bool]:
    """Text, reason, tokens read and written, and whether a sentence that was not finished is left out."""
    used, finished = (answer.usage.prompt_tokens, answer.usage.completion_tokens), answer.finish_reason != "length"
    if answer.failure is not None:
        return "", f"engine: {answer.failure}", *used, False
    text, reason = whole_sentences(answer.text, finished)
    return text, reason, *used, was_cut(text, answer.text, finished)
