"""Counts, averages and habits of rating that free text gives: "ten of seventeen at four", "never below three"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from trackrec.checks.claims import Claim, ClaimKind
from trackrec.checks.cue_patterns import NUMBER_WORDS
from trackrec.checks.rules import History, Judged, Verdict
from trackrec.checks.sentiment import Opinion
from trackrec.checks.subjects import ALL, HIDDEN

_WORDS = "|".join(
    sorted((w for w in NUMBER_WORDS if w not in ("no", "none", "zero", "all", "both")), key=len, reverse=True)
)
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
_N = rf"(?:\d+|(?:twenty|thirty|forty|fifty)(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?|a dozen|{_WORDS})"
_STAR = r"(?:ones|twos|threes|fours|fives|[1-5]s|(?:one|two|three|four|five|[1-5])[- ]star (?:ratings?|reviews?|films?|movies?|books?))"
_OF_EACH = re.compile(
    rf"\b(?P<hedge>about |around |nearly |almost |over |roughly )?(?P<n>{_N}|no) (?P<star>{_STAR})\b(?! (?:of|in|out)\b)",
    re.IGNORECASE,
)
_OF = re.compile(
    rf"\b(?P<only>only |just |exactly |about |nearly |almost |over |roughly )?(?P<n>{_N}|none|all|half|not one|not a single one) (?:out )?of (?:the |their |his |her |its |these |those |all )*(?P<m>{_N})\b(?! (?:stars?|out)\b)",
    re.IGNORECASE,
)
_AVERAGE = re.compile(
    r"\b(?:average|mean|averag\w+)\b(?:[^.;,\d]|\d+ (?:films|movies|books|titles|items)){0,45}?(?P<hedge>about |around |roughly |approximately |nearly |close to |~)?\b(?P<v>[0-5](?:\.\d+)?)\b(?!\d)(?! (?:films|movies|books|titles|items))",
    re.IGNORECASE,
)
_NEVER_BELOW = re.compile(
    r"\b(?:never|nothing|no \w+|not once|none)\b[^.;,]{0,40}?\b(?:below|under|less than|lower than)\b(?: a)? (?P<v>one|two|three|four|five|[1-5])\b",
    re.IGNORECASE,
)
_NEVER_ABOVE = re.compile(
    r"\b(?:never|nothing|no \w+|not once|none)\b[^.;,]{0,40}?\b(?:above|over|more than|higher than|past|better than)\b(?: a)? (?P<v>one|two|three|four|five|[1-5])\b",
    re.IGNORECASE,
)
_NEVER_GIVEN = re.compile(
    r"\b(?:never|not once|have not|has not)\b(?:(?!\b(?:below|under|above|over|past|than)\b)[^.;,]){0,30}?\b(?:a |an |any |the )?(?P<v>one|two|three|four|five|[1-5])(?:[- ]stars?\b|$|\.)",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    rf"(?:\b(?:has|have|had)? ?(?:rated|watched|seen|read|reviewed|logged) (?:a total of |in total |exactly )?(?P<a>{_N})|\bacross (?:all |the |their )?(?P<b>{_N})|\b(?:history|record) of (?P<c>{_N})) (?:films|movies|books|titles|items|products|albums|events)\b(?! (?:by|from|of|in (?!total|all|their|the)|with|that|as|and (?:liked|disliked)|a)\b)",
    re.IGNORECASE,
)
_MODE = re.compile(
    r"\b(?:most (?:common|frequent)|commonest|usual|typical|default) (?:rating|mark|score) (?:is|was|being) (?:an? )?(?P<v>one|two|three|four|five|[1-5])\b",
    re.IGNORECASE,
)
_ONLY = re.compile(
    r"\bonly (?P<v>one|two|three|four|five|[1-5])(?:[- ]star)?(?: ratings?)? (?:goes|went|is|was) (?:to|for)",
    re.IGNORECASE,
)
_EITHER = re.compile(
    r"\b(?P<a>one|two|three|four|five|[1-5]) (?:or|and) (?P<b>one|two|three|four|five|[1-5])\b", re.IGNORECASE
)
_REACHES = re.compile(r"\b(?:reach(?:es|ed)?|get to|rise to|at least) (?:an? )?\w+$", re.IGNORECASE)
_SOFT = re.compile(
    r"\b(?:(?:very |quite |fairly )?(?:generous|lenient|easily pleased|easy to please|forgiving|uncritical)|(?:gives|rates) (?:almost|nearly) everything (?:four or five|highly|well))\b",
    re.IGNORECASE,
)
_HARD = re.compile(
    r"\b(?:strict|tough|harsh|severe|choosy|picky|demanding|sparing|hard to please|stingy)\b(?! (?:on|with|in)\b)"
    r"(?=\W*(?:$|(?:but|and|overall|though|giving|rating)\b)| (?:rat|mark|grad|scor|critic|judge|viewer|reader|reviewer|listener|customer|person)\w*)",
    re.IGNORECASE,
)
"""Said of who rates, not of "harsh landscapes"."""
_MOSTLY = re.compile(
    r"\b(?:mostly|mainly|largely|almost only|lives on) (?:in )?(?P<a>ones|twos|threes|fours|fives|[1-5]s)(?: and (?P<b>ones|twos|threes|fours|fives|[1-5]s))?\b(?! (?:otherwise|elsewhere|for|to|in|apart|beyond))",
    re.IGNORECASE,
)
_SHARE = re.compile(
    r"\b(?:to|for|of) (?:about |around |roughly |nearly |almost |some )?(?P<share>half|a third|two thirds|a quarter|one quarter|three[- ]quarters|\d{1,3} ?%|most|all|hardly any|one in (?:two|three|four|five|ten)) (?:of )?(?:what|the (?:films|movies|books|titles|items)|all|them|films|movies|books|everything)",
    re.IGNORECASE,
)
_SHARES = {
    "half": 0.5,
    "a third": 1 / 3,
    "two thirds": 2 / 3,
    "a quarter": 0.25,
    "one quarter": 0.25,
    "three quarters": 0.75,
}
_NUMERALS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_RECENT = re.compile(r"\b(?:recent(?:ly)?|latest|newest|new|last \w+|lately)\b", re.IGNORECASE)
"""A part of the history, of which nobody says how long it is."""
_OF_A_SAMPLE = re.compile(
    r"\b(?:given|provided|recent|available|rating) (?:\w+ )?(?:history|ratings?|data|list|movies|films|books|items)\b",
    re.IGNORECASE,
)
_OF_SOME = re.compile(
    r"\b(?:genres?|categor(?:y|ies)|types?|kinds?|themes?|areas?|elements?)\b|\b(?:these|those|such|preferred|favou?rite|certain|similar) (?:\w+ )?\w+s\b"
    r"|\b(?:films|movies|books|novels|titles|items|stories|narratives|products|albums|songs|ones|works) (?:\w+ ly )?(?:with|that|in|of|which|from|about|like|such as|featuring|where|for|by)\b",
    re.IGNORECASE,
)
"""It speaks of a part of the history."""
_NARROWED = re.compile(
    r"\b(?:films|movies|books|novels|titles|items|stories|narratives|products|albums|songs|ones|works) (?:with|that|which|featuring|where|about|like|such as)\b",
    re.IGNORECASE,
)
"""It speaks of a part that no kind names."""
_OF_TITLES = re.compile(rf"\s*(?:stars? )?(?:for|of|to|across|on) (?:both |the )?{HIDDEN}")
_THESE = re.compile(
    r"^\W*(?:(?:however|additionally|conversely|overall|similarly),? )?(?:these|those|such|both|all of these)\b",
    re.IGNORECASE,
)
"""It speaks of what an earlier sentence named."""
_OF_A_PART = re.compile(r"\s*(?:for|to|in|among|across|on|from|given)\b", re.IGNORECASE)
"""Stars that are counted in a part of the history."""
_EXCEPT = re.compile(r"\b(?:except\w*|apart from|aside from|other than|save for|barring|besides)\b", re.IGNORECASE)
"""A habit with exceptions that it names."""
_FAR, _NEAR = 0.35, 0.1
"""Stars between the mean of some kinds and the one that is told, from which on it is denied; unless one of these kinds
has a mean so near."""
_PART = 0.15
"""Stars from the mean of everything up to which an average may be that of the part of the history that was shown."""
_RANGES = re.compile(r"\b(?:rang(?:es?|ed|ing)|between|from)\b", re.IGNORECASE)
"""Not one average, but several."""
_BLANKED = "    "
"""What was only thought possible has been blanked out: the average may be of that."""
SOFT_SHARE, HARD_SHARE = (0.55, 0.3), (0.45, 0.7)
"""A generous rater likes at least the first share of everything; below the second it is denied. A strict one the other way."""


def number(text: str) -> int:
    """A number in digits or words."""
    text = text.lower().strip()
    if text.isdigit():
        return int(text)
    if text == "a dozen":
        return 12
    if text in ("none", "no", "not one", "not a single one"):
        return 0
    head, _, tail = text.replace("-", " ").partition(" ")
    if head in _TENS:
        return _TENS[head] + (NUMBER_WORDS[tail] if tail else 0)
    return NUMBER_WORDS[text]


def _star(text: str) -> int:
    text = text.lower()
    if text[0].isdigit():
        return int(text[0])
    word = re.split(r"[- ]", text)[0]
    return _NUMERALS[word] if word in _NUMERALS else _NUMERALS[word.removesuffix("s")]


def counts_in(
    text: str,
    opinions: Sequence[Opinion],
    history: History,
    kinds: Sequence[tuple[str, tuple[int, ...]]],
    is_blurred: bool = False,
) -> list[Judged]:
    """The counts of a sentence, judged.

    Args:
        text: the sentence, its titles blanked out.
        opinions: its cues: "four or higher" says what is counted.
        history: the user's.
        kinds: of the kinds that it names, how each is written and where its events are.
        is_blurred: one of them is narrowed down, or a tag, which cards lack where it fits: no average of it is denied.
    """
    ratings = [event.rating for event in history.events]
    found: list[Judged] = []
    if not ratings:
        return found

    def say(
        kind: ClaimKind, words: str, right: bool | None, reason: str, places: Sequence[int] = (), **more: Any
    ) -> None:
        decided = Verdict.SUPPORTED if right else Verdict.CONTRADICTED
        verdict = Verdict.NOT_CHECKABLE if right is None else decided
        evidence = tuple(places) or history.everything
        found.append(Judged(Claim(kind, ALL, words.strip(), **more), verdict, reason, evidence))

    counts = Counter(ratings)
    for match in _OF_EACH.finditer(text):
        if not match["hedge"] and not (_RECENT.search(text) or _OF_A_PART.match(text, match.end())):
            told, stars = number(match["n"]), _star(match["star"])
            say("count", match.group(), counts[stars] == told, f"{counts[stars]} rated {stars}", liked=told)
    for match in _OF.finditer(text):
        _of(match, text, opinions, history, kinds, say)
    averages = list(_AVERAGE.finditer(text))
    for match in averages:
        several = len(averages) > 1 and bool(kinds)  # "comedies higher (3.0) than dramas (2.4)"
        if not (several or _RECENT.search(text) or _THESE.match(text)):
            _average(match, text, ratings, kinds, say, is_blurred)
    for pattern, test in _habits(ratings, counts):
        for match in pattern.finditer(text):
            value = float(_NUMERALS.get(match["v"].lower(), 0) or match["v"])
            right, reason = test(value)
            is_right = None if not right and (_EXCEPT.search(text) or _OF_A_SAMPLE.search(text)) else right
            say("rating", match.group(), is_right, reason, value=value)
    for match in _TOTAL.finditer(text):
        if not kinds:
            told = number(match["a"] or match["b"] or match["c"])
            say("size", match.group(), told == len(ratings), f"{len(ratings)} in the history", rated=told)
    return found + _manner(text, history, opinions, of_kinds=bool(kinds))


def _habits(
    ratings: Sequence[float], counts: Counter[float]
) -> list[tuple[re.Pattern[str], Callable[[float], tuple[bool, str]]]]:
    low, high = min(ratings), max(ratings)
    top = max(counts.values())
    return [
        (_NEVER_BELOW, lambda value: (low >= value, f"the lowest rating is {low:g}")),
        (_NEVER_ABOVE, lambda value: (high <= value, f"the highest rating is {high:g}")),
        (_NEVER_GIVEN, lambda value: (not counts[value], f"{counts[value]} rated {value:g}")),
        (_MODE, lambda value: (counts[value] == top, f"{counts[value]} rated {value:g}, the most of any is {top}")),
        (_ONLY, lambda value: (counts[value] == 1, f"{counts[value]} rated {value:g}")),
    ]


def _average(
    match: re.Match[str],
    text: str,
    ratings: Sequence[float],
    kinds: Sequence[tuple[str, tuple[int, ...]]],
    say: Callable[..., None],
    is_blurred: bool,
) -> None:
    """An average: of the kinds that the sentence names, of everything if it speaks of nothing less, else of what nobody
    can tell ("movies in these genres")."""
    told, hedge = float(match["v"]), 0.25 if match["hedge"] else 0.0
    step = 0.5 * 10.0 ** -len(match["v"].partition(".")[2]) if "." in match["v"] else 0.5
    near = max(step, hedge) + 1e-9
    groups = [places for _, places in kinds if places]
    if _NARROWED.search(text) or _OF_TITLES.match(text, match.end()) or _RANGES.search(match.group()):
        return
    if not kinds and not _OF_SOME.search(text) and _BLANKED not in text:
        mean = sum(ratings) / len(ratings)
        right = True if abs(mean - told) <= near else False if abs(mean - told) > max(near, _PART) else None
        say("average", match.group(), right, f"the mean rating is {mean:.2f}", value=told)
    elif groups:
        union = sorted({place for places in groups for place in places})
        means = [sum(ratings[place] for place in places) / len(places) for places in (union, *groups)]
        right = abs(means[0] - told) <= near
        far = abs(means[0] - told) > max(near, _FAR) and all(abs(mean - told) > near + _NEAR for mean in means)
        is_right = True if right else False if far and not is_blurred else None
        say("average", match.group(), is_right, f"the mean rating of these is {means[0]:.2f}", union, value=told)


def _of(
    match: re.Match[str],
    text: str,
    opinions: Sequence[Opinion],
    history: History,
    kinds: Sequence[tuple[str, tuple[int, ...]]],
    say: Callable[..., None],
) -> None:
    """ "N of M": of a kind that the sentence names, else of everything; how many are liked, or given such stars."""
    if match["only"] and match["only"].strip().lower() in ("about", "nearly", "almost", "over", "roughly"):
        return
    rated = number(match["m"])
    whole = len(history.events)
    groups = [(name, places) for name, places in kinds if len(places) == rated]
    start = max(text.rfind(mark, 0, match.start()) for mark in ",;:") + 1
    end = min(place for place in (*(text.find(mark, match.end()) for mark in ",;:"), len(text)) if place >= 0)
    near = [one for one in opinions if start <= one.start < end]
    given = next((one for one in near if one.is_rating and one.start >= match.end()), None) or _either(
        text, match.end(), end
    )
    verb = next((one for one in near if one.sign and not one.is_rating and 0 <= match.start() - one.end <= 1), None)
    given = None if verb is not None else given  # "likes six of nineteen"
    sign = next((one.sign for one in near if one.sign and not one.is_rating), 0)
    if given is None and not sign:
        if rated == whole and len(kinds) == 1:  # "25 of 30 films" are of that kind
            told = number(match["n"]) if match["n"].lower() not in ("all", "half") else rated
            places = kinds[0][1]
            say("portion", match.group(), len(places) == told, f"{len(places)} of {whole}", places, value=told / whole)
        return
    if not groups and (rated != whole or kinds):
        return
    counted = groups[0][1] if groups else history.everything
    events = [history.events[place] for place in counted]
    if given is not None and given.low is not None and given.high is not None:
        reaches = _REACHES.search(text[: given.end]) is not None
        good = sum(given.low <= event.rating <= (5 if reaches else given.high) for event in events)
    else:
        good = sum(event.liked == (sign > 0) for event in events)
    word = match["n"].lower()
    named = float(rated) if word == "all" else rated / 2 if word == "half" else float(number(word))
    say("count", match.group(), good == named, f"{good} of {rated}", counted, liked=int(named), rated=rated)


def _either(text: str, start: int, end: int) -> Opinion | None:
    """ "... films four or five": stars without the word."""
    match = _EITHER.search(text, start, end)
    if match is None:
        return None
    low, high = sorted(float(_NUMERALS.get(match[name].lower(), 0) or match[name]) for name in ("a", "b"))
    return Opinion(*match.span(), 0, "before", low=low, high=high)


def _manner(text: str, history: History, opinions: Sequence[Opinion], of_kinds: bool) -> list[Judged]:
    """Whether the user is generous or strict, and what most ratings are; only what is far off is denied."""
    share = history.liked / len(history.events)
    found = []
    for pattern, (borne, denied), sign in ((_SOFT, SOFT_SHARE, 1), (_HARD, HARD_SHARE, -1)):
        if match := pattern.search(text):
            right, wrong = (share - borne) * sign >= 0, (share - denied) * sign < 0
            verdict = Verdict.SUPPORTED if right else Verdict.CONTRADICTED if wrong else Verdict.NOT_CHECKABLE
            claim = Claim("generosity", ALL, match.group())
            found.append(Judged(claim, verdict, f"{history.liked} of {len(history.events)} liked", history.everything))
    for match in _MOSTLY.finditer(text):
        stars = {_star(match[name]) for name in ("a", "b") if match[name]}
        good = sum(event.rating in stars for event in history.events) / len(history.events)
        wrong = good < 0.35 and not of_kinds  # "less interest in drama (mostly twos)" is not of everything
        verdict = Verdict.SUPPORTED if good > 0.5 else Verdict.CONTRADICTED if wrong else Verdict.NOT_CHECKABLE
        found.append(
            Judged(Claim("portion", ALL, match.group()), verdict, f"{good:.0%} of the ratings", history.everything)
        )
    given = next((one for one in opinions if one.is_rating and one.low is not None), None)
    if given is not None and (match := _SHARE.search(text)) and given.end <= match.start() + 1:
        word = match["share"].lower().replace("-", " ")
        value = float(word.rstrip(" %")) / 100 if "%" in word else _SHARES.get(word)
        if value is not None and given.low is not None and given.high is not None:
            good = sum(given.low <= event.rating <= given.high for event in history.events) / len(history.events)
            gap = abs(good - value)
            verdict = Verdict.SUPPORTED if gap <= 0.1 else Verdict.CONTRADICTED if gap > 0.2 else Verdict.NOT_CHECKABLE
            claim = Claim("share", ALL, match.group(), value=value)
            found.append(Judged(claim, verdict, f"{good:.0%} of the ratings", history.everything))
    return found
