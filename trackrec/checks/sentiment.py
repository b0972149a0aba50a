"""What free text says of liking: cues with a sign, their strength, and the ratings that a sentence gives."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from trackrec.checks import sentiment_lexicon as words
from trackrec.checks.subjects import HIDDEN

Side = Literal["after", "before"]


@dataclass(frozen=True)
class Opinion:
    """A cue in a text."""

    start: int
    end: int
    sign: Literal[-1, 0, 1]
    """1: liked; -1: not; 0: neither, as a three of five."""
    side: Side
    """Where what it speaks of stands."""
    strong: bool = False
    """It says more than that: "loves", "the worst"."""
    weak: bool = False
    """It may bear a sentence out, but is too common a word to accuse anybody."""
    low: float | None = None
    """Of a rating: the least that is said."""
    high: float | None = None
    """And the most."""

    @property
    def is_rating(self) -> bool:
        """Whether it gives stars."""
        return self.low is not None


def _any(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(patterns)})(?![\w'’])", re.IGNORECASE)


_SIGNS: tuple[tuple[re.Pattern[str], Literal[-1, 1], Side], ...] = (
    (_any(words.DISLIKED_BEFORE), -1, "before"),
    (_any(words.LIKED_BEFORE), 1, "before"),
    (_any(words.DISLIKES_AFTER), -1, "after"),
    (_any(words.LIKES_AFTER), 1, "after"),
)
_MIXED = re.compile(rf"\b(?:{words.MIXED})\b", re.IGNORECASE)
_STRONG, _WEAK = (re.compile(pattern, re.IGNORECASE) for pattern in (words.STRONG, words.WEAK))
_NOT = re.compile(
    r"(?:\b(?:not|never|hardly|rarely|seldom|neither|nor|no longer|cannot|without|less|no)|n['’]t|\bfail(?:s|ed)? to|\bstruggl\w+ to|\brefus\w+ to)"
    r"(?: (?:really|much|particularly|especially|quite|so|always|seem(?:s|ed)?|appear(?:s|ed)?|come|to|as|very|well|be|been|have|has|had|also|yet|ever|at all|truly|necessarily|a|an|the|their|exactly|one of)){0,5} ?$",
    re.IGNORECASE,
)
_FAR_NO = re.compile(
    r"(?:\b(?:not|never|nor|neither|cannot|without|no|lack\w*)|n['’]t)(?: (?!(?:but|and|or|yet|while|who|that|which|only|just|merely)\b)\w+){1,8} ?$",
    re.IGNORECASE,
)
"""A "not" a few words before a word of liking: "does not hold a high regard for". What it says then is not sure."""
_FADING = re.compile(
    r"\b(?:declin\w*|decreas\w*|diminish\w*|wan(?:es|ed|ing)|lack(?:s|ed|ing)?|loss|drop|dropping|reduced|limited|little|low|lower|waning|moving away)\b(?: (?:in|of|for|their|his|her|the|any|much))* ?$",
    re.IGNORECASE,
)
"""Before a word of liking: "the decline in interest towards"."""
_HEDGED = re.compile(
    r"\b(?:moderate|modest|mild|slight|slightly|some|somewhat|occasional|reasonable|certain|tentative)(?: \w+ed)? ?$",
    re.IGNORECASE,
)
"""Before a word of liking or not: it may bear out, and accuses nobody."""
_IN_FAVOUR = re.compile(r"in favou?r of", re.IGNORECASE)
_NOT_ONLY = re.compile(r"\bnot (?:only|just|merely)\b[\w ]*$", re.IGNORECASE)

_BY_IT = re.compile(
    r"\s+by\b(?! (?:them|him|her|us|me|(?:this|the) (?:user|viewer|reader|person|customer|listener)))", re.IGNORECASE
)
_WHOSE_WAY = re.compile(r"\b(?!users|viewers|readers|people)\w+s (?:that|which) (?:\w+ly )?$", re.IGNORECASE)
"""Items do it, not the user: "films that lean towards comedy"."""
_PARTICIPLE = re.compile(r"(?:dis)?liked|loved|hated|enjoyed|rejected|dismissed|adored|refused|scorned", re.IGNORECASE)
_NAME_BEFORE = re.compile(rf"{HIDDEN}\)?\s(?:\w+ly )?$")
_NOTHING_FOLLOWS = re.compile(r"\s*(?:[,.;:)]|$|(?:but|and|while|whereas|though)\b)")
_ELLIPSIS = re.compile(
    r"\b(?:was|were|is|are|did|do|does|has|have)(?: not|n['’]t)(?=\s*(?:[,.;:)]|$))|\bnot(?=\s*(?:[.;]|$))|\bnot even that\b",
    re.IGNORECASE,
)
_VALUES = {"one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0}
_V = r"(?:[0-5](?:\.\d+)?|one|two|three|four|five)"
_RATINGS = re.compile(
    rf"(?P<out>\b(?P<a>{_V})(?: stars?)?\s*(?:/\s*5|out of (?:5|five)|of (?:5|five) stars)\b(?![/\d]))"
    rf"|(?P<stars>\b(?P<b>{_V})(?:(?:\s?(?:-|–|to|or|and)\s?)(?P<b2>{_V}))?(?P<more> (?:or|and) (?:more|higher|above|better|less|lower|below|fewer))?[- ]?(?:stars?|⭐+|★+)(?:[- ]?(?:ratings?|reviews?|scores?|or (?P<orb>more|higher|above|better|less|lower|below|fewer)))?)"
    rf"|(?P<also>(?:(?<=, )|(?<=\band )|(?<=\bbut ))(?:an? )?(?P<r>[1-5]|one|two|three|four|five) (?=for (?:the |both )?{HIDDEN}))"
    r"|(?P<plural>\b(?P<c>(?<=\bone )(?:one|two|three|four|five)(?=,? for\b|[,.;]|$)|ones|twos|threes|fours|fives|[1-5]['’]?s)\b)"
    rf"|(?P<bare>(?<=\bat )(?P<d>{_V})\b|\b(?:an?|the|only|just|single|lone|solid|merely|below|under|above) (?:(?:only|just|lone|single|solid|mere|full|perfect) )*(?P<e>{_V})\b|\b(?:rated?|got|gets?|give|gives|gave|given|earn\w*|receiv\w*|reach\w*|scor\w*|giving|awarded|settle\w* at|sits? at|sat at|stays? at|stop\w* at|comes? to|was|were|got just|at)(?: (?:it|them|both|each|all|as|at|just|only|the|a))* (?P<f>{_V})\b)(?![- ]?stars?\b)(?! (?:or|to|and) \w+[- ]stars?)(?! (?:films|movies|books|titles|of|in|times|other|more|or more|hundred|years|genres|comedies|dramas|thrillers|most|least|main|first|last|(?!(?:lowest|highest|honest|modest)\b)\w{{2,}}est)\b)(?P<tail> (?:or|to|and) (?:(?P<g>{_V})|(?P<h>more|higher|above|better|less|lower|below|fewer))\b)?(?! stars?)"
    rf"|(?P<of>(?<!average )(?<!mean )\b(?:ratings?|scores?|marks?) of (?:only |just |a )?(?P<q>{_V})\b(?P<q2>(?:(?:, and |, | and | to | or |-|–){_V}\b)*)(?! \w+ (?:films|movies|books))(?: stars?)?)"
    rf"|(?P<paren>[(:]\s?(?:both |all |each |rated |ratings? |rating: |only |just )*(?P<p>[1-5](?:\.\d)?)(?: stars?)?(?:,? each)?\s?(?=\)|$|,|;))",
    re.IGNORECASE,
)
_TOP = re.compile(
    r"\b(?:top marks?|(?:the )?highest(?: possible)? (?:mark|rating|score|marks|ratings)|perfect (?:score|rating|mark)s?|full marks|maximum (?:score|rating))\b",
    re.IGNORECASE,
)
_BOTTOM = re.compile(
    r"\b(?:(?:the )?lowest (?:possible )?(?:mark|rating|score)s?(?: of all)?|bottom marks?|rated lowest)\b",
    re.IGNORECASE,
)
_MODERATE = re.compile(
    r"\b(?:moderate|middling|mediocre|neutral|average)(?: \w+)? (?:ratings?|marks?|scores?|reviews?|reception)(?: (?:for|to|of)\b(?! \d)|(?= was| were|[,.;)]|$))",
    re.IGNORECASE,
)
"""About three of five: it may bear a sentence out, and accuses nobody."""
_FOR = re.compile(
    r"\s*(?:stars? |ratings? |reviews? )*(?:each |apiece |even |only |mainly |mostly )*(?:for|to|against|go to|goes to|went to|belongs? to|such as|like|including|only with)\b"
    r"|\s*,? (?:for|to|such as|for example|namely|including)\b|\s*:",
    re.IGNORECASE,
)
_OWNED = re.compile(r"(?: stars?)?\)\s*(?:for|to)\b", re.IGNORECASE)
""" "A high rating (5) for X": stars in parentheses whose title follows."""
_LIKED_FROM, _DISLIKED_TO = 4.0, 2.5


def side_of(rating: float) -> Literal[-1, 0, 1]:
    """What a rating of one to five says for itself: from four on liked, up to two and a half not."""
    return 1 if rating >= _LIKED_FROM else -1 if rating <= _DISLIKED_TO else 0


def find_opinions(text: str) -> list[Opinion]:
    """The cues of a sentence in order, none overlapping another.

    Args:
        text: a sentence; names that could be misread (titles) are blanked out before.
    """
    found: list[Opinion] = []
    taken = [False] * (len(text) + 1)

    def free(start: int, end: int) -> bool:
        return not any(taken[start:end])

    def take(opinion: Opinion) -> None:
        found.append(opinion)
        taken[opinion.start : opinion.end] = [True] * (opinion.end - opinion.start)

    for match in _RATINGS.finditer(text):
        if rating := _rating(match, text):
            take(rating)
    for pattern, value in ((_TOP, 5.0), (_BOTTOM, 1.0)):
        for match in pattern.finditer(text):
            if free(*match.span()):
                side: Side = "after" if _FOR.match(text, match.end()) else "before"
                sign: Literal[-1, 1] = 1 if value == 5 else -1
                take(Opinion(*match.span(), sign, side, strong=True))
    for match in _MODERATE.finditer(text):
        if free(*match.span()):
            side = "after" if match.group().split()[-1].lower() in ("for", "to", "of") else "before"
            take(Opinion(*match.span(), 0, side, weak=True, low=2.5, high=3.5))
    for pattern, sign, side in _SIGNS:
        for match in pattern.finditer(text):
            of_items = side == "after" and _WHOSE_WAY.search(text[: match.start()])
            if free(*match.span()) and not of_items:
                take(_signed(match, text, sign, side))
    found.sort(key=lambda opinion: opinion.start)
    return _completed([_turned(opinion, text) for opinion in found], text)


def _turned(opinion: Opinion, text: str) -> Opinion:
    """ "Star Wars liked but ...": a participle behind a name, with nothing to follow it."""
    told = text[opinion.start : opinion.end]
    if opinion.side == "before" and _BY_IT.match(text, opinion.end):
        return replace(opinion, side="after")  # "they were won over by X"
    is_behind = opinion.side == "after" and _PARTICIPLE.fullmatch(told) and _NAME_BEFORE.search(text[: opinion.start])
    return replace(opinion, side="before") if is_behind and _NOTHING_FOLLOWS.match(text, opinion.end) else opinion


def _completed(found: list[Opinion], text: str) -> list[Opinion]:
    """With "X was liked and Y was not": the second says the opposite of what the first did."""
    for match in _ELLIPSIS.finditer(text):
        earlier = [one for one in found if one.end <= match.start() and one.sign]
        if any(one.start < match.end() and match.start() < one.end for one in found) or not earlier:
            continue
        found.append(Opinion(*match.span(), -1 if earlier[-1].sign > 0 else 1, "before", weak=True))
    return sorted(found, key=lambda opinion: opinion.start)


def says_mixed(text: str) -> bool:
    """Whether a sentence says that some of it is liked and some not."""
    return _MIXED.search(text) is not None


def _signed(match: re.Match[str], text: str, sign: Literal[-1, 1], side: Side) -> Opinion:
    told, before = match.group(), text[: match.start()]
    no = _NOT.search(before) or (_FADING.search(before) if sign > 0 and side == "after" else None)
    if no is not None and _NOT_ONLY.search(before) is None:
        start = no.start()
        return Opinion(start, match.end(), -1 if sign > 0 else 1, side, weak=sign < 0)
    if side == "after" and _FAR_NO.search(before) and _NOT_ONLY.search(before) is None:
        return Opinion(*match.span(), 0, side)
    strong, weak = _STRONG.search(" " + told) is not None, _WEAK.search(" " + told) is not None
    if _HEDGED.search(before) or _IN_FAVOUR.match(text[max(0, match.start() - 3) : match.end() + 3]):
        return Opinion(*match.span(), sign, side, weak=True)
    return Opinion(*match.span(), sign, side, strong, weak and not strong)


def _rating(match: re.Match[str], text: str) -> Opinion | None:
    parts = match.groupdict()
    names = ("a", "b", "c", "d", "e", "f", "p", "q", "r")
    told = next(parts[name] for name in names if parts[name])
    first = _number(told)
    second = _number(parts["b2"] or parts["g"] or "") or first
    if first is None or second is None or not 0 < first <= 5:
        return None
    given = [first, second, *(_number(one) or first for one in re.findall(_V, parts["q2"] or "", re.IGNORECASE))]
    low, high = min(given), max(given)
    bound = (parts["more"] or parts["orb"] or parts["h"] or "").lower().removeprefix(" or ").removeprefix(" and ")
    if bound in ("more", "higher", "above", "better"):
        high = 5.0
    elif bound:
        low = 0.0
    if parts["q"] and re.match(r"\s*(?:or|and) (?:more|higher|above|better|up)\b", text[match.end() :], re.IGNORECASE):
        high = 5.0
    before = text[: match.start()]
    if re.search(r"\b(?:neither|nor|no|never|without|not)\s*$", before, re.IGNORECASE):
        return None
    if re.match(r"(?:below|under)\b", match.group(), re.IGNORECASE):
        low, high = 0.0, high - 0.01
    elif re.match(r"above\b", match.group(), re.IGNORECASE):
        low, high = low + 0.01, 5.0
    if re.search(r"\b(?:at least|no less than|no lower than|never below)\s*$", before, re.IGNORECASE):
        high = 5.0
    elif re.search(r"\b(?:at most|no more than|up to|never (?:more than|above)|past)\s*$", before, re.IGNORECASE):
        low = 0.0
    signs = {side_of(low or 1.0), side_of(high)}
    sign: Literal[-1, 0, 1] = signs.pop() if len(signs) == 1 else -1 if low == 0.0 else 0
    side: Side = "before" if parts["paren"] or not _FOR.match(text, match.end()) else "after"
    if side == "before" and (_gives(text, match) or _OWNED.match(text, match.end())):
        side = "after"
    return Opinion(*match.span(), sign, side, low=low, high=high)


def _gives(text: str, match: re.Match[str]) -> bool:
    """ "They gave five stars to X": what is rated follows."""
    after = text[match.end() :]
    return re.match(r"(?: each| ratings?)? (?:for|to)\b", after) is not None


def _number(text: str) -> float | None:
    text = text.lower().strip()
    if text.rstrip("'’s").isdigit():
        return float(text.rstrip("'’s"))
    singular = text.removesuffix("s") if text not in _VALUES else text
    try:
        return _VALUES[singular] if singular in _VALUES else float(text)
    except ValueError:
        return None
