"""How a domain's own texts say what somebody goes for, for the reader: made from the very template that writes them."""

from __future__ import annotations

import re
import string
from functools import lru_cache
from typing import NamedTuple

from trackrec.prompts.domains import Domain
from trackrec.users.counts import FAME


class DomainPatterns(NamedTuple):
    """Patterns for the sentence on what is gone for."""

    often: re.Pattern[str]
    """The words of ``Domain.often`` around the genres: before them or, if nothing stands there, behind."""
    before: bool
    """Whether these words come behind the genres that they speak of."""
    mixed: re.Pattern[str]
    """The whole of them, with "different" for the genres."""
    fame: re.Pattern[str]
    """How well known the items are, with the domain's noun, of however many words."""


@lru_cache(maxsize=64)
def domain_patterns(domain: Domain) -> DomainPatterns:
    """The patterns of a domain."""
    head, tail = _around(domain.often)
    mixed = " ".join(part for part in (head, "different", tail) if part)
    fame = rf"\b(?P<level>{'|'.join(map(re.escape, FAME))}) {_spaced(domain.items)}(?=[.,;!?]|$)"
    return DomainPatterns(_pattern(head or tail), not head, _pattern(mixed), re.compile(fame, re.IGNORECASE))


def _around(template: str) -> tuple[str, str]:
    """What a template says before its field and after it."""
    parts, head = list(string.Formatter().parse(template)), ""
    for number, (text, name, _, _) in enumerate(parts):
        head += text
        if name is not None:
            return head.strip(), "".join(rest for rest, *_ in parts[number + 1 :]).strip()
    return head.strip(), ""


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){_spaced(text)}(?!\w)", re.IGNORECASE)


def _spaced(text: str) -> str:
    return r"\s+".join(re.escape(word) for word in text.split())
