"""Which cue of a sentence speaks of a kind of items: the verb whose object or subject the kind is."""

from __future__ import annotations

import re

from trackrec.checks.free_text_reader import TURN, Prose
from trackrec.checks.sentiment import Opinion
from trackrec.checks.vocabulary import Vocabulary

_ADJECTIVES = r"(?:[\w'’-]+ ){0,3}"
SOUND = re.compile(r"musical (?:scores?|numbers?|moods?|styles?|accompaniments?|tastes?)\b", re.IGNORECASE)
"""Music in films, not the kind of films."""
_CLAUSE_END = re.compile(
    r"[.;]|,? (?:but|while|though|although|whereas)\b|, (?:and )?(?:they|he|she|the user)\b|, \w+ing\b"
)
_LIMITED = re.compile(
    r"\b(?:that|which|unless|when|lacking|without|outside|except\w*|exclud\w+|involving|especially|particularly"
    r"|(?:cent(?:er|re)d|focus\w*|based|rel(?:y|ies|ying)|built|rooted|grounded) (?:on|in|around|upon)"
    r"|with(?! (?:an? |their |his |her |the |some )?(?:\w+ )?(?:average|mean|ratings?|scores?)))\b",
    re.IGNORECASE,
)
"""By these the end of a list speaks of a part of it: "thrillers and comedies that rely on slapstick"."""
_SOME = re.compile(
    r"\b(?:certain|some|many|most|typical|pure|purely|straightforward|overly|specific|particular|conventional|broad"
    r"|select|various|generic)\b",
    re.IGNORECASE,
)
"""Before a list they speak of all of it: "certain science fiction and war films"."""
_WHO = re.compile(r"\b(?:users?|viewers?|readers?|they|them|he|she|him|you|i|me)\b", re.IGNORECASE)
_NEXT_WORD = re.compile(
    r"[ -](?:(?!(?:and|or|but|is|are|was|were|with|as|to|in|of|from|for|by|than|that|which|while|at|on|when|if|so"
    r"|not)\b)[a-z]\w+ )?([a-z]\w{2,}s)\b"
)


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
            turn = TURN.search(masked, after[0].end)  # "musicals are often loved, though not by this user"
            return None if turn and not _WHO.search(masked, 0, turn.start()) and _WHO.search(masked) else after[0]
    if prose.lead is not None and prose.lead.sign and not prose.opinions and not prose.names:
        return None if is_aside(start, masked) else prose.lead
    return None


def is_aside(place: int, text: str) -> bool:
    """Whether a place of a list's item is not what the list names: in parentheses, or behind a turn: "Horror (except
    comedies)"."""
    return text.count("(", 0, place) > text.count(")", 0, place) or TURN.search(text, 0, place) is not None


def is_part(start: int, end: int, opinion: Opinion, prose: Prose, vocabulary: Vocabulary) -> bool:
    """Whether a sentence speaks of a part of a kind, so that the whole of it denies nothing.

    Args:
        start, end: where the kind stands.
        opinion: what is said of it.
        prose: the sentence.
        vocabulary: words for items in general.
    """
    masked = prose.masked
    stop = _CLAUSE_END.search(masked, end)
    behind = masked[end : stop.start() if stop else len(masked)]
    if opinion.side == "after" and _LIMITED.search(behind):
        return True
    if re.match(r"s? ?\((?! ?(?:an? |the )?(?:average|mean|avg|rat|\d))", behind):
        return True
    begin = opinion.end if 0 <= opinion.end <= start else max(masked.rfind(mark, 0, start) for mark in ".;:") + 1
    if _SOME.search(masked, begin, start):
        return True
    follows = _NEXT_WORD.match(masked, end)
    if follows is None or any(end <= one.start <= follows.start(1) for one in prose.opinions):
        return False
    return not (vocabulary.is_noun(follows[1]) or vocabulary.is_kind(follows[1]) or follows[1] in ("is", "was", "has"))


def _is_foreign(gap: str, vocabulary: Vocabulary) -> bool:
    """Whether the words between a verb and a kind hold another object of the verb, or a clause of its own."""
    return (
        re.search(
            rf"\b(?:with|that|which|about|from|set|where|by|than|is|are|was|were|as|when|like|over|rather|on|outside|within|beyond|lacking|without)\b|{TURN.pattern}",
            gap,
            re.IGNORECASE,
        )
        is not None
    )
