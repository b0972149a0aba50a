"""Whether RecCoTs keep to their budget of tokens: what is beyond it is counted, and a run with too much of it stops."""

from __future__ import annotations

from collections.abc import Iterable

from trackrec.errors import RunError
from trackrec.prompts.renderer import Renderer


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
