"""What is to be known of a teacher's texts before anything is learnt from them: counts, and a line for each fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from trackrec.pipeline.budget import check_budget
from trackrec.prompts.language import reads_as_english
from trackrec.prompts.renderer import Renderer


def count_taught(
    table: pl.DataFrame, users: Sequence[Any], renderer: Renderer, share: float
) -> tuple[dict[str, int], list[str]]:
    """Counts of the stage ``teach``, and what a reader should know of them.

    Args:
        table: ``user_id, text``, the teacher's.
        users: for whom it was to write.
        renderer: its settings hold the budget of tokens.
        share: of the texts that may be over it.

    Returns:
        ``users``, ``texts``, ``over_budget``, ``longest`` (tokens), ``without_text`` (users), ``not_english`` (texts);
        and lines.

    Raises:
        RunError: more texts than ``share`` are over the budget.
    """
    counts = {"users": len(users), "texts": table.height} | check_budget(table["text"], renderer, share)
    counts["without_text"] = len(set(users) - set(table["user_id"]))
    counts["not_english"] = sum(not reads_as_english(text) for text in table["text"])
    lines = []
    if counts["over_budget"]:
        lines.append(
            f"teach: {counts['over_budget']} of {table.height} texts take more than prompts.reccot_tokens "
            f"(the longest {counts['longest']}) and lose sentences"
        )
    if counts["without_text"]:
        lines.append(f"teach: {counts['without_text']} of {len(users)} users have no text; nothing is learnt from them")
    if counts["not_english"]:
        lines.append(
            f"teach: {counts['not_english']} of {table.height} texts are not in English (tables/teacher.parquet). They "
            "are learnt as they are; of such texts the checker reads numbers alone"
        )
    return counts, lines
