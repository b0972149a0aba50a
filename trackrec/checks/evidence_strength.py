"""Sure ground: when prose may be called false for what it says of a kind of items.

A few events more or less are chance, and "prefers", "less inclined towards" compare: so a kind must stand out from the
rest of the history before they are denied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from scipy.stats import hypergeom

LIKED_SHARE, DISLIKED_SHARE = 0.6, 0.4
"""From which share of likes on free text may call a kind liked, and up to which not."""
SURE_LIKED, SURE_DISLIKED, SURE_EVENTS = 0.75, 0.25, 3
"""Shares, and the least events, that deny the opposite: so many if all of them do, or the words are strong, else twice
as many."""
_CHANCE = 0.05
"""How likely such a kind may at most be, were it liked as often as the rest of the history; shared by the kinds that a
sentence names, since each of them could be the one that stands out."""
_LARGE = 1 / 6
"""Share of a history from which on a kind is "preferred" by being watched so often."""
_BELOW = 0.25
"""Stars by which the mean of such a kind must lie below that of the whole history."""
_BAD = 2.5
"""Mean of stars up to which "they love ..." is false, whatever the rest is worth."""
_COMPARING = re.compile(
    r"\b(?:prefer\w*|favou?r\w*|lean\w*|inclin\w*|gravitat\w*|tend\w*|affinity|less|lower|lesser|least|limited|little|low|drawn|more|primarily)\b",
    re.IGNORECASE,
)
"""Words that speak of a kind beside others: "prefers", "less interest in"."""
_AS_MUCH = re.compile(r"\bas (?:much|strongly|highly|well|often|deeply|readily)\b", re.IGNORECASE)
"""Behind a word of liking it compares, too: "does not enjoy comedies as much"."""
_BY_NUMBER = re.compile(
    r"\b(?:majority|most|bulk|number|abundance|prevalence|frequency) of (?:(?:their|his|her|the|these|all) )?(?:\w+ )?"
    r"(?:ratings?|films|movies|books|titles|items|genres?)\b|\bfrequent(?:ly)? \w+|\bvariety\b|\bexceptions?\b",
    re.IGNORECASE,
)
"""A liking that rests on how much of it was seen, or that owns up to exceptions: no share of likes denies it."""


def is_borne_out(good: int, events: int, own: float, sign: Literal[-1, 1]) -> bool:
    """Whether a kind is liked, or not, as often as free text may say so.

    Args:
        good: its liked events.
        events: all of its events.
        own: share of likes in the whole history.
        sign: what is said of it.
    """
    share = good / events
    if sign > 0:
        return share >= LIKED_SHARE or (share >= 0.5 and share > own)
    return share <= DISLIKED_SHARE and share <= own


@dataclass(frozen=True)
class Kind:
    """The events of a kind of items, beside all others of a history."""

    stars: tuple[float, ...]
    liked: tuple[bool, ...]
    other_stars: tuple[float, ...]
    others_liked: tuple[bool, ...]

    @property
    def is_large(self) -> bool:
        """Whether so much of the history is of it that this may be why it is called preferred."""
        return len(self.liked) >= _LARGE * (len(self.liked) + len(self.others_liked))

    @property
    def is_rated_lower(self) -> bool:
        """Whether its mean lies clearly below that of everything."""
        whole = (*self.stars, *self.other_stars)
        return sum(self.stars) / len(self.stars) <= sum(whole) / len(whole) - _BELOW


def is_denied(kind: Kind, sign: Literal[-1, 1], words: str, sentence: str, strong: bool, named: int = 1) -> bool:
    """Whether the history clearly goes the other way on a kind.

    Args:
        kind: its events and the others.
        sign: what is said of it.
        words: by which it is said.
        sentence: all of it.
        strong: the words are strong ones.
        named: how many kinds the sentence names.
    """
    good, events = sum(kind.liked), len(kind.liked)
    share, own = good / events, (good + sum(kind.others_liked)) / (events + len(kind.others_liked))
    if events < (SURE_EVENTS if good in (0, events) or strong else 2 * SURE_EVENTS) or _BY_NUMBER.search(sentence):
        return False
    far = share <= SURE_DISLIKED and share < own if sign > 0 else share >= SURE_LIKED and share >= own - 0.05
    if not far:
        return False
    chance = _CHANCE / max(1, named)
    clear = stands_out(good, events, sum(kind.others_liked), len(kind.others_liked), sign, chance)
    if _COMPARING.search(words) or _AS_MUCH.search(sentence):
        return clear and (sign < 0 or (kind.is_rated_lower and not kind.is_large))
    return sign < 0 or sum(kind.stars) / events <= _BAD or (clear and kind.is_rated_lower)


def stands_out(
    good: int, events: int, rest_good: int, rest: int, sign: Literal[-1, 1], chance: float = _CHANCE
) -> bool:
    """Whether a kind has too few likes (``sign`` 1: it is said to be liked), or too many, to be chance: by the
    hypergeometric distribution, as in Fisher's exact test, one-sided.

    >>> stands_out(0, 6, 12, 12, 1), stands_out(2, 8, 5, 13, 1)
    (True, False)
    """
    draw = hypergeom(events + rest, good + rest_good, events)
    return bool((draw.cdf(good) if sign > 0 else draw.sf(good - 1)) <= chance)
