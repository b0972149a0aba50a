"""Citations: the numbers of the events that a sentence on a user rests on, in brackets before its end."""

from __future__ import annotations

import re
from collections.abc import Iterable

_CITATION = re.compile(r" ?\[\d+(?:, ?\d+)*\](?=[.!?;,]|$)", re.MULTILINE)


def cite(sentence: str, numbers: Iterable[int]) -> str:
    """A sentence with the numbers of events (1: the user's oldest one) before its last mark.

    >>> cite("They like dry comedies.", [11, 3, 3])
    'They like dry comedies [3, 11].'
    >>> cite("They like dry comedies.", [])
    'They like dry comedies.'
    """
    told = ", ".join(str(number) for number in sorted(set(numbers)))
    if not told:
        return sentence
    end = sentence[-1:] if sentence[-1:] in (".", "!", "?") else ""
    return f"{sentence[: len(sentence) - len(end)]} [{told}]{end}"


def without_citations(text: str) -> str:
    """A text as it is shown to people, and to judges who do not see the events.

    >>> without_citations("They like dry comedies [3, 11]. [Rec] (2007) is one.")
    'They like dry comedies. [Rec] (2007) is one.'
    """
    return _CITATION.sub("", text)


def cited_events(text: str) -> set[int]:
    """Numbers of all events that a text cites.

    >>> sorted(cited_events("They like dry comedies [3, 11]. [9] lives [2], they say."))
    [2, 3, 11]
    """
    return {int(number) for told in _CITATION.findall(text) for number in re.findall(r"\d+", told)}
