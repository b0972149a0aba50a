"""Is what is published true? Every sentence of a text with its verdict and the events that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trackrec.checks.grounding import GroundedSentence, ground
from trackrec.checks.vocabulary import Vocabulary
from trackrec.prompts.domains import find_domain
from trackrec.writing.writing_recipe import WritingRecipe

if TYPE_CHECKING:
    from trackrec.recipe import Recipe

SENTENCES = pl.List(pl.Struct({"text": pl.String, "verdict": pl.String, "way": pl.String, "events": pl.List(pl.Int32)}))
"""Type of the column ``sentences``: its events are numbers in the history, 1 being the oldest."""

NOT_CHECKED = "not_checked"
"""Verdict of a sentence that nobody looked at."""


class TextChecker:
    """Judges texts by their users' histories.

    Args:
        items: the catalogue.
        recipe: of the run: its domain and the attributes that texts may name.
        is_ours: the texts are this project's own, see `trackrec.checks.gate.is_ours`.
    """

    def __init__(self, items: pl.DataFrame, recipe: WritingRecipe | Recipe, is_ours: bool = False) -> None:
        domain = find_domain(recipe.prompts.domain)
        self._vocabulary = Vocabulary(items, domain, recipe.prompts.attributes, recipe.profile, is_ours)

    def sentences(self, text: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The sentences of a text, as in ``SENTENCES``.

        Raises:
            LogError: an item of the history is not in the catalogue.
        """
        return [_told(sentence) for sentence in ground(text, rows, self._vocabulary)]


def unchecked(text: str) -> list[dict[str, Any]]:
    """A text as one sentence that nobody looked at."""
    return [{"text": text, "verdict": NOT_CHECKED, "way": "", "events": []}]


def _told(sentence: GroundedSentence) -> dict[str, Any]:
    """A sentence with its verdict and the events behind it."""
    places = {place + 1 for claim in sentence.claims for place in claim.evidence}
    events = sorted({*places, *sentence.cited})
    return {"text": sentence.text, "verdict": str(sentence.verdict), "way": sentence.way, "events": events}
