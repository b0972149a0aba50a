"""Free text taken apart: sentences, items of lists, headings, and the numbers that a sentence cites."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from trackrec.checks.sentiment import Opinion, find_opinions

CITATION = re.compile(
    r"(?<!\d)\s?[\[(［【](?P<numbers>\s*#?\d{1,4}(?:\s*(?:[,;、，]|and|und|et|y|–|-)\s*#?\d{1,4})*\s*)[\])］】]"
)
"""Numbers in brackets. In parentheses only several of them are citations: "(5)" is a rating."""
_RANGE = re.compile(r"(\d{1,4})\s*[–-]\s*(\d{1,4})")
_LONGEST_RANGE = 60
_END = re.compile(
    r"(?<=[.!?])(?:[\"'’”)\]*_]*)\s+(?=[\"'‘“(\[*_]*[^\W_a-z])|(?<=[.!?][\])\"”*_])\s+(?=[\"'‘“(\[*_]*[^\W_a-z])|(?<=[。！？।؟])\s*|\s*\n+\s*"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|vs|No|Jr|Sr|Prof|Vol|e\.g|i\.e|etc)|\b[A-Z]|(?:^|\n)\W{0,6}\d{1,2})\.$"
)
_BULLET = re.compile(r"^\s*(?:(?:[-*•–+]|\(?\d{1,2}[.)])\s+)")
_HEADING = re.compile(r"^\s*#{1,6}\s|^\W*$")
_LABEL = re.compile(
    r"^\s*(?:\*\*|__)(?P<bold>[^*_\n]{1,90}?)(?:\*\*|__)\s*:?\s*|^\s*(?P<plain>[^\W\d][^:.!?\n\[]{0,60}?)\s*:\s+(?=\S)",
    re.UNICODE,
)
_ENUMERATED = re.compile(r"(?:^|(?<=[\s:;,.]))\(?(\d{1,2})[.)]\s+(?=\S)")
_LABEL_LIKED = re.compile(
    r"\b(?:likes?|liked|loves?|loved|favou?rites?|favou?red|prefer(?:s|red|ences?)|enjoys?|enjoyed|top[- ]rated|highest|best|high(?:ly)?[- ]rated|appreciates?|drawn to|strengths|what works|interests)\b",
    re.IGNORECASE,
)
_LABEL_DISLIKED = re.compile(
    r"\b(?:dislikes?|disliked|avoids?|avoided|hates?|hated|least|low(?:est|er)?|worst|weak|not (?:like|enjoy|liked)|aversions?|does not work|doesn['’]t work|turn-?offs?|rejects?|poorly)\b",
    re.IGNORECASE,
)
_OPEN = re.compile(r"(?:^|\s)['\"“‘][^'\"”’]*$")
"""The colon stands in a title: "films like 'Mission"."""
_NO_LABEL = re.compile(
    r"\b(?:they|he|she|user|viewer|reader|person|customer|is|are|was|were|rated|gave|has|have)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class TextSentence:
    """A sentence, an item of a list, or a heading."""

    text: str
    """As it stands in the RecCoT, the citations included."""
    body: str
    """What is left to read: without bullets, labels and citations."""
    cited: tuple[int, ...] = ()
    """The numbers it cites, as they stand there: 1 is the oldest event."""
    lead: Opinion | None = None
    """What the label or the heading above it says of all it names: "Dislikes:"."""
    is_heading: bool = False


def cited_numbers(text: str) -> tuple[int, ...]:
    """The event numbers that a text cites, each once, in their order of appearance.

    >>> cited_numbers("They love dry comedies [3, 11]; little patience for romance [8].")
    (3, 11, 8)
    """
    found: list[int] = []
    for match in CITATION.finditer(text):
        if _is_citation(match):
            told = match["numbers"]
            for low, high in _RANGE.findall(told):
                if 0 < int(high) - int(low) <= _LONGEST_RANGE:
                    found.extend(range(int(low), int(high) + 1))
            found.extend(int(number) for number in re.findall(r"\d+", told))
    return tuple(dict.fromkeys(found))


def without_citations(text: str) -> str:
    """A text as it is shown to people: the event numbers are left out.

    >>> without_citations("They love dry comedies [3, 11]; little patience for romance [8].")
    'They love dry comedies; little patience for romance.'
    """
    return CITATION.sub(lambda match: "" if _is_citation(match) else match.group(), text)


def _is_citation(match: re.Match[str]) -> bool:
    opens = match.group().lstrip()[0]
    return opens != "(" or len(re.findall(r"\d+", match["numbers"])) > 2


def split_free_text(text: str, titles: Iterable[tuple[int, int]] = ()) -> list[TextSentence]:
    """The sentences of a RecCoT, in order.

    A heading passes what it says ("They dislike:") on to the items of the list below it.

    Args:
        text: plain prose or markdown, in any language.
        titles: start and end of the titles in it, in which no sentence ends ("Mr. Wrong").
    """
    inside = list(titles)
    found: list[TextSentence] = []
    above: Opinion | None = None
    for start, end, in_list in _spans(text, inside):
        piece = text[start:end].strip()
        if not re.search(r"\w", piece):
            continue
        titles_here = [text[low:high] for low, high in inside if start <= low < high <= end]
        told = _told(piece, above if in_list else None, titles_here)
        if told.is_heading:
            above = told.lead
        elif not in_list:
            above = None
        found.append(told)
    return found


def _spans(text: str, inside: list[tuple[int, int]]) -> Iterable[tuple[int, int, bool]]:
    """Start and end of each piece, and whether it is an item of a list."""
    cuts = [(m.start(), m.end()) for m in _END.finditer(text) if not _within(m, text, inside)]
    numbered = _enumerators(text)
    cuts = [cut for cut in cuts if not any(low <= cut[0] <= high for low, high in numbered)]
    cuts += [(low, low) for low, _ in numbered]
    start, ended, listed = 0, 0, False
    for low, high in [*sorted(cuts), (len(text), len(text))]:
        if low < start:
            continue
        if text[start:low].strip():
            goes_on = listed and "\n" not in text[ended:start]  # the second sentence of an item
            listed = _BULLET.match(text[start:low]) is not None or goes_on
            yield start, low, listed
            ended = low
        start = high


def _within(match: re.Match[str], text: str, inside: list[tuple[int, int]]) -> bool:
    if "\n" in match.group():
        return False
    before = text[: match.start()].rstrip("\"'’”)]*_")
    in_title = any(low < match.start() < high for low, high in inside)
    return in_title or _ABBREVIATION.search(before) is not None


def _enumerators(text: str) -> list[tuple[int, int]]:
    """The numbers of "1. ... 2. ...", which may stand in one line: start and end of each."""
    starts: list[tuple[int, int]] = []
    for match in _ENUMERATED.finditer(text):
        if int(match.group(1)) == len(starts) + 1:
            starts.append((match.start(), match.start(1) + len(match.group().strip())))
    return starts if len(starts) > 1 else []


def _told(piece: str, above: Opinion | None, titles: Iterable[str]) -> TextSentence:
    bare = _BULLET.sub("", piece)
    cited, body = cited_numbers(bare), without_citations(bare)
    if _HEADING.match(piece):
        return TextSentence(piece, "", cited, _lead(body), is_heading=True)
    label = _LABEL.match(body)
    if label and label["plain"] and not _is_label(label["plain"], titles):
        label = None
    if label:
        rest = body[label.end() :].lstrip(" :-–")
        lead = _lead(label["bold"] or label["plain"])
        if not re.search(r"\w", rest):
            return TextSentence(piece, "", cited, lead, is_heading=True)
        return TextSentence(piece, rest, cited, lead or above)
    if body.rstrip().endswith(":"):
        return TextSentence(piece, "", cited, _lead(body), is_heading=True)
    return TextSentence(piece, body.strip(), cited, above)


def _is_label(words: str, titles: Iterable[str]) -> bool:
    """Whether words before a colon say what follows, and the colon is not one of a title."""
    if _NO_LABEL.search(words) or _OPEN.search(words) or not _lead(words):
        return False
    return not any(":" in title and words.rstrip().endswith(title.partition(":")[0].strip()) for title in titles)


def _lead(label: str) -> Opinion | None:
    """What a label says: a sign, or stars."""
    given = [opinion for opinion in find_opinions(label) if opinion.is_rating]
    disliked, liked = _LABEL_DISLIKED.search(label), _LABEL_LIKED.search(label)
    if disliked or liked:
        sign = -1 if disliked else 1
        low, high = (given[0].low, given[0].high) if given else (None, None)
        return Opinion(-1, 0, sign, "after", low=low, high=high)  # type: ignore[arg-type]
    return Opinion(-1, 0, given[0].sign, "after", low=given[0].low, high=given[0].high) if given else None
