"""The tokenizer's own chat template: rendered to text, with fixed arguments and a fixed date."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from trackrec.errors import RecipeError
from trackrec.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Turns = Sequence[Mapping[str, str]]
"""Turns of a chat: ``role`` and ``content``."""


class TemplateSettings(Settings):
    """What a model's chat template is told."""

    arguments: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the template, such as `enable_thinking: false` (Qwen 3) or `reasoning_effort: low` (gpt-oss)."""
    date: datetime.date = datetime.date(2026, 1, 1)
    """The date that templates which tell one get, so that a prompt does not change over night."""


DEFAULT = TemplateSettings()

_TODAY = re.compile(r"""strftime_now\(\s*(?P<quote>['"])(?P<format>[^'"]*)(?P=quote)\s*\)""")


def render(
    tokenizer: PreTrainedTokenizerBase, turns: Turns, open_answer: bool, settings: TemplateSettings = DEFAULT
) -> str:
    """The text of a chat.

    Where a template admits no system turn, or leaves it out, its text opens the first user turn.

    Args:
        tokenizer: with a chat template.
        turns: a system turn first, if any.
        open_answer: whether the text ends where the assistant starts to write.
        settings: what the template is told.

    Raises:
        RecipeError: there is no chat template.
    """
    if not tokenizer.chat_template:
        raise RecipeError(
            f"The tokenizer of {tokenizer.name_or_path!r} has no chat template. Use an instruction-tuned model, "
            "or set chat_template in its tokenizer."
        )
    whole = [dict(turn) for turn in turns]
    if whole[0]["role"] != "system":
        return _apply(tokenizer, whole, open_answer, settings)
    system = whole[0]["content"]
    joined = [{"role": "user", "content": f"{system}\n{whole[1]['content']}".lstrip()}, *whole[2:]]
    try:
        text = _apply(tokenizer, whole, open_answer, settings)
    except Exception:  # Jinja errors: templates refuse a role by raising whatever they like.
        return _apply(tokenizer, joined, open_answer, settings)
    return text if system in text else _apply(tokenizer, joined, open_answer, settings)


def _apply(
    tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], open_answer: bool, settings: TemplateSettings
) -> str:
    told = {"date_string": settings.date.strftime("%d %b %Y"), **settings.arguments}  # Llama 3 reads date_string
    template = _with_date(str(tokenizer.get_chat_template()), settings.date)
    return str(
        tokenizer.apply_chat_template(
            turns, chat_template=template, tokenize=False, add_generation_prompt=open_answer, **told
        )
    )


def _with_date(template: str, date: datetime.date) -> str:
    """The template with a fixed date where it asks for today's (gpt-oss, Mistral and others).

    Transformers turns functions that are given to a template into text, so its own ``strftime_now`` cannot be replaced.

    >>> _with_date("Today is {{ strftime_now('%Y-%m-%d') }}.", datetime.date(2026, 1, 1))
    "Today is {{ '2026-01-01' }}."
    """
    return _TODAY.sub(lambda found: repr(date.strftime(found["format"])), template)
