"""The titles that free text names: whole, shortened, misspelt or in quotation marks, and those that nobody has seen."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from trackrec.checks.vocabulary import Key, Vocabulary, key_of, words_of
from trackrec.users.catalogue import make_item

_QUOTED = re.compile(
    r"[\"“](?P<a>[^\"“”\n]{2,90})[\"”]|(?<![\w*])\*{1,2}(?P<b>[^*\n]{2,90}?)\*{1,2}(?![\w*])|(?<![\w_])_(?P<c>[^_\n]{2,90}?)_(?![\w_])|[«„](?P<d>[^«»„“\n]{2,90})[»“]|[‘](?P<e>[^‘’\n]{2,90})[’](?!\w)"
    r"|(?<![\w'])'(?P<f>[A-Z0-9¿¡](?:[^'\n]|'(?=\w)){1,90}?),?'(?!\w)"
)
_DATED = re.compile(r" \(((?:18|19|20)\d\d)\)")
"""The year behind a title: what it stands behind is no series, and nobody's name."""
_CAPITALS = re.compile(
    r"(?:[A-Z0-9][\w'’.&-]*)(?:(?:,? (?:of|the|a|an|in|on|to|for|with|and|de|la|le|from|at|der|das|die|du|&|vs\.?)){0,2}[ :/-]{1,2}[A-Z0-9][\w'’.&-]*)*"
)
_SMALL = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "in",
        "on",
        "to",
        "for",
        "with",
        "and",
        "or",
        "de",
        "la",
        "le",
        "from",
        "at",
        "by",
        "is",
        "it",
        "i",
        "you",
        "my",
        "me",
        "this",
        "that",
        "these",
        "those",
        "they",
        "their",
        "them",
        "he",
        "she",
        "his",
        "her",
        "its",
        "as",
        "both",
        "two",
        "three",
        "one",
        "part",
        "book",
        "volume",
        "vol",
        "series",
        "no",
        "not",
        "new",
        "old",
        "first",
        "last",
    ]
)
_BY = re.compile(
    r"\b(?:by|with|starring|featuring|director|directors|author|authors|actor|actors|actress|actresses|writer|writers|artist|artists|band|bands|star|stars)(?: (?:like|such as|including))?(?: [A-Z][\w'’.-]*,?)*(?: and| or|,)?\s*$"
)
_SERIES = re.compile(
    r"\s*(?:series|saga|trilogy|franchise|books|films|movies|novels|sequels|cycle|stories|universe|world|collection)\b",
    re.IGNORECASE,
)
SHORTEST_WORD = 5
"""Letters of a word that stands for a whole title, such as "Hunchback"."""


@dataclass(frozen=True)
class Name:
    """A title in a text."""

    start: int
    end: int
    text: str
    items: frozenset[Any] = frozenset()
    """The items of the history that it means; none if the history has nothing of that name."""
    is_quoted: bool = False
    is_whole: bool = True
    """Not a part of a title that stands for it."""
    is_surely_missing: bool = False
    """It cannot be anything but the title of something that the history does not have."""


class OwnTitles:
    """The titles of a history, and every run of words in them by which one can be meant."""

    def __init__(self, vocabulary: Vocabulary, seen: Sequence[Any]) -> None:
        self.vocabulary, self.seen = vocabulary, list(dict.fromkeys(seen))
        self.parts: dict[Key, set[Any]] = defaultdict(set)
        self.whole: dict[Key, set[Any]] = defaultdict(set)
        for item_id in self.seen:
            item = vocabulary.catalogue[item_id]
            for name in {item.title, item.short_title}:
                key = key_of(name)
                self.whole[key].add(item_id)
                for start in range(len(key)):
                    for end in range(start + 1, len(key) + 1):
                        self.parts[key[start:end]].add(item_id)

    def meant_by(self, name: str, among: frozenset[Any] | None = None) -> tuple[frozenset[Any], bool]:
        """The items that a name can mean, and whether it is their whole title.

        Args:
            name: as the text has it.
            among: the items that the sentence cites. Where they are known, a single word of a title is enough.
        """
        name = make_item(re.sub(r", L$", ", L'", name), None, None).title  # "Birdcage, The (1996)" is "The Birdcage"
        key = key_of(name)
        bare = key[1:] if len(key) > 1 and key[0] in {"the", "a", "an"} else key
        for one in (key, bare, ("the", *bare), ("a", *bare)):
            if items := self._of(self.whole, one, among):
                return items, True
        head, colon, tail = name.partition(":")
        for part in (head, tail) if colon else ():  # "Léon: The Professional"
            if len(key_of(part)) > 1 and (items := self._of(self.whole, key_of(part), among)):
                return items, True
        if not bare or all(word in _SMALL for word in bare) or (among is None and not self._can_be_short(bare)):
            return frozenset(), False
        if among is not None and len(bare) == 1 and len(bare[0]) < 4:
            return frozenset(), False
        if items := self._of(self.parts, bare, among):
            return items, False
        near = self.vocabulary.nearest_title(name, among if among is not None else self.seen)
        return (near.items, True) if near else (frozenset(), False)

    def may_be_meant(self, name: str, year: int) -> bool:
        """Whether a name with a year behind it may be an item of the history in other words, or is no name: the history
        has something of that year, and a telling word of it."""
        told = {key for key in key_of(name) if key not in _SMALL}
        known = [self.vocabulary.catalogue[item_id] for item_id in self.seen]
        return not told or any(abs((item.year or year) - year) <= 1 and told & {*key_of(item.title)} for item in known)

    def _of(self, names: dict[Key, set[Any]], key: Key, among: frozenset[Any] | None) -> frozenset[Any]:
        found = frozenset(names.get(key, ()))
        return found if among is None else found & among

    def _can_be_short(self, key: Key) -> bool:
        """Whether a part of a title is so much its own that it can stand for it."""
        if len(key) == 1:
            known = self.vocabulary.is_kind(key[0]) or self.vocabulary.is_noun(key[0])
            return len(key[0]) >= SHORTEST_WORD and not known and not key[0].isdigit()
        return sum(word not in _SMALL for word in key) >= 2 or len(key) > 2


def find_names(text: str, own: OwnTitles, cited: Iterable[Any] | None = None) -> list[Name]:
    """The titles in a sentence, in order, none overlapping another.

    Args:
        text: a sentence.
        own: the titles of the user's history.
        cited: items that the sentence cites, if it cites any.
    """
    found: list[Name] = []
    among = frozenset(cited) if cited is not None else None
    for match in _QUOTED.finditer(text):
        told = next(part for part in match.groups() if part)
        if name := _quoted(told, match, text, own, among):
            found.append(name)
    mentions = [one for one in own.vocabulary.find(text, own.seen) if one.kind == "title"]
    for mention in mentions:
        if not _overlaps(found, mention.start, mention.end):
            name = _mentioned(mention.start, mention.end, mention.items, text, own, among)
            found += [name] if name else []
    for match in _CAPITALS.finditer(text):
        for start, end in _trimmed(match, text):
            if not _overlaps(found, start, end) and (name := _short(start, end, text, own, among)):
                found.append(name)
                break
        else:
            found += [
                name for name in [_dated(match, text, own)] if name and not _overlaps(found, name.start, name.end)
            ]
    return sorted(found, key=lambda name: name.start)


def _dated(match: re.Match[str], text: str, own: OwnTitles) -> Name | None:
    """A name that nothing in the history is meant by, with a year behind it that makes it a title."""
    if (year := _DATED.match(text, match.end())) is None:
        return None
    start, end = _trimmed(match, text)[-1]
    if end != match.end() or all(word.key in _SMALL for word in words_of(text[start:end])):
        start, end = match.span()
    told = text[start:end]
    return None if own.may_be_meant(told, int(year[1])) else Name(start, end, told, is_surely_missing=True)


def _overlaps(names: list[Name], start: int, end: int) -> bool:
    return any(name.start < end and start < name.end for name in names)


def _quoted(told: str, match: re.Match[str], text: str, own: OwnTitles, among: frozenset[Any] | None) -> Name | None:
    clean = told.strip(" ,.;:!?")
    items, whole = own.meant_by(clean, among)
    if not items and among is not None:
        items, whole = own.meant_by(clean)
    if items:
        return Name(*match.span(), clean, items, True, whole)
    words = words_of(clean)
    capital = sum(word.is_capital for word in words) >= max(1, len([w for w in words if w.key not in _SMALL]))
    if not capital or len(words) > 12 or own.vocabulary.is_kind(clean) or _SERIES.match(text, match.end()):
        return None
    return Name(*match.span(), clean, is_quoted=True, is_surely_missing=text[match.start()] not in "*_")


def _mentioned(
    start: int, end: int, ids: frozenset[Any], text: str, own: OwnTitles, among: frozenset[Any] | None
) -> Name | None:
    told = text[start:end]
    mine = frozenset(own.seen) & ids
    if among is not None and mine & among:
        mine &= among
    if mine:
        words = words_of(told)
        if len(words) == 1 and _is_part_of_a_name(start, end, text):
            return None
        return Name(start, end, told, mine)
    items, whole = own.meant_by(told, among)
    if items:
        return Name(start, end, told, items, False, whole)
    words = [word for word in words_of(told) if word.key not in _SMALL]
    telling = [word for word in words if not own.vocabulary.is_kind(word.key) and not own.vocabulary.is_noun(word.key)]
    sure = len(words) > 1 and all(word.is_capital for word in words) and bool(telling)
    if year := _DATED.match(text, end):
        sure = bool(telling) and not own.may_be_meant(told, int(year[1]))
    if _BY.search(text[:start]) or _SERIES.match(text, end) or not sure or _is_part_of_a_name(start, end, text):
        return None
    return Name(start, end, told, is_surely_missing=True)


def _is_part_of_a_name(start: int, end: int, text: str) -> bool:
    """Whether capitals go on before or behind a word: "Contact" in "Early Contact Lenses"."""
    before = re.search(r"(?<![.!?:*\"“(])\s([A-Z][\w-]*) $", text[:start])
    after = re.match(r" (?:[A-Z][a-z]+|\d+\b(?! (?:stars?|out|of|times)))", text[end:])
    return bool(before and not before.group(1).endswith("s")) or after is not None


def _trimmed(match: re.Match[str], text: str) -> list[tuple[int, int]]:
    """Where a name in capitals can start and end: whole, or without what leads it ("Disney's", "And")."""
    spans = [match.span()]
    told = match.group()
    lead = re.match(
        r"(?:\d{1,2}[:.)]|[\w.-]+['’]s?|The|A|An|And|But|They|While|Although|In|For|From|With|Their|Films|Movies|Books|Both|Neither|Loves?|Likes?) ",
        told,
    )
    if lead:
        spans.append((match.start() + lead.end(), match.end()))
    for joint in re.finditer(r",? and (?:the )?|, ", told):
        spans += [(match.start(), match.start() + joint.start()), (match.start() + joint.end(), match.end())]
    return [(start, end - len(text[start:end]) + len(text[start:end].rstrip(" .,:;'’-"))) for start, end in spans]


def _short(start: int, end: int, text: str, own: OwnTitles, among: frozenset[Any] | None) -> Name | None:
    told = text[start:end]
    opens = not text[:start].strip(" \"'“(*_-")
    items, whole = own.meant_by(told, among)
    if not items or (opens and len(words_of(told)) == 1 and not whole and among is None):
        return None
    if not whole and among is None and (_BY.search(text[:start]) or re.search(r"['’]s?$", told)):
        return None
    return Name(start, end, told, items, False, whole)
