"""From the tags of single cards to a vocabulary: one spelling a meaning, and only tags that several items share."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

SHORTEST_NEAR = 7
"""Fewest letters of two tags that are merged though they differ by a letter."""

_WORD = re.compile(r"[\w$+#]+")
_ROMAN = re.compile(r"[ivxlcdm]+")


def tag_key(tag: str) -> str:
    """What two spellings of a tag have in common: case, accents' form, hyphens, spaces and number taken away.

    >>> tag_key("Con artists") == tag_key("con-artist"), tag_key("spies") == tag_key("spy")
    (True, True)
    """
    return "".join(_singular(word) for word in _words(tag))


def _words(tag: str) -> list[str]:
    text = unicodedata.normalize("NFKC", tag).casefold().replace("&", " and ")
    return _WORD.findall(re.sub(r"['’.]", "", text))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@dataclass(frozen=True)
class TagVocabulary:
    """The tags that are used."""

    frequency: Mapping[str, int]
    """How many items have each, by its one spelling; the most frequent first."""
    spelling: Mapping[str, str]
    """From every tag of the cards that is used to its one spelling."""
    counts: Mapping[str, int]
    """``tags_found``, ``tags`` (used), ``merged`` (spellings that became another), ``rare``, ``left_out``,
    ``genres`` (those that name a genre of the catalogue, which is counted already)."""

    def __call__(self, tags: Iterable[str]) -> list[str]:
        """The used spellings of an item's tags, in their order, each once."""
        return list(dict.fromkeys(self.spelling[tag] for tag in tags if tag in self.spelling))


def build_vocabulary(
    tags: Iterable[Collection[str]],
    min_items: int = 2,
    near_duplicates: bool = True,
    genres: Collection[str] = (),
    leave_out: Collection[str] = (),
) -> TagVocabulary:
    """Merge the tags of all items.

    Tags of one key (:func:`tag_key`) are one. A tag that differs from a more frequent one by a single letter is merged
    into it, if both have ``SHORTEST_NEAR`` letters, begin alike and have the same numbers and short words ("world war
    i" is not "world war ii"). The spelling that most items have stands for all; of equals the first in the alphabet.

    Args:
        tags: of each item.
        min_items: so many items must have a tag.
        near_duplicates: whether tags are merged that differ by a letter.
        genres: the catalogue's; a tag of the same name is left out.
        leave_out: tags that are not used.
    """
    each = [tuple(dict.fromkeys(one)) for one in tags]
    spellings = Counter(tag for one in each for tag in one)
    groups: dict[str, list[str]] = defaultdict(list)
    for tag in spellings:
        groups[tag_key(tag)].append(tag)
    groups.pop("", None)
    if near_duplicates:
        _merge_near(groups, spellings)
    best = {tag: min(group, key=lambda it: (-spellings[it], it)) for group in groups.values() for tag in group}
    frequency = Counter(tag for one in each for tag in {best[tag] for tag in one if tag in best})
    named, refused = {tag_key(genre) for genre in genres}, {tag_key(tag) for tag in leave_out}
    used: dict[str, int] = {}
    counts = Counter({"tags_found": len(spellings), "tags": 0})
    for group in groups.values():
        name, keys = best[group[0]], {tag_key(tag) for tag in group}
        if keys & named or keys & refused:
            counts["genres" if keys & named else "left_out"] += 1
        elif frequency[name] < min_items:
            counts["rare"] += 1
        else:
            used[name] = frequency[name]
            counts["merged"] += len(group) - 1
    counts["tags"] = len(used)
    order = sorted(used, key=lambda tag: (-used[tag], tag))
    spelling = {tag: name for tag, name in best.items() if name in used}
    return TagVocabulary({tag: used[tag] for tag in order}, spelling, dict(counts))


def _merge_near(groups: dict[str, list[str]], spellings: Mapping[str, int]) -> None:
    """Groups whose keys differ by a letter become one, the rarer one joining the more frequent one."""
    weight = {key: sum(spellings[tag] for tag in group) for key, group in groups.items()}
    shapes: dict[str, list[str]] = defaultdict(list)
    for key in sorted((key for key in groups if len(key) >= SHORTEST_NEAR), key=lambda key: (-weight[key], key)):
        # Two keys at a distance of one letter share a form with at most one letter taken out.
        forms = {key, *(key[:place] + key[place + 1 :] for place in range(len(key)))}
        near = {other for form in forms for other in shapes.get(form, ()) if _is_near(groups[key][0], groups[other][0])}
        if near:
            groups[min(near, key=lambda other: (-weight[other], other))] += groups.pop(key)
        else:
            for form in forms:
                shapes[form].append(key)


def _is_near(one: str, other: str) -> bool:
    words = [_words(tag) for tag in (one, other)]
    kept = [
        [word for word in part if len(word) < 4 or _ROMAN.fullmatch(word) or any(c.isdigit() for c in word)]
        for part in words
    ]
    keys = [tag_key(tag) for tag in (one, other)]
    return keys[0][0] == keys[1][0] and kept[0] == kept[1] and Levenshtein.distance(*keys, score_cutoff=1) <= 1
