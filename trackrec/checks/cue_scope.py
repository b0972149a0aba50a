"""Which cue of a sentence speaks of a kind of items: the verb whose object or subject the kind is."""

from __future__ import annotations

import re

from trackrec.checks.free_text_reader import Prose
from trackrec.checks.sentiment import Opinion
from trackrec.checks.vocabulary import Vocabulary

_ADJECTIVES = r"(?:[\w'’-]+ ){0,3}"


def direct_cue(start: int, end: int, prose: Prose, vocabulary: Vocabulary) -> Opinion | None:
    """The cue whose object or subject a kind is, with nothing but adjectives between."""
    masked = prose.masked
    before = [one for one in prose.opinions if one.end <= start and one.side == "after" and one.sign]
    if before and not before[-1].is_rating:
        gap = masked[before[-1].end : start]
        joined = re.sub(r"^.*(?:,| and| or)(?= )", "", gap) if not re.search(r"[.;:()]|\bbut\b", gap) else gap
        if re.fullmatch(rf"\s*(?:of |for |in |to |on |with )?{_ADJECTIVES}(?:-)?", joined) and not _is_foreign(
            gap, vocabulary
        ):
            return before[-1]
    after = [one for one in prose.opinions if one.start >= end and one.side == "before" and one.sign]
    if after and not after[0].is_rating:
        gap = masked[end : after[0].start].strip()
        if not gap or all(vocabulary.is_noun(word) for word in gap.split()):
            return after[0]
    if prose.lead is not None and prose.lead.sign and not prose.opinions and not prose.names:
        return prose.lead
    return None


def _is_foreign(gap: str, vocabulary: Vocabulary) -> bool:
    """Whether the words between a verb and a kind hold another object of the verb, or a clause of its own."""
    return (
        re.search(
            r"\b(?:with|that|which|about|from|set|where|by|than|is|are|was|were|as|when|like|over|rather)\b",
            gap,
            re.IGNORECASE,
        )
        is not None
    )
