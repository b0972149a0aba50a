"""Whether a text reads as English, the one language that the checker knows."""

from __future__ import annotations

import re
import unicodedata

# fmt: off
COMMON = {
    "the", "and", "of", "to", "they", "this", "that", "with", "but", "for", "their", "them", "it", "its", "are",
    "were", "was", "which", "from", "who", "than", "most", "like", "likes", "when", "have", "has", "not", "more",
    "so", "would", "prefer", "what", "where", "only", "about",
}
# fmt: on
"""Words that English cannot do without, none of them common in another language."""
SHORTEST = 20
"""Fewest words of which anything is said by counting common ones; a sentence may do without."""
FEWEST = 0.1
"""Share of common words below which a text is not English; English prose has a fifth of them or more."""
FOREIGN = 0.3
"""Share of letters of other scripts above which a text is not English; names and titles may have some."""

_WORD = re.compile(r"[^\W\d_]+")


def reads_as_english(text: str) -> bool:
    """Whether a text is English, as far as letters and common words tell; of a few Latin words nothing is said.

    >>> reads_as_english("They like war films, and care less for musicals."), reads_as_english("喜欢科幻片和战争片。")
    (True, False)
    """
    words = _WORD.findall(text.lower())
    letters = "".join(words)
    others = sum(not unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    if others > FOREIGN * len(letters):
        return False
    return len(words) < SHORTEST or sum(word in COMMON for word in words) >= FEWEST * len(words)
