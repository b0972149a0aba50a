"""Writers of texts, behind one protocol: histories in, one text a user out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from trackrec.data.log import stable_hash
from trackrec.prompts.domains import find_domain
from trackrec.teachers.template import ProfileTeacher
from trackrec.users.catalogue import Row
from trackrec.writing.failures import WriteError
from trackrec.writing.telling import Telling

TEMPLATE, TORCH = "template", "torch"

UNFINISHED = "text_not_finished"
"""Reason: the writer came to its most tokens within the text's first sentence."""
EMPTY = "empty_text"
"""Reason: the writer gave no text."""


@dataclass(frozen=True)
class History:
    """One user's history, as a writer reads it."""

    user_id: Any
    rows: list[dict[str, Any]]
    """``item_id, rating, label`` and, where known, ``expected``; oldest first."""


@dataclass(frozen=True)
class Written:
    """What a writer gives for one user."""

    text: str
    reason: str = ""
    """Why there is no text that can be used; "": there is."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class TextWriter(Protocol):
    """Writes one text a user. The text depends on the writer, the user's id and history alone.

    A fault of one history may be raised as any exception: the histories are then given again, fewer at a time, until
    it is known whose it is. ``OSError``, ``MemoryError`` and errors of the package are faults of the writer.
    """

    @property
    def name(self) -> str:
        """The writer and its model in a few words, for the manifest."""
        ...

    def write(self, histories: Sequence[History]) -> list[Written]:
        """A text for each history, in their order."""
        ...


class TemplateWriter:
    """The profile teacher: counts a history and puts the counts into prose. It needs no model.

    Args:
        items: the catalogue.
        recipe: of the run: its domain, seed and the teacher's settings.
    """

    name = "template"

    def __init__(self, items: pl.DataFrame, recipe: Telling) -> None:
        self._seed = recipe.seed
        self._teacher = ProfileTeacher(items, find_domain(recipe.prompts.domain), about_tokens, recipe.teacher)

    def write(self, histories: Sequence[History]) -> list[Written]:
        """See :class:`TextWriter`."""
        written = []
        for history in histories:
            text = self._teacher.write(history.user_id, history.rows, self._seed)
            written.append(Written(text))
        return written


class TorchWriter:
    """A run's promoted generator, computed in this process.

    Args:
        items: the catalogue.
        recipe: of the run.
        generator: the folder of the generator.

    Raises:
        WriteError: the folder holds no adapter.
    """

    def __init__(self, items: pl.DataFrame, recipe: Telling, generator: Path) -> None:
        from trackrec.lm.generator import Generator
        from trackrec.lm.model import AdapterSettings, LanguageModel, LanguageModelSettings, adapter_hash
        from trackrec.lm.sampling import DecodingSettings
        from trackrec.prompts.renderer import Renderer

        if not (generator / "adapter_config.json").is_file():
            raise WriteError(f"{generator} holds no adapter: expected the promoted generator of a finished run")
        told = recipe.generator
        settings = LanguageModelSettings.model_validate(told["model"])
        model = LanguageModel(settings, AdapterSettings.model_validate(told["adapter"]))
        self._decoding = DecodingSettings.model_validate(told["writing"])
        model.load("generator", generator)
        self._seed = recipe.seed
        self._rows: dict[Any, Sequence[Row]] = {}
        renderer = Renderer(model.tokenizer, items, recipe.prompts)
        self._generator = Generator(model, renderer, self._rows)
        self._writer = self._generator.writer("generator")
        self.name = f"{settings.name} with adapter {adapter_hash(generator)}"

    def write(self, histories: Sequence[History]) -> list[Written]:
        """See :class:`TextWriter`."""
        self._rows |= {history.user_id: history.rows for history in histories}
        users = [history.user_id for history in histories]
        prompts = [len(self._generator.prompt(user)) for user in users]
        table = self._writer.write(users, 1, self._decoding, self._seed)
        self._rows.clear()
        written = []
        for prompt, text, ids, finished in zip(
            prompts, table["text"], table["token_ids"].list.len(), table["finished"], strict=True
        ):
            whole, reason = whole_sentences(text, finished)
            written.append(Written(whole, reason, prompt, ids))
        return written


def whole_sentences(text: str, finished: bool) -> tuple[str, str]:
    """A text without the sentence that its end cut off, and why nothing is left ("" if something is).

    >>> whole_sentences("They like comedies. They al", finished=False)
    ('They like comedies.', '')
    """
    text = text.strip()
    if not finished:
        ends = [text.rfind(mark) for mark in ".!?"]
        text = text[: max(ends) + 1]
        if not text:
            return "", UNFINISHED
    return text, "" if text else EMPTY


def about_tokens(text: str) -> int:
    """How many tokens an English text takes, about: a fourth of its characters. No model's tokenizer is needed."""
    return math.ceil(len(text) / 4)


def user_seed(seed: int, user: Any) -> int:
    """The seed of a user's draws: 63 bits from the run's seed and the user's id."""
    return stable_hash(f"{seed}/{stable_hash(user)}") >> 1
