"""Is what is published true? Every sentence of a text with its verdict and the events that it rests on."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from trackrec.checks.grounding import GroundedSentence, Verdict, ground
from trackrec.checks.vocabulary import Vocabulary
from trackrec.prompts.domains import find_domain
from trackrec.writing.telling import Telling

SENTENCES = pl.List(pl.Struct({"text": pl.String, "verdict": pl.String, "way": pl.String, "events": pl.List(pl.Int32)}))
"""Type of the column ``sentences``: its events are numbers in the history, 1 being the oldest."""

NOT_CHECKED = "not_checked"
"""Verdict of a sentence that nobody looked at."""
_PATTERN = "pattern"
"""Way of a verdict on one of our own sentences; see :class:`trackrec.checks.grounding.GroundedSentence`."""
_CITATION = re.compile(r" ?\[\d+(?:, ?\d+)*\]")


class Checker:
    """Judges texts by their users' histories.

    Args:
        items: the catalogue.
        recipe: of the run: its domain and the attributes that texts may name.
    """

    def __init__(self, items: pl.DataFrame, recipe: Telling) -> None:
        self._vocabulary = Vocabulary(
            items, find_domain(recipe.prompts.domain), recipe.prompts.attributes, recipe.profile
        )

    def sentences(self, text: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The sentences of a text, as in ``SENTENCES``.

        Raises:
            LogError: an item of the history is not in the catalogue.
        """
        found = ground(text, rows, self._vocabulary)
        if all(sentence.verdict != Verdict.CONTRADICTED for sentence in found):
            return [_told(sentence, sentence) for sentence in found]
        # A cited sentence is read as free text; one of our own, with counts, is read rightly by its pattern alone.
        plain = ground(_CITATION.sub("", text), rows, self._vocabulary)
        if len(plain) != len(found):
            plain = found
        own = [two if two.way == _PATTERN else one for one, two in zip(found, plain, strict=True)]
        return [_told(sentence, judged) for sentence, judged in zip(found, own, strict=True)]


def unchecked(text: str) -> list[dict[str, Any]]:
    """A text as one sentence that nobody looked at."""
    return [{"text": text, "verdict": NOT_CHECKED, "way": "", "events": []}]


def _told(sentence: GroundedSentence, judged: GroundedSentence) -> dict[str, Any]:
    """A sentence in its own words, with a judgement of it."""
    places = {place + 1 for claim in judged.claims for place in claim.evidence}
    events = sorted({*places, *sentence.cited})
    return {"text": sentence.text, "verdict": str(judged.verdict), "way": judged.way, "events": events}
