"""What a RecCoT can name: the titles and attribute values of the items table, found in free text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import polars as pl
from rapidfuzz import fuzz, process

from trackrec.checks.domain_patterns import domain_patterns
from trackrec.prompts.domains import Domain
from trackrec.users.catalogue import Catalogue, Item
from trackrec.users.counts import ProfileSettings

Key = tuple[str, ...]
"""Words of a name in lower case, without punctuation."""

FUZZY_TITLE = 87.0
"""Least similarity (rapidfuzz ratio, 0 to 100) of a misspelt title with one of the history; its digits must agree."""
FUZZY_ATTRIBUTE = 90.0
"""Least similarity of a misspelt attribute value; only for words of six letters or more."""
SHORTEST_STUMP = 5
"""Fewest characters by which a title that the end of the text cut off is told."""

_WORD = re.compile(r"\w+(?:['’]\w+)*|&|\$")
_NOUNS = (
    *("film", "movie", "picture", "title", "book", "novel", "product", "item", "thing", "one", "show", "story"),
    *("read", "work", "game", "album", "song", "track", "article", "genre", "category", "subgenre", "fare", "flick"),
    "music",
)


@dataclass(frozen=True)
class Word:
    """A word of a text and where it stands."""

    text: str
    start: int
    end: int

    @property
    def key(self) -> str:
        """In lower case, without apostrophes."""
        return "and" if self.text == "&" else self.text.replace("'", "").replace("’", "").casefold()

    @property
    def is_capital(self) -> bool:
        """Whether it may begin a name: a capital, a digit, or a script without capitals."""
        return not self.text[0].islower()


def words_of(text: str) -> list[Word]:
    """The words of a text, in order."""
    return [Word(found.group(), *found.span()) for found in _WORD.finditer(text)]


@lru_cache(maxsize=65_536)
def key_of(text: str) -> Key:
    """A name as a key."""
    return tuple(word.key for word in words_of(text))


@dataclass(frozen=True)
class Mention:
    """A name found in a text: a title with its items, an attribute value, or a title's stump that fits several."""

    kind: Literal["title", "attribute", "stump"]
    start: int
    end: int
    name: str
    items: frozenset[Any] = frozenset()
    """Ids of the items that have this title."""


class _Names:
    """Looks for the longest known name at a place, in a time that does not grow with the number of names."""

    def __init__(self) -> None:
        self.by_key: dict[Key, set[Any]] = {}
        self._lengths: dict[str, set[int]] = defaultdict(set)

    def add(self, key: Key, meaning: Any) -> None:
        if key:
            self.by_key.setdefault(key, set()).add(meaning)
            self._lengths[key[0]].add(len(key))

    def longest(self, keys: Sequence[str]) -> Key:
        lengths = sorted(self._lengths.get(keys[0], ()), reverse=True)
        return next((key for length in lengths if (key := tuple(keys[:length])) in self.by_key), ())


class Vocabulary:
    """The names of a catalogue.

    Args:
        items: the items table: ``item_id``, ``title``, ``year``, ``genres``, the columns of ``attributes`` and, from
            knowledge cards, ``tags``.
        domain: its nouns.
        attributes: further columns whose values a text may name.
        profile: how much evidence the writer's claims needed, as in the recipe; None: the default.
        is_ours: whether the texts are this project's own: of its template, or of a generator tuned on that. All their
            words are known, so a name that nobody knows is an invented title, and no series, author or director.
    """

    def __init__(
        self,
        items: pl.DataFrame,
        domain: Domain,
        attributes: Sequence[str] = (),
        profile: ProfileSettings | None = None,
        is_ours: bool = False,
    ) -> None:
        self.is_ours = is_ours
        self.catalogue, self.profile = Catalogue(items, attributes), profile or ProfileSettings()
        self.domain_patterns = domain_patterns(domain)
        own = {form for noun in (domain.item, domain.items) for form in (noun, noun.split()[-1])}
        plural = {noun[:-1] + "ies" if noun.endswith("y") else noun + "s" for noun in _NOUNS}
        self.nouns = frozenset({word.casefold() for word in (*_NOUNS, *plural, *own)})
        """Words for items in general."""
        self._titles, self._values = _Names(), _Names()
        self._single: dict[str, str] = {}
        self._short: list[tuple[Key, str]] = []
        for item_id in items["item_id"].to_list():
            item = self.catalogue[item_id]
            for name in _title_forms(item):
                self._titles.add(name, item_id)
            for value in (*item.genres, *item.attributes):
                self._add_value(value)
        self._tags: set[str] = set()
        self._same: dict[str, set[str]] = defaultdict(set)
        for tag in sorted({tag for item_id in items["item_id"].to_list() for tag in self.catalogue[item_id].tags}):
            self._add_tag(tag)
        self._close: dict[str, str | None] = {}
        self._forms: dict[Any, list[Key]] = {}
        self._own: tuple[tuple[Any, ...], _Names] | None = None

    def _add_value(self, value: str) -> None:
        key = key_of(value)
        if not key or value in self._values.by_key.get(key, ()):
            return
        joined = "".join(key)
        forms = [key, (*key[:-1], _other_number(key[-1])), (joined,), (_other_number(joined),)]
        forms += [(part,) for part in key if len(key) == 2 and len(part) >= 4 and part not in self.nouns]
        for form in forms:
            self._values.add(form, value)
        self._single[joined] = value
        if len(key) > 1 and all(2 <= len(part) <= 4 for part in key):
            self._short.append((key, value))

    def _add_tag(self, tag: str) -> None:
        """A tag is named whole: of the parts of "small town" and "true story" none is a kind of its own."""
        if not (key := key_of(tag)):
            return
        forms = (key, (*key[:-1], _other_number(key[-1])))
        short = [value for short, value in self._short if _is_short_for(short, key)]
        same = [value for form in forms for value in self._values.by_key.get(form, ()) if value not in self._tags]
        if found := [*short, *(value for value in same if key_of(value) in forms)]:
            self._same[found[0]].add(tag)  # "science fiction" is the genre Sci-Fi
            return
        self._tags.add(tag)
        for form in forms:
            self._values.add(form, tag)

    def alike(self, value: str) -> frozenset[str]:
        """A value and the tags that are it in other letters: the genre "Sci-Fi" and the tag "science fiction"."""
        return frozenset({value, *self._same.get(value, ())})

    def is_tag(self, value: str) -> bool:
        """Whether a value is known from knowledge cards alone; these are short, so a lack denies nothing."""
        return value in self._tags

    def find(self, text: str, seen: Iterable[Any]) -> list[Mention]:
        """The titles and attribute values in a text, none overlapping another; the longest at each place.

        Args:
            text: a RecCoT.
            seen: ids of the user's history. Shortened, misspelt and cut-off titles are looked for among them alone.
        """
        own = self._own_titles(seen)
        words, found, place = words_of(text), [], 0
        while place < len(words):
            mention, size = self._at(text, words, place, own)
            if mention is None:
                place += 1
                continue
            found.append(mention)
            place += size
        return found

    def nearest_title(self, name: str, seen: Iterable[Any]) -> Mention | None:
        """The title of the history that a misspelt name means, if one is near enough."""
        own = {" ".join(key): ids for key, ids in self._own_titles(seen).by_key.items()}
        wanted = " ".join(key_of(name))
        digits = re.findall(r"\d+", wanted)
        near = process.extractOne(wanted, own.keys(), scorer=fuzz.ratio, score_cutoff=FUZZY_TITLE)
        if len(wanted) < SHORTEST_STUMP or near is None or re.findall(r"\d+", near[0]) != digits:
            return None
        return Mention("title", 0, 0, near[0], frozenset(own[near[0]]))

    def is_noun(self, word: str) -> bool:
        """Whether a word means items in general, such as "films"."""
        return word.casefold() in self.nouns

    def is_kind(self, name: str) -> bool:
        """Whether a name is an attribute value or a tag, and not a title of its own: "Classic", "Film Noir"."""
        return key_of(name) in self._values.by_key

    def _own_titles(self, seen: Iterable[Any]) -> _Names:
        """The titles of a history. The last one's are kept: its sentences are asked for one after another."""
        ids = tuple(dict.fromkeys(seen))
        if self._own is None or self._own[0] != ids:
            own = _Names()
            for item_id in ids:
                if item_id not in self._forms:
                    self._forms[item_id] = list(_title_forms(self.catalogue[item_id], short=True))
                for name in self._forms[item_id]:
                    own.add(name, item_id)
            self._own = ids, own
        return self._own[1]

    def _at(self, text: str, words: list[Word], place: int, own: _Names) -> tuple[Mention | None, int]:
        first = words[place]
        keys = [word.key for word in words[place : place + 24]]
        opens = place == 0 or text[words[place - 1].end : first.start].strip()[-1:] in {".", "!", "?"}
        keys = keys[: _before_parenthesis(text, words, place)]
        title, is_own = max(((own.longest(keys), True), (self._titles.longest(keys), False)), key=lambda it: len(it[0]))
        if not (len(title) > 2 or (first.is_capital and (len(title) > 1 or not opens or is_own))):
            title = ()
        value, size = self._value_at(text, words, place)
        after = words[place + size].key if place + size < len(words) else ""
        if value and (size > len(title) or (size == len(title) and after in self.nouns)):
            return Mention("attribute", first.start, words[place + size - 1].end, value), size
        if title:
            ids = (own if is_own else self._titles).by_key[title]
            end = words[place + len(title) - 1].end
            return Mention("title", first.start, end, " ".join(title), frozenset(ids)), len(title)
        if first.is_capital and not opens and (stump := _stump(text, words, place, own)):
            return stump, len(words) - place
        return None, 1

    def _value_at(self, text: str, words: list[Word], place: int) -> tuple[str, int]:
        keys = [word.key for word in words[place : place + 6]]
        name = self._values.longest(keys)
        told = text[words[place].start : words[place + len(name) - 1].end] if name else ""
        if "," in told and not any("," in value for value in self._values.by_key[name]):
            # "alternative, rock" is two values, not "alternative rock".
            keys = keys[: len(words_of(told.partition(",")[0]))]
            name = self._values.longest(keys)
        # A value of just this name comes before those that have it as a part ("metal" before "death metal").
        best, size = "", len(name)
        if name:
            best = min(self._values.by_key[name], key=lambda value: (key_of(value) != name, value))
        for short, value in self._short:
            if best and key_of(best) == name and len(short) <= size:
                continue
            if len(keys) >= len(short) > size and all(k.startswith(s) for s, k in zip(short, keys, strict=False)):
                best, size = value, len(short)
        if not best and len(keys) > 1 and keys[1] in self.nouns and (close := self._near_value(keys[0])):
            best, size = close, 1
        return best, size

    def _near_value(self, word: str) -> str | None:
        """The attribute value that a word before a noun is a form of: "romantic" of Romance, "thriler" of Thriller."""
        if word not in self._close:
            self._close[word] = None
            if len(word) >= 6 and word not in self.nouns:
                near = process.extractOne(word, self._single.keys(), scorer=fuzz.ratio, score_cutoff=FUZZY_ATTRIBUTE)
                stems = [name for name in self._single if _same_stem(word, name)]
                name = near[0] if near else stems[0] if len(stems) == 1 else None
                self._close[word] = self._single[name] if name else None
        return self._close[word]


def _before_parenthesis(text: str, words: list[Word], place: int) -> int:
    """How many words from a place on stand before a number in parentheses: "Scream (2 stars)" is not "Scream 2"."""
    for number in range(place + 1, min(len(words), place + 24)):
        if words[number].text.isdigit() and "(" in text[words[number - 1].end : words[number].start]:
            return number - place
    return 24


@lru_cache(maxsize=65_536)
def _title_forms(item: Item, short: bool = False) -> tuple[Key, ...]:
    """The ways in which a title is written; ``short``: also without its article and without what follows a colon."""
    names = [item.title, item.short_title]
    if inside := re.search(r"\(([^()]+)\)$", item.title):
        names.append(inside.group(1))
    keys = [key_of(name) for name in names]
    if short:
        keys += [key[1:] for key in keys if len(key) > 2 and key[0] in {"the", "a", "an"}]
        keys += [head for name in names if ":" in name and len(head := key_of(name.partition(":")[0])) > 1]
    return tuple(dict.fromkeys(key for key in keys if key))


def _other_number(word: str) -> str:
    """The plural of a singular, the singular of a plural."""
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("s"):
        return word[:-1]
    return word[:-1] + "ies" if word.endswith("y") else word + "s"


def _same_stem(one: str, other: str) -> bool:
    """Whether two words share five letters or more from their beginning, and most of the longer one."""
    common = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return common >= 5 and common >= 0.6 * max(len(one), len(other))


def _is_short_for(short: Key, key: Key) -> bool:
    """Whether a short value stands for a longer name: "sci fi" for "science fiction"."""
    return len(short) == len(key) and all(whole.startswith(part) for part, whole in zip(short, key, strict=True))


def _stump(text: str, words: list[Word], place: int, own: _Names) -> Mention | None:
    """A title of the history whose beginning is all that is left of the text."""
    rest = " ".join(word.key for word in words[place:])
    fits = [(key, ids) for key, ids in own.by_key.items() if " ".join(key).startswith(rest)]
    if not fits or rest.isdigit():
        return None
    items = frozenset(item for _, ids in fits for item in ids)
    whole = len(rest) >= SHORTEST_STUMP and len(items) == 1
    return Mention("title" if whole else "stump", words[place].start, len(text), " ".join(fits[0][0]), items)
