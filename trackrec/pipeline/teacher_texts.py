"""What is to be known of a teacher's texts before anything is learnt from them: lengths, counts, faults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from trackrec.errors import RunError
from trackrec.prompts.language import reads_as_english
from trackrec.prompts.renderer import Renderer
from trackrec.users.citations import cited_events

OF_OTHER_HISTORIES = 0.5
"""Texts of which more than this share cite events that are not there were written from other histories."""


def check_budget(texts: Iterable[str], renderer: Renderer, share: float) -> dict[str, int]:
    """Count the teacher's texts that are longer than the generator may write or the validator reads.

    Args:
        texts: the teacher's.
        renderer: its settings hold the budget.
        share: of them that may be longer.

    Returns:
        ``over_budget`` (how many) and ``longest`` (tokens).

    Raises:
        RunError: more of them are; with what to do.
    """
    lengths = [max(renderer.reccot_lengths(text)) for text in texts]
    budget, longest = renderer.settings.reccot_tokens, max(lengths, default=0)
    over = sum(length > budget for length in lengths)
    if over > share * len(lengths):
        raise RunError(
            f"{over} of the teacher's {len(lengths)} texts take more than the {budget} tokens of prompts.reccot_tokens "
            f"(the longest {longest}); they would lose whole sentences. Set prompts.reccot_tokens={longest}, have the "
            "teacher write less, or allow it by over_budget_share. What a teacher was paid for stays in its cache"
        )
    return {"over_budget": over, "longest": longest}


def beyond_validator(texts: Iterable[str], renderer: Renderer) -> int:
    """How many RecCoTs the validator does not read to their end."""
    return sum(renderer.reccot_lengths(text)[1] > renderer.settings.reccot_tokens for text in texts)


def check_teacher_texts(
    table: pl.DataFrame, users: Sequence[Any], histories: pl.DataFrame, renderer: Renderer, share: float
) -> tuple[dict[str, int], list[str]]:
    """Counts of the stage ``teach``, and what a reader should know of them.

    Args:
        table: ``user_id, text``, the teacher's.
        users: for whom it was to write.
        histories: ``user_id`` and a row an event; how many each user has says which citations can be.
        renderer: its settings hold the budget of tokens.
        share: of the texts that may be over it.

    Returns:
        ``users``, ``texts``, ``over_budget``, ``longest`` (tokens), ``without_text`` (users), ``not_english``,
        ``cite_nothing`` (texts that cite an event which their user's history does not have); and lines.

    Raises:
        RunError: more texts than ``share`` are over the budget, or most cite events that are not there.
    """
    counts = {"users": len(users), "texts": table.height} | check_budget(table["text"], renderer, share)
    counts["without_text"] = len(set(users) - set(table["user_id"]))
    counts["not_english"] = sum(not reads_as_english(text) for text in table["text"])
    wrong = _citing_nothing(table, histories)
    counts["cite_nothing"] = len(wrong)
    if len(wrong) > OF_OTHER_HISTORIES * table.height:
        raise RunError(
            f"{len(wrong)} of the teacher's {table.height} texts cite events that their user's history does not have, "
            f"such as {wrong[0]}: they were written from other histories. Take the split that they were written for "
            "(split.max_history, split.new_items), or take the numbers in brackets out of the texts"
        )
    lines = []
    if counts["over_budget"]:
        lines.append(
            f"teach: {counts['over_budget']} of {table.height} texts take more than prompts.reccot_tokens "
            f"(the longest {counts['longest']}) and lose sentences"
        )
    if counts["without_text"]:
        lines.append(f"teach: {counts['without_text']} of {len(users)} users have no text; nothing is learnt from them")
    if wrong:
        lines.append(
            f"teach: {len(wrong)} of {table.height} texts cite events that are not there (such as {wrong[0]}); they "
            "are learnt as they are"
        )
    if counts["not_english"]:
        lines.append(
            f"teach: {counts['not_english']} of {table.height} texts are not in English (tables/teacher.parquet). They "
            "are learnt as they are; of such texts the checker reads numbers alone"
        )
    return counts, lines


def _citing_nothing(table: pl.DataFrame, histories: pl.DataFrame) -> list[str]:
    """Of each text that cites an event which is not there: which event, and of whom."""
    had = dict(histories.group_by("user_id").len().iter_rows())
    found = []
    for user, text in table.select("user_id", "text").iter_rows():
        wrong = [number for number in cited_events(text) if not 1 <= number <= had[user]]
        if wrong:
            found.append(f"event {max(wrong)} of user {user!r}, who has {had[user]}")
    return found
