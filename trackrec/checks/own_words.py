"""By which words a sentence of this project's own is known, and which words say nothing."""

from __future__ import annotations

import re

OWN_STYLE = re.compile(
    r"\(\d+ of \d+|\b\d+ of \d+ liked|\b(?:care less for|caring less for|fonder of|cooler on|(?:harder|easier) to please|less keen on|thought (?:well|less|less well) of|think (?:well|less) of|fell well on|did well on|lean towards|least liked is|about \d in (?:10|ten))\b",
    re.IGNORECASE,
)
"""Phrases of this project's own sentences. Where they stand, whatever is named is a title or a kind, and nothing else."""
PLAIN_PAST = re.compile(
    r"^They (?:have )?(?:liked|loved|enjoyed|disliked|hated|did not (?:like|enjoy)|watched|consumed|appreciated)\b",
    re.IGNORECASE,
)
"""A plain sentence on what was done: its object is an item."""
EMPTY = frozenset(
    [
        "they",
        "them",
        "their",
        "the",
        "a",
        "an",
        "and",
        "or",
        "of",
        "in",
        "are",
        "is",
        "were",
        "was",
        "with",
        "but",
        "this",
        "viewer",
        "user",
        "reader",
        "to",
        "more",
        "most",
        "less",
        "by",
        "from",
        "all",
        "at",
        "as",
        "that",
        "for",
        "than",
        "also",
        "both",
        "it",
        "he",
        "she",
        "his",
        "her",
        "has",
        "have",
        "had",
        "been",
        "be",
        "watch",
        "watches",
        "rate",
        "rates",
        "kind",
        "kinds",
        "seen",
        "ones",
        "newer",
        "older",
        "others",
        "go",
        "going",
        "among",
        "what",
    ]
)
"""Words that say nothing on their own."""
