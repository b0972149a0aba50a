"""Writers of texts, behind one protocol: histories in, one text a user out, frames both."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from trackrec.errors import WriteError
from trackrec.prompts.domains import find_domain
from trackrec.teachers.template import ProfileTeacher, TeacherSettings
from trackrec.writing.writing_recipe import WritingRecipe

TEMPLATE, TORCH = "template", "torch"

UNFINISHED = "text_not_finished"
"""Reason: the writer came to its most tokens within the text's first sentence."""
EMPTY = "empty_text"
"""Reason: the writer gave no text."""

_CITATION = re.compile(r" ?\[\d+(?:, ?\d+)*\]")


class TextWriter(Protocol):
    """Writes one text a user. The text depends on the writer, the user's id and history alone.

    A fault of one history may be raised as any exception: the histories are then given again, fewer at a time, until
    it is known whose it is. ``OSError``, ``MemoryError`` and errors of the package are faults of the writer.
    """

    @property
    def name(self) -> str:
        """The writer and its model in a few words, for the manifest."""
        ...

    def write(self, histories: pl.DataFrame) -> pl.DataFrame:
        """A text for each user.

        Args:
            histories: ``user_id, position, item_id, rating, timestamp, label`` and, where known, ``expected``; user by
                user, oldest first.

        Returns:
            ``user_id, text`` and, where there are such, ``reason`` (why there is no text that can be used; ""),
            ``prompt_tokens, completion_tokens, cut`` (whether it lost a sentence that was not finished). A user that is
            left out has no text.
        """
        ...


class TemplateWriter:
    """The template teacher, with citations: counts histories and puts the counts into prose. It needs no model.

    Args:
        items: the catalogue.
        recipe: of the run: its domain, seed and the teacher's settings.
    """

    name = "template"

    def __init__(self, items: pl.DataFrame, recipe: WritingRecipe) -> None:
        self._seed = recipe.seed
        settings = TeacherSettings.model_validate(recipe.teacher | {"citations": True})
        domain = find_domain(recipe.prompts.domain)
        self._teacher = ProfileTeacher(items, domain, about_tokens, settings, recipe.profile)

    def write(self, histories: pl.DataFrame) -> pl.DataFrame:
        """See :class:`TextWriter`."""
        return self._teacher.write(histories, self._seed).select("user_id", "text")


class TorchWriter:
    """A run's promoted generator, computed in this process.

    Args:
        items: the catalogue.
        recipe: of the run.
        generator: the folder of the generator.

    Raises:
        WriteError: the folder holds no adapter.
    """

    def __init__(self, items: pl.DataFrame, recipe: WritingRecipe, generator: Path) -> None:
        from trackrec.lm.generator import Generator
        from trackrec.lm.model import AdapterSettings, LanguageModel, LanguageModelSettings, adapter_hash, holds_weights
        from trackrec.lm.sampling import DecodingSettings
        from trackrec.prompts.renderer import Renderer

        if not holds_weights(generator):
            raise WriteError(f"{generator} holds no adapter: expected the promoted generator of a finished run")
        told = recipe.generator
        settings = LanguageModelSettings.model_validate(told["model"])
        model = LanguageModel(settings, AdapterSettings.model_validate(told["adapter"]))
        self._decoding = DecodingSettings.model_validate(told["writing"])
        model.load("generator", generator)
        self._seed = recipe.seed
        self._rows: dict[Any, list[dict[str, Any]]] = {}
        renderer = Renderer(model.tokenizer, items, recipe.prompts, profile=recipe.profile)
        self._generator = Generator(model, renderer, self._rows)
        self._writer = self._generator.writer("generator")
        self.name = f"{settings.name} with adapter {adapter_hash(generator)}"

    def write(self, histories: pl.DataFrame) -> pl.DataFrame:
        """See :class:`TextWriter`."""
        self._rows.clear()
        self._rows |= {user: part.to_dicts() for (user,), part in histories.group_by("user_id", maintain_order=True)}
        users = list(self._rows)
        prompts = [len(self._generator.prompt(user)) for user in users]
        table = self._writer.write(users, 1, self._decoding, self._seed)
        drawn = table.select("text", "finished").rows()
        texts = [whole_sentences(*row) for row in drawn]
        return pl.DataFrame(
            {
                "user_id": table["user_id"],
                "text": pl.Series([text for text, _ in texts], dtype=pl.String),
                "reason": pl.Series([reason for _, reason in texts], dtype=pl.String),
                "prompt_tokens": prompts,
                "completion_tokens": table["token_ids"].list.len(),
                "cut": [was_cut(text, *row) for (text, _), row in zip(texts, drawn, strict=True)],
            }
        )


def whole_sentences(text: str, finished: bool) -> tuple[str, str]:
    """A text without the sentence that its end cut off, and why nothing is left ("" if something is).

    >>> whole_sentences("They like comedies. They al", finished=False)
    ('They like comedies.', '')
    """
    text = text.strip()
    if not finished:
        text = text[: max(text.rfind(mark) for mark in ".!?") + 1]
        if not text:
            return "", UNFINISHED
    return text, "" if text else EMPTY


def was_cut(kept: str, text: str, finished: bool) -> bool:
    """Whether a text that stays lost its last sentence, which its most tokens cut off."""
    return bool(kept) and not finished and kept != text.strip()


def about_tokens(text: str) -> int:
    """How many tokens an English text takes without its citations, about: a fourth of its characters.

    >>> about_tokens("They like dry comedies [3, 11].")
    6
    """
    return math.ceil(len(_CITATION.sub("", text)) / 4)
