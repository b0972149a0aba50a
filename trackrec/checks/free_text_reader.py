"""Reads a sentence of free text: which titles it names, and what it says of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from trackrec.checks.modality import is_recommendation, without_hypotheses
from trackrec.checks.sentences import TextSentence
from trackrec.checks.sentiment import Opinion, find_opinions, says_mixed
from trackrec.checks.subjects import HIDDEN
from trackrec.checks.title_mentions import Name, OwnTitles, find_names

TURN = re.compile(
    r";|\s[–—]\s|\b(?:but|while|whereas|although|though|however|yet|whilst|except|unlike|against(?! the odds| all odds)|conversely|despite|besides?|apart from|other than|(?:and|with) only(?= (?:the )?Ξ)|rather than|instead of|even if|where|more than|less than|compared (?:to|with)|in contrast to)\b",
    re.IGNORECASE,
)
"""Where a sentence turns to something that may be said the other way round."""
_BEGINS_ANEW = re.compile(
    r",[^,]*\b(?:they|he|she|this (?:user|viewer|reader|person)|the (?:user|viewer|reader|person))\b (?:\w+(?:s|ed)|have|had|do|did|gave|found)\b",
    re.IGNORECASE,
)
"""A new sentence in the sentence: "Keen on drama, this viewer gives ..."."""
_APART = re.compile(
    r"(?:unlike|except(?: for)?|despite|besides?|apart from|other than|rather than|instead of)\b", re.IGNORECASE
)
_NEITHER = re.compile(r"\b(?:neither|nor|none|not one)\b", re.IGNORECASE)
_ONE_OF_TWO = re.compile(r"\bthe (?:latter|former|second|first)\b", re.IGNORECASE)
_WHICH = re.compile(
    r"(?<!suggest )(?<!suggests )(?<!show )(?<!shows )(?<!mean )(?<!means )\b(?:that|which|who)\s+(?:\w+\s+){0,2}$",
    re.IGNORECASE,
)
_OF_WHICH = re.compile(r"\b(?:both|all|each|none|most|some) of (?:which|whom)\b", re.IGNORECASE)
_SHARED = re.compile(r"\b(?:both|each|all|apiece)\b", re.IGNORECASE)
WORD = re.compile(r"[^\W\d_]+")
_RIGHT_BEHIND = 3
"""Characters between a title and the stars in parentheses behind it."""
LOOSE = 8
"""Words between a verb and a name from which on the one hardly speaks of the other."""
_BESIDE = 4
"""Likewise between two names of a list: "and the buddy comedy"."""
_RATED = re.compile(r"\bratings?\b", re.IGNORECASE)
_ANOTHER = re.compile(
    rf"{HIDDEN}[\"'”’]?,? (?:and|or|but) (?:their|his|her|an?|the) (?:\w+ ){{0,2}}(?:for|towards?|to|of|in|with) ",
    re.IGNORECASE,
)
"""What is said of one name ends, and something else is said of the next: "low marks for X and his indifference to Y"."""
_TAKEN_BACK = re.compile(
    rf"(?:\b(?:which|whom)|\b(?:though|although|albeit|despite|yet|but|however),? (?:these|those|it|both|its|this|their|the|rated|was|were|with|they \w+ (?:them|it|both)))\b[^{HIDDEN}]*$",
    re.IGNORECASE,
)
"""A clause on the names before it: "films like X, which they rated lower"."""
_EXCEPTION = re.compile(r"\bexceptions?\b", re.IGNORECASE)
_RESPECTIVELY = re.compile(r"\b(?P<all>[1-5](?:(?:, and |, | and )[1-5])+)(?: stars?)?,? respectively\b", re.IGNORECASE)
NEAR = 7
"""Words between a name and a rating that may be no other name's."""


@dataclass(frozen=True)
class Statement:
    """What a sentence says of one name."""

    name: Name
    sign: Opinion | None
    rating: Opinion | None
    is_near: bool
    """Nothing stands between the name and the rating that could be meant as well."""


@dataclass(frozen=True)
class Prose:
    """A sentence as it was read."""

    text: str
    """The body, with what it only thinks possible blanked out."""
    masked: str
    """With its titles hidden."""
    names: tuple[Name, ...]
    opinions: tuple[Opinion, ...]
    lead: Opinion | None
    said: tuple[Statement, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Names that can be nothing but titles which the history does not have."""
        return tuple(name.text for name in self.names if name.is_surely_missing and not name.is_quoted)

    @property
    def sign(self) -> Literal[-1, 0, 1]:
        """What all its cues say; 0 if they differ, or there is none."""
        signs = {one.sign for one in self.opinions if one.sign} | ({self.lead.sign} if self.lead else set())
        return next(iter(signs)) if len(signs) == 1 and not says_mixed(self.masked) else 0


def read_prose(told: TextSentence, own: OwnTitles, cited: Iterable[Any] | None = None) -> Prose:
    """The names and opinions of a sentence, each name with what is said of it."""
    advice = is_recommendation(told.body) and not told.cited
    text = " " * len(told.body) if advice else without_hypotheses(told.body)
    names = tuple(find_names(text, own, cited))
    masked = text
    for name in names:
        masked = masked[: name.start] + HIDDEN * (name.end - name.start) + masked[name.end :]
    opinions = tuple(find_opinions(masked))
    said = tuple(_said(name, names, opinions, masked, told.lead) for name in names)
    if "respectively" in masked:
        said = _respective(said, masked)
    return Prose(text, masked, names, opinions, told.lead, said)


def _said(
    name: Name, names: Sequence[Name], opinions: Sequence[Opinion], masked: str, lead: Opinion | None
) -> Statement:
    turns = turns_of(masked, opinions)
    low = max((turn for turn in turns if turn <= name.start), default=0)
    high = min((turn for turn in turns if turn > name.start), default=len(masked))
    apart = _APART.match(masked, low)
    if apart is not None and (comma := masked.find(",", name.end)) >= 0 and "," not in masked[low : name.start]:
        high = min(high, comma)  # "Unlike X, Y was a hit": nothing behind the comma speaks of X
    mine = [one for one in opinions if low <= one.start < high]
    own = [one for one in mine if not _is_anothers(one, name, names, masked)]
    sign = _governing(name, [one for one in own if one.sign and not one.is_rating], masked)
    stars = [one for one in own if one.is_rating]
    behind = [one for one in stars if not one.weak and 0 <= one.start - name.end <= _RIGHT_BEHIND]
    rating = _governing(name, behind or stars, masked)
    if rating is not None and sign is not None and _belongs_to_others(name, sign, rating, names):
        rating = None
    listed = rating is not None and rating.side == "before" and rating.end <= name.start
    near = rating is not None and not listed and _is_near(words_between(name, rating, masked))
    if rating is None and lead is not None and lead.is_rating:
        rating, near = lead, True
    if sign is None and rating is None:
        aside = low > 0 or masked.count("(", 0, name.start) > masked.count(")", 0, name.start)
        sign = None if aside else lead  # "Horror (except X)" under "Dislikes:"
        if (
            sign is None
            and low == 0
            and apart is None
            and len({one.sign for one in mine if one.sign and not one.is_rating}) == 1
        ):
            sign = replace(next(one for one in mine if one.sign and not one.is_rating), weak=True)
    if (
        sign is not None
        and sign.side == "before"
        and sign.start > name.end
        and _NEITHER.search(masked[low : name.start])
    ):
        sign = Opinion(sign.start, sign.end, -1 if sign.sign > 0 else 1, sign.side)
    if sign is not None and (_EXCEPTION.search(masked) or _is_taken_back(sign, name, opinions, masked)):
        sign = replace(sign, weak=True)
    if len(names) > 1 and _ONE_OF_TWO.search(masked):
        sign, rating = (replace(one, weak=True) if one is not None else None for one in (sign, rating))
    return Statement(name, sign, rating, near)


def _is_taken_back(sign: Opinion, name: Name, opinions: Sequence[Opinion], masked: str) -> bool:
    """Whether a clause behind a name says the opposite of it: "enjoyment of films like X, which they rated lower"."""
    clause = _TAKEN_BACK.search(masked, name.end)
    return clause is not None and any(one.sign == -sign.sign for one in opinions if one.start >= clause.start())


def _respective(said: Sequence[Statement], masked: str) -> tuple[Statement, ...]:
    """Each name with its own stars of "X and Y got 5 and 4 respectively"; with none where the two lists do not match."""
    match = _RESPECTIVELY.search(masked)
    stars = [float(one) for one in re.findall(r"[1-5]", match["all"])] if match else []
    if match is None or len(stars) != len(said):
        return tuple(replace(one, rating=None) for one in said)
    given = [Opinion(match.start(), match.end(), 0, "before", low=value, high=value) for value in stars]
    return tuple(replace(one, rating=mine, is_near=True) for one, mine in zip(said, given, strict=True))


def turns_of(masked: str, opinions: Sequence[Opinion]) -> list[int]:
    """Where a sentence turns. "Where" does so only if something else is said behind it."""
    found = list(TURN.finditer(masked))
    ends = [match.start() for match in found[1:]] + [len(masked)]
    return [
        match.start()
        for match, end in zip(found, ends, strict=False)
        if match.group().lower() != "where" or any(match.end() <= one.start < end for one in opinions)
    ]


def _belongs_to_others(name: Name, sign: Opinion, rating: Opinion, names: Sequence[Name]) -> bool:
    """Whether a verb parts a name from a rating that other names stand by: "X bores them, and Y gets a two"."""
    low, high = (name.end, rating.start) if rating.start >= name.end else (rating.end, name.start)
    if sign.side != rating.side or not low <= sign.start < high:
        return False
    return any(
        other is not name and min(sign.end, rating.end) <= other.start < max(sign.start, rating.start)
        for other in names
    )


def _is_anothers(one: Opinion, name: Name, names: Sequence[Name], masked: str) -> bool:
    """Whether a rating in parentheses stands right behind another name."""
    told = masked[one.start : one.end]
    if (
        not one.is_rating
        or one.side == "after"
        or (told[:1] not in "(:" and masked[max(0, one.start - 1) : one.start] != "(")
    ):
        return False
    owner = max((other for other in names if other.end <= one.start), key=lambda other: other.end, default=None)
    return owner is not None and owner is not name and _SHARED.search(masked[one.start - 1 : one.end + 12]) is None


def _is_near(gap: str) -> bool:
    """Whether nothing between a name and its stars begins anew: a list of names, and a few words for them."""
    words = WORD.findall(gap.replace(HIDDEN, " "))
    return len(words) <= NEAR and not re.search(r"\b(?:like|such|including|lets?|which|who|that|than)\b", gap)


def gap_between(name: Name, verb: Opinion | re.Match[str], masked: str) -> str:
    """What stands between a name and a verb."""
    start, end = verb.span() if isinstance(verb, re.Match) else (verb.start, verb.end)
    return masked[name.end : start] if start >= name.end else masked[max(0, end) : name.start]


def words_between(name: Name, one: Opinion, masked: str) -> str:
    """What stands between a name and a cue."""
    return masked[name.end : one.start] if one.start >= name.end else masked[max(0, one.end) : name.start]


def _governing(name: Name, opinions: Sequence[Opinion], masked: str) -> Opinion | None:
    """The cue that speaks of a name: the verb before it, or the one behind it of which it is the subject."""
    before = [one for one in opinions if one.end <= name.start]
    after = [one for one in opinions if one.start >= name.end]
    verb = before[-1] if before and before[-1].side == "after" else None
    if verb is not None and _BEGINS_ANEW.search(words_between(name, verb, masked)):
        verb = None
    follows = after[0] if after and after[0].side == "before" else None
    if follows is not None and _is_of_another(words_between(name, follows, masked)):
        follows = None
    if verb is not None and follows is not None and verb.sign != follows.sign:
        gaps = [is_cut(words_between(name, one, masked)) for one in (verb, follows)]
        return None if gaps[0] == gaps[1] else follows if gaps[0] else verb
    if found := follows or verb:
        return _loosened(found, name, masked)
    if (
        before
        and not _BEGINS_ANEW.search(words_between(name, before[-1], masked))
        and re.search(
            r"[:,]|\b(?:as|in|with|like|from|see|namely|including|for|such)\b", masked[before[-1].end : name.start]
        )
    ):
        return _loosened(before[-1], name, masked)
    return None


def _loosened(one: Opinion, name: Name, masked: str) -> Opinion:
    """A cue that stands too far off to accuse anybody, or before other ratings that are spoken of."""
    gap = words_between(name, one, masked)
    first, *others = re.split(rf"{HIDDEN}+", gap if one.end <= name.start else gap[::-1])
    is_loose = len(WORD.findall(first)) > LOOSE or any(len(WORD.findall(other)) > _BESIDE for other in others)
    is_loose = is_loose or _RATED.search(gap) is not None or _ANOTHER.search(gap) is not None
    return replace(one, weak=True) if is_loose and not one.is_rating else one


def _is_of_another(gap: str) -> bool:
    """Whether a cue stands in a clause on something else: "X, a sign of narratives that resonate"."""
    clause = _WHICH.search(_OF_WHICH.sub("", gap))
    if clause is None or re.match(r"\s*(?:is|are|was|were)\b", gap):
        return False
    return re.search(r"\w", gap[: clause.start()].replace(HIDDEN, "")) is not None


def is_cut(gap: str) -> bool:
    """Whether a comma or a colon cuts two places apart that is not one of a list of names."""
    return re.search(rf"(?<!{HIDDEN})[,:]|[,:](?! (?:and |or |the |a )*{HIDDEN})", gap) is not None
