"""Texts of like length, so that a gain can be told from what length alone gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from trackrec.checks.pattern_reader import split_sentences


def cut_to(text: str, budget: int, count_tokens: Callable[[str], int]) -> str:
    """The longest beginning of whole sentences within a budget.

    If not even the first sentence fits, its words that do; of a text without spaces, its characters.

    Args:
        text: a RecCoT.
        budget: most tokens.
        count_tokens: how many a text takes.

    Returns:
        At least one character.

    >>> cut_to("One two. Three four. Five.", 4, lambda text: len(text.split()))
    'One two. Three four.'
    >>> cut_to("One two three. Four.", 2, lambda text: len(text.split()))
    'One two'
    """
    sentences = [end for _, end in split_sentences(text)]
    words = [found.end() for found in re.finditer(r"\S+", text)]
    for ends in (sentences, words, range(1, len(text) + 1)):
        for end in reversed(ends):
            if count_tokens(text[:end]) <= budget:
                return text[:end]
    return text[:1]


def to_equal_length(first: str, second: str, count_tokens: Callable[[str], int]) -> tuple[str, str]:
    """Two texts, neither longer than the shorter of them was: the longer one is cut at the end of a sentence.

    What is cut ends up a little shorter than the other, so what remains of a gain of the longer one is not due to its
    length; a gain of the shorter one may be.
    """
    budget = min(count_tokens(first), count_tokens(second))
    return cut_to(first, budget, count_tokens), cut_to(second, budget, count_tokens)


def givers_of_like_length(lengths: Sequence[int]) -> list[int]:
    """For each text the place of another one that comes next in length (of the longest: the one before it).

    >>> givers_of_like_length([10, 50, 12, 48])
    [2, 3, 3, 1]
    """
    order = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
    after = {place: order[rank + 1] if rank + 1 < len(order) else order[rank - 1] for rank, place in enumerate(order)}
    return [after[place] for place in range(len(lengths))]
