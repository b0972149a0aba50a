"""From the turns of a chat to token ids, and where in the assistant's turn an answer stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from trackrec.errors import RecipeError
from trackrec.prompts.chat import PlainText, encode_inside
from trackrec.prompts.template import DEFAULT, TemplateSettings, Turns, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ANSWER = "ANSWERGOESHERE"


class AnswerFrame(NamedTuple):
    """How a model writes one of some answers."""

    tail: list[int]
    """Token ids from the end of the last user turn up to where the answers differ from what comes before them."""
    answers: list[list[int]]
    """Token ids of each answer right after ``tail``."""


def encode_turns(
    tokenizer: PreTrainedTokenizerBase,
    plain: PlainText,
    turns: Turns,
    settings: TemplateSettings = DEFAULT,
    tail: Sequence[int] | None = None,
) -> list[int]:
    """Token ids of a chat up to where the assistant starts to write.

    A system turn is the recipe's own and may hold whatever it wants; users' and assistants' turns are untrusted, so
    none of their text becomes a control token.

    Args:
        tokenizer: with a chat template.
        plain: encodes untrusted text.
        turns: of the chat, a user's last.
        settings: what the template is told.
        tail: stands in the place of what follows the last turn, if given (see ``answer_frame``).

    Raises:
        RecipeError: the template does not show every turn exactly once, in order.
    """
    frame = _frame(tokenizer, turns, settings)
    encoded = [list(tokenizer.encode(frame[0], add_special_tokens=False))]
    encoded += [encode_inside(tokenizer, text) for text in frame[1:]]
    if tail is not None:
        encoded[-1] = list(tail)
    ids = encoded[0]
    for turn, part in zip(_untrusted(turns), encoded[1:], strict=True):
        ids += plain.encode(turn["content"]) + part
    return ids


def answer_frame(
    tokenizer: PreTrainedTokenizerBase, answers: Sequence[str], settings: TemplateSettings = DEFAULT
) -> AnswerFrame:
    """How the answers are written, by rendering an assistant's turn that holds them.

    What a template puts before an answer (an empty thought, the final channel) belongs to the tail. Where an answer
    runs together with a space before it, as in Llama 2 and Mistral, that space belongs to the answer.

    Raises:
        RecipeError: the template does not show the answer, or two answers begin alike so that one is the other's
            beginning.
    """
    before = _before_answer(tokenizer, settings)
    whole = [encode_inside(tokenizer, before + answer) for answer in answers]
    tail = encode_inside(tokenizer, before)
    length = min(_common(tail, ids) for ids in whole)
    frame = AnswerFrame(tail[:length], [list(ids[length:]) for ids in whole])
    for place, ids in enumerate(frame.answers):
        for other, theirs in enumerate(frame.answers):
            if place != other and theirs[: len(ids)] == ids:
                raise RecipeError(
                    f"The answer {answers[place]!r} is the beginning of {answers[other]!r} in the tokens of "
                    f"{tokenizer.name_or_path!r}; they cannot be told apart. Give the domain other answers."
                )
    return frame


def answer_lead(tokenizer: PreTrainedTokenizerBase, settings: TemplateSettings = DEFAULT) -> str:
    """The space that a template puts before the text of an assistant's turn, if it does (Llama 2)."""
    before = _before_answer(tokenizer, settings)
    return " " if before.endswith(" ") else ""


def _before_answer(tokenizer: PreTrainedTokenizerBase, settings: TemplateSettings) -> str:
    """What a template shows between the end of the user's text and that of the assistant."""
    user = "USERTURNGOESHERE"
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": _ANSWER}]
    shown = render(tokenizer, turns, False, settings).partition(user)[2].rpartition(_ANSWER)
    if not shown[1]:
        raise RecipeError(
            f"The chat template of {tokenizer.name_or_path!r} does not show the assistant's turn, so there is no "
            "saying how it writes an answer. Use another model, or mend its chat template."
        )
    return shown[0]


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two lists have in common at their beginning."""
    same = (place for place, (ours, theirs) in enumerate(zip(first, second, strict=False)) if ours != theirs)
    return next(same, min(len(first), len(second)))


def _untrusted(turns: Turns) -> list[dict[str, str]]:
    return [dict(turn) for turn in turns if turn["role"] != "system"]


def _frame(tokenizer: PreTrainedTokenizerBase, turns: Turns, settings: TemplateSettings) -> list[str]:
    """The template's own text before, between and after the turns that are not the system's."""
    marks = iter(range(len(turns)))
    marked = [
        {**turn, "content": turn["content"] if turn["role"] == "system" else f"TURN{next(marks)}GOESHERE"}
        for turn in turns
    ]
    parts = re.split(r"TURN(\d+)GOESHERE", render(tokenizer, marked, True, settings))
    expected = [str(number) for number in range(len(_untrusted(turns)))]
    if parts[1::2] != expected:
        raise RecipeError(
            f"The chat template of {tokenizer.name_or_path!r} shows the turns {parts[1::2]}, expected each of "
            f"{expected} once. Use another model, or mend its chat template."
        )
    return parts[::2]
