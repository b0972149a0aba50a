"""A sentence cut into the pieces that claims are read from: cues, names, kinds, years, counts, shares."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from trackrec.checks import cue_patterns as say
from trackrec.checks.cue_patterns import Cue
from trackrec.checks.subjects import ALL, HIDDEN, HiddenText, Subject, find_subjects
from trackrec.checks.vocabulary import Mention, Vocabulary
from trackrec.users.counts import FAME, LEVELS

# fmt: off
SpanKind = Literal[
    "cue", "subject", "count", "share", "number", "rating", "year", "over", "against", "beats", "split", "negation",
    "even", "average", "mostly", "generosity", "mixed", "fame",
]
# fmt: on
_NOT_LIKED = re.compile(r"dislik|not liked|unliked|not enjoyed|rejected", re.I)
_FEW_WORDS = 4
"""Of a shorter sentence a word that was not read counts as if it were so long."""
_OF_MANY = re.compile(r"\b(?:is|are|was|were|been|be|being|have|has|had|get|got)\s+$", re.I)
_FOLLOWS = re.compile(r"\s*(?:of )?(?:the |their |his |her |these |those |all )*")


@dataclass(frozen=True)
class Span:
    """One piece of a sentence."""

    kind: SpanKind
    start: int
    end: int
    value: Any = None
    is_rated: bool = False
    """Of items in general: it says that the rated ones are meant."""
    leads: bool = False
    """It stands before what it belongs to."""
    inside: bool = False
    """It stands in parentheses."""
    near: bool = False
    """Nothing but a small word stands between it and the piece before."""


class Amount(NamedTuple):
    """A share or a rating, how far off it may be, and whether it is a bound."""

    value: float
    tolerance: float
    bound: Literal["", "least", "most"] = ""


def find_spans(
    text: str, low: int, high: int, mentions: list[Mention], vocabulary: Vocabulary, seen: list[Any]
) -> tuple[list[Span], float]:
    """The pieces of ``text[low:high]``, in order, and the share of its words that they account for."""
    sentence = HiddenText(text, low, high)
    for mention in mentions:
        sentence.hide(mention.start, mention.end)
    own = vocabulary.domain_patterns
    pieces = [_level_piece(match) for match in sentence.take(say.GENEROSITY)]
    pieces += [Span("mixed", *match.span()) for match in sentence.take(own.mixed)]
    pieces += [_fame_piece(match) for match in sentence.take(own.fame)]
    pieces += [Span("mixed", *match.span()) for match in sentence.take(say.MIXED)]
    pieces += [_fame_piece(match) for match in sentence.take(say.FAME)]
    own_cue = Cue(1, often=True, before=own.before)
    pieces += [Span("cue", *match.span(), own_cue) for match in sentence.take(own.often)]
    pieces += [Span("even", *match.span(), match.group("side")) for match in sentence.take(say.NO_OUTLIER)]
    pieces += [_share_piece(match, text) for name in (say.HEDGED, say.OF_EVERY) for match in sentence.take(name)]
    for match in sentence.take(say.COUNT):
        pieces.append(_count_piece(match, text, high))
        sentence.hide(*_aside(sentence, match))
    pieces += [_share_piece(match, text) for match in sentence.take(say.SHARE)]
    years = [
        (match.start(), match.end(), kind, _span_of(kind, match))
        for kind, pattern in say.YEARS
        for match in sentence.take(pattern)
    ]
    pieces += [Span("against", *match.span()) for match in sentence.take(say.AGAINST)]
    pieces += [Span("beats", *match.span()) for match in sentence.take(say.BEATS)]
    rated = [Span("subject", *match.span(), ALL, is_rated=True) for match in sentence.take(say.WHAT_WAS_RATED)]
    pieces += [_cue_piece(match, sentence) for match in sentence.take(say.CUES)]
    pieces += [
        Span("share", *m.span(), _share_word(m.group().lower()), leads=True)
        for m in _before_items(sentence, vocabulary)
    ]
    pieces += [Span("average", *match.span()) for match in sentence.take(say.AVERAGE)]
    pieces += [Span("mostly", *match.span()) for match in sentence.take(say.MOSTLY)]
    pieces += [Span("over", *match.span(), "less") for match in sentence.take(say.OVER_LESS)]
    pieces += [Span("over", *match.span(), "more") for match in sentence.take(say.OVER)]
    pieces += [Span("split", *match.span()) for match in sentence.take(say.SPLIT)]
    pieces += [Span("negation", *match.span()) for match in sentence.take(say.NEGATION)]
    verbs = {piece.start for piece in pieces if piece.kind == "cue" and piece.value.before}
    subjects = [
        Span("subject" if isinstance(found.value, Subject) else "year", *found)
        for found in find_subjects(sentence, mentions, years, vocabulary, seen, verbs)
    ]
    pieces += subjects + rated
    pieces += _numbers(sentence, subjects)
    whole, left = (_telling(it, vocabulary) for it in (text[low:high], sentence.rest[low:high]))
    return sorted(pieces, key=lambda piece: (piece.start, piece.end)), 1 - left / max(_FEW_WORDS, whole)


def _telling(text: str, vocabulary: Vocabulary) -> int:
    """How many words of a text say something."""
    words = re.findall(r"[^\W\d_" + HIDDEN + r"]+(?:['’]\w+)?", text)
    return sum(word.lower() not in say.EMPTY and not vocabulary.is_noun(word) for word in words)


def _level_piece(match: re.Match[str]) -> Span:
    """The levels that the words fit: one, or none if kind and meaning do not go together."""
    words = [match.group(name) for name in ("kind", "meaning", "alone")]
    said = {word.lower() for word in words if word}
    return Span("generosity", *match.span(), tuple(i for i, level in enumerate(LEVELS) if said <= set(level)))


def _fame_piece(match: re.Match[str]) -> Span:
    """The levels that the words fit; "mostly" in other words than ours fits both levels of its side."""
    if level := match.group("level"):
        return Span("fame", *match.span(), (FAME.index(level.lower()),))
    little = match.group("kind").lower() in ("little-known", "obscure", "unknown")
    return Span("fame", *match.span(), (0, 1) if little else (3, 4))


def _cue_piece(match: re.Match[str], sentence: HiddenText) -> Span:
    """A cue; with "it" behind, it speaks of what came before."""
    cue = say.cue_of(match)
    turned = say.IT.match(sentence.rest, match.end()) or say.WHICH.search(sentence.text[: match.start()])
    if turned and not cue.seen:
        cue = replace(cue, before=True)
    return Span("cue", *match.span(), cue)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else say.NUMBER_WORDS[text.lower()]


def _count_piece(match: re.Match[str], text: str, high: int) -> Span:
    parts = [match.group(name) for name in ("a", "b", "x", "y", "x2", "y2") if match.group(name)]
    first, rated = _number(parts[0]), _number(parts[1])
    liked = rated if first < 0 else first
    inside = _in_parentheses(text, match.start())
    near = text[match.end() : min(high, match.end() + 22)].partition(")")[0]
    if _NOT_LIKED.search(near):
        liked = rated - liked
    after = text[match.end() : high].lstrip()[:1]
    return Span(
        "count",
        *match.span(),
        (liked, rated),
        leads=not inside and after.isalpha() and not near.lstrip().startswith(("liked", "rated", "disliked", "of ")),
        inside=inside,
    )


def _aside(sentence: HiddenText, match: re.Match[str]) -> tuple[int, int]:
    """What belongs to a count: the rest of its parentheses, or a "liked" behind it."""
    text = sentence.rest[: sentence.high]
    if _in_parentheses(sentence.text, match.start()):
        found = re.compile(r"[^();]*?(?=\)|,? (?:and )?\(?\d+ of|$)").match(text, match.end())
    else:
        found = re.compile(
            r"(?: (?:were|was|being|got))?(?: (?:liked|rated|enjoyed|disliked|loved|not liked)\b)?"
        ).match(text, match.end())
    return match.end(), found.end() if found else match.end()


def _in_parentheses(text: str, place: int) -> bool:
    return text.count("(", 0, place + 1) > text.count(")", 0, place)


def _share_piece(match: re.Match[str], text: str) -> Span:
    hedge = (match.group("hedge") or "").strip().lower()
    if match.group("percent"):
        value = float(match.group("percent")) / 100
        step = 0.1 if value * 10 == int(value * 10) else 0.05 if value * 20 == int(value * 20) else 0.01
    elif match.group("tenths"):
        base = {"ten": 10, "five": 5, "four": 4, "three": 3, "a hundred": 100}.get(match.group("base").lower())
        base = base or int(match.group("base"))
        value, step = _number(match.group("tenths")) / base, 1 / base
    else:
        words = match.group("fraction").lower().replace("-", " ").split()
        value = {"half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4, "fifth": 1 / 5}[words[-1].removesuffix("s")]
        value *= {"two": 2, "three": 3}.get(words[0], 1)
        step = 0.2
    bound: Literal["", "least", "most"] = ""
    if hedge.startswith(("over", "more than", "just over")):
        bound = "least"
    elif hedge.startswith(("under", "less than", "just under")):
        bound = "most"
    tolerance = max(step / 2, 0.1) if hedge and not bound else step / 2
    return Span(
        "share",
        *match.span(),
        Amount(value, 0.0 if bound else tolerance, bound),
        inside=_in_parentheses(text, match.start()),
    )


def _share_word(word: str) -> Amount:
    if word in ("all", "every", "everything"):
        return Amount(1.0, 0.0)
    if word in ("none", "no", "nothing"):
        return Amount(0.0, 0.0)
    if word in ("most", "the majority"):
        return Amount(0.5 + 1e-6, 0.0, "least")
    if word in ("few", "a minority"):
        return Amount(0.35, 0.0, "most")
    return Amount(0.85, 0.0, "least") if word in ("nearly all", "almost all") else Amount(0.15, 0.0, "most")


def _before_items(sentence: HiddenText, vocabulary: Vocabulary) -> list[re.Match[str]]:
    """Words such as "all" and "most" that stand right before items: elsewhere they say nothing."""
    found = []
    for match in say.SHARE_WORDS.finditer(sentence.rest, sentence.low):
        after = _FOLLOWS.match(sentence.rest, match.end())
        place = after.end() if after else match.end()
        word = re.match(r"[\w'’]+", sentence.rest[place:])
        whole = match.group().lower() in ("everything", "nothing")
        if _OF_MANY.search(sentence.rest[sentence.low : match.start()]):
            continue  # "A, B and C were all loved" says nothing of everything
        if whole or (word and (word.group().startswith(HIDDEN) or vocabulary.is_noun(word.group()))):
            found.append(match)
            sentence.hide(*match.span())
    return found


def _span_of(kind: str, match: re.Match[str]) -> tuple[int | None, int | None]:
    parts = {name: value for name, value in match.groupdict().items() if value}
    if kind == "decade":
        if "name" in parts:
            first = say.DECADES[parts["name"].lower()]
        else:
            first = int(parts["decade"])
            first += 1900 if first < 100 else 0
        part = parts.get("part", "").strip().lower()
        return {"early": (first, first + 4), "late": (first + 5, first + 9)}.get(part, (first, first + 9))
    low, high = (int(parts[name]) if name in parts else None for name in ("low", "high"))
    if kind == "before":
        return None, (high or 0) - 1
    if kind == "after":
        return (low or 0) + 1, None
    later = re.search(r"on(?:wards?)?$|later$|after$|^since|^starting", match.group(), re.I)
    return (low, None) if kind == "from" and later else (low, high or low)


def _numbers(sentence: HiddenText, subjects: list[Span]) -> list[Span]:
    """Ratings, and numbers right before items."""
    found = []
    starts = {piece.start for piece in subjects}
    for match in re.finditer(rf"(?<![\d.(:])\b{say.NUMBER}\b(?![.:]\d)(?= )", sentence.rest[: sentence.high], re.I):
        if match.start() >= sentence.low and match.end() + 1 in starts:
            found.append(Span("number", *match.span(), _number(match.group()), leads=True))
            sentence.hide(*match.span())
    for match in re.finditer(
        rf"(?:(?<={HIDDEN} )|(?<=, ))\b{say.NUMBER}\b(?=[.,;)]| of them|$| {HIDDEN})",
        sentence.rest[: sentence.high],
        re.I,
    ):
        if (
            match.start() >= sentence.low
            and match.start() - 1 not in {piece.end for piece in subjects}
            and match.end() + 1 not in starts
        ):
            found.append(Span("number", *match.span(), _number(match.group())))
            sentence.hide(*match.span())
    ends = {piece.end for piece in subjects if isinstance(piece.value, Subject) and piece.value.kind == "title"}
    for match in sentence.take(say.RATING):
        text = match.group("value")
        value = float(text) if text[0].isdigit() else float(_number(text))
        step = 10.0 ** -len(text.partition(".")[2]) if text[0].isdigit() else 1.0
        before = sentence.rest[sentence.low : match.start()]
        small = re.search(
            r"(?:\s|[:,(]|\b(?:as|got|gets|received|earned|was given|has|was rated|with|at|an?)\b)*$",
            before,
        )
        near = small is not None and sentence.low + small.start() in ends
        to = re.match(r"(?:[- ]stars?)? to ", sentence.text[match.end() : match.end() + 10])
        line = to is not None or (
            re.search(r"(?:^|\n)\s*$", before) is not None and sentence.rest[match.end() : match.end() + 2] == ": "
        )
        found.append(
            Span(
                "rating",
                *match.span(),
                Amount(value, 0.25 if match.group("hedge") else step / 2),
                near=near,
                leads=line,
            )
        )
    return found
