"""What a sentence speaks of: titles, kinds of items, years, and names that nobody knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from trackrec.checks import cue_patterns as say
from trackrec.checks.vocabulary import Mention, Vocabulary

Years = tuple[int, int, str, tuple[int | None, int | None]]
"""Years in a text: where they start and end, how they are put, first and last year."""
Part = tuple[int, int, str, Any]
HIDDEN = "Ξ"
"""Stands in for what has been read; a letter, so that words still end where they did."""
_NAME = re.compile(
    r"[A-Z][\w'’.%&-]*(?:,? (?:(?:of|the|a|an|in|on|to|for|with|and the|de|la|le|from|at) ){0,2}[A-Z0-9][\w'’.%&:-]*)*"
)
_NO_NAME = frozenset(
    [
        "they",
        "the",
        "this",
        "these",
        "those",
        "he",
        "she",
        "it",
        "i",
        "a",
        "an",
        "in",
        "but",
        "and",
        "or",
        "most",
        "their",
        "his",
        "her",
        "viewer",
        "user",
        "reader",
        "customer",
        "person",
        "viewers",
        "users",
        "also",
        "other",
        "films",
        "movies",
        "three",
        "currently",
        "rated",
        "overall",
        "however",
        "liked",
        "ids",
        "both",
        "no",
        "not",
        "she's",
        "more",
        "less",
    ]
)
_PLAIN_WORDS = frozenset(
    [
        "the",
        "of",
        "their",
        "his",
        "her",
        "its",
        "these",
        "those",
        "all",
        "other",
        "some",
        "any",
        "many",
        "for",
        "in",
        "from",
        "with",
        "to",
        "and",
        "rated",
        "watched",
        "seen",
        "on",
        "as",
        "or",
        "by",
        "such",
        "most",
        "more",
        "that",
        "which",
        "they",
        "those",
        "both",
        "new",
        "several",
        "read",
        "bought",
        "like",
        "about",
        "a",
        "an",
        "every",
        "no",
        "last",
        "first",
        "own",
        "liked",
        "rate",
        "rates",
        "watch",
        "watches",
        "see",
        "sees",
        "buy",
        "buys",
        "reads",
    ]
)
_CONTRAST = frozenset(
    ["newer", "older", "other", "others", "later", "earlier", "recent", "modern", "rest", "average", "elder", "younger"]
)
_RATED = re.compile(
    r"\s*(?:that |which )?(?:they |he |she )?(?:have |has |had )?(?:been )?(?:rated|watched|seen|read|bought)\b", re.I
)


@dataclass(frozen=True)
class Subject:
    """What a claim is about; the parts narrow it down together ("crime dramas from before 1980")."""

    kind: Literal["title", "group", "all", "unknown"]
    """``group``: the items with all ``attributes``, from the years; ``unknown``: neither tables nor wording know it."""
    name: str
    items: frozenset[Any] = frozenset()
    """Of a title: the ids of the items called so; none if it is invented."""
    attributes: tuple[str, ...] = ()
    low: int | None = None
    """First year."""
    high: int | None = None
    """Last year."""
    invented: bool = False
    """A name that no item has, or a kind that no attribute value names."""


ALL = Subject("all", "everything rated")


class HiddenText:
    """A sentence's text from which what has been read is hidden."""

    def __init__(self, text: str, low: int, high: int) -> None:
        self.text, self.low, self.high = text, low, high
        self.rest = " " * low + text[low:high]

    def hide(self, start: int, end: int) -> None:
        self.rest = self.rest[:start] + HIDDEN * (min(end, self.high) - start) + self.rest[end:]

    def take(self, pattern: re.Pattern[str]) -> list[re.Match[str]]:
        found = [match for match in pattern.finditer(self.rest, self.low) if HIDDEN not in match.group()]
        for match in found:
            self.hide(*match.span())
        return found


LONGEST_NAME = 10
"""More capitalised words than this are no title."""


class SubjectSpan(NamedTuple):
    """A subject, or the year in parentheses behind a title, and where it stands."""

    start: int
    end: int
    value: Any
    is_rated: bool = False
    """Of items in general: it says that the rated ones are meant."""


def find_subjects(
    sentence: HiddenText,
    mentions: list[Mention],
    years: list[Years],
    vocabulary: Vocabulary,
    seen: list[Any],
    verbs: set[int],
) -> list[SubjectSpan]:
    """The subjects of a sentence, in order; what has been read otherwise is hidden in ``sentence``.

    ``verbs``: where cues start that speak of the name before them.
    """
    return _Finder(sentence, mentions, years, vocabulary, seen, verbs).found()


class _Finder:
    """Puts names, kinds, nouns and years that belong together into one subject each."""

    def __init__(
        self,
        sentence: HiddenText,
        mentions: list[Mention],
        years: list[Years],
        vocabulary: Vocabulary,
        seen: list[Any],
        verbs: set[int],
    ) -> None:
        self.sentence, self.vocabulary, self.seen, self.verbs = sentence, vocabulary, seen, verbs
        self.parts: list[Part] = [(m.start, m.end, m.kind, m) for m in mentions]
        self.parts += [(start, end, "years", (kind, span)) for start, end, kind, span in years]
        self.parts += [(*match.span(), "name", match.group()) for match in self._names()]
        self.parts += [(*match.span(), "noun", match.group()) for match in self._nouns()]
        self.parts.sort(key=lambda part: part[:2])

    def _names(self) -> list[re.Match[str]]:
        """Capitalised words that nothing has accounted for, but for the ones that begin a sentence."""
        found = []
        for match in _NAME.finditer(self.sentence.rest, self.sentence.low):
            words = match.group().split()
            bare = [word.strip(".,'’").lower() for word in words]
            plain = all(word in _NO_NAME or word in _CONTRAST or self.vocabulary.is_noun(word) for word in bare)
            opens = match.end() + 1 not in self.verbs and not self.sentence.rest[
                self.sentence.low : match.start()
            ].strip(" \"'(")
            describes = self._describes(match.end()) or len(words) > LONGEST_NAME
            if (
                not plain
                and not opens
                and not describes
                and not say.BY_PERSON.search(self.sentence.rest[: match.start()])
            ):
                found.append(match)
                self.sentence.hide(*match.span())
        return found

    def _describes(self, end: int) -> bool:
        """Whether a name only describes a title that follows it: "Pulitzer Prize winner Beloved"."""
        titles = {part[0] for part in self.parts if part[2] == "title"}
        found = re.compile(r"(?:['’]s)?(?: (?!(?:and|or|but|nor)\b)[a-z][\w-]*){0,2} ").match(self.sentence.text, end)
        return found is not None and found.end() in titles

    def _nouns(self) -> list[re.Match[str]]:
        words = re.finditer(r"[^\W\d_]+", self.sentence.rest[: self.sentence.high])
        return [word for word in words if word.start() >= self.sentence.low and self.vocabulary.is_noun(word.group())]

    def found(self) -> list[SubjectSpan]:
        pieces: list[SubjectSpan] = []
        place = 0
        while place < len(self.parts):
            group = [self.parts[place]]
            while place + len(group) < len(self.parts) and self._belongs(group, self.parts[place + len(group)]):
                group.append(self.parts[place + len(group)])
            place += len(group)
            pieces += self._pieces(group)
        return pieces

    def _belongs(self, group: list[Part], part: Part) -> bool:
        last, kind = group[-1], part[2]
        gap = self.sentence.text[last[1] : part[0]]
        if last[2] in ("title", "stump") or (kind in ("title", "stump")):
            return False
        if kind == "name" or (last[2] == "name" and kind == "years" and part[3][0] != "paren"):
            return False
        if last[2] == "noun" and kind == "attribute" and gap in (" of the ", " in the ", " from the ", " that are "):
            return True
        joins = gap.strip(" -") == "" or (kind == "years" and gap.strip(" ,") in ("", "made", "released", "that are"))
        return joins and not (last[2] in ("noun", "years") and kind in ("attribute", "noun"))  # "90s" leads no kind

    def _pieces(self, group: list[Part]) -> list[SubjectSpan]:
        start, end = group[0][0], group[-1][1]
        first = group[0]
        if first[2] == "title":
            return [SubjectSpan(start, end, Subject("title", first[3].name, first[3].items))]
        if first[2] == "stump":
            return [SubjectSpan(start, end, Subject("unknown", first[3].name))]
        kinds = [part[2] for part in group]
        attributes = tuple(part[3].name for part in group if part[2] == "attribute")
        years = [part[3] for part in group if part[2] == "years"]
        if kinds == ["years"]:
            kind, (low, high) = years[0]
            if kind == "paren":
                return [SubjectSpan(start, end, low)]
            return [SubjectSpan(start, end, Subject("group", self._text(start, end), low=low, high=high))]
        if "name" in kinds and not attributes:
            return [self._named(group, start, end)]
        low, high = years[0][1] if years else (None, None)
        if not attributes and not years:
            return self._general(start, end)
        if not attributes and not (self._is_plain(before := self._word_before(start)) or before in _CONTRAST):
            return [SubjectSpan(start, end, Subject("unknown", self._text(start, end)))]
        return [SubjectSpan(start, end, Subject("group", self._text(start, end), frozenset(), attributes, low, high))]

    def _named(self, group: list[Part], start: int, end: int) -> SubjectSpan:
        """A name that neither titles nor attributes hold: a kind if a noun follows, else a title."""
        text = group[0][3].strip(" .,:'\"")
        if any(part[2] == "noun" and part[0] > group[0][0] for part in group):
            return SubjectSpan(start, end, Subject("unknown", self._text(start, end), invented=False))
        near = self.vocabulary.nearest_title(text, self.seen)
        items = near.items if near else frozenset()
        return SubjectSpan(start, end, Subject("title", text, items, invented=near is None))

    def _general(self, start: int, end: int) -> list[SubjectSpan]:
        """A noun for items in general: all of them, unless an unknown word narrows it down."""
        before = self._word_before(start)
        if before in _CONTRAST:
            return []
        is_rated = _RATED.match(self.sentence.text[: self.sentence.high], end) is not None
        if self._is_plain(before):
            return [SubjectSpan(start, end, ALL, is_rated=is_rated)]
        return [SubjectSpan(start, end, Subject("unknown", self._text(start, end)))]

    def _is_plain(self, word: str) -> bool:
        """Whether a word before a noun leaves open which items are meant."""
        hidden = word[:1] == HIDDEN.lower()
        return word in _PLAIN_WORDS or not word or hidden or word.isdigit() or word in say.NUMBER_WORDS

    def _word_before(self, start: int) -> str:
        found = re.search(r"([\w'’-]+)[^\w]*$", self.sentence.rest[self.sentence.low : start])
        return found.group(1).lower() if found else ""

    def _text(self, start: int, end: int) -> str:
        return self.sentence.text[start:end]
