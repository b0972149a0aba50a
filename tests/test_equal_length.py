"""Texts cut to equal length at the ends of sentences, and strangers' texts of like length."""

from __future__ import annotations

import random

import pytest

from research.equal_length import cut_to, givers_of_like_length, to_equal_length

TEXT = "They like drama. They dislike Mr. Wrong (1996). Old films bore them."


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize(
    ("budget", "left"),
    [
        (99, TEXT),
        (12, TEXT),
        (11, "They like drama. They dislike Mr. Wrong (1996)."),
        (7, "They like drama."),
        (2, "They like"),
        (1, "They"),
        (0, "T"),
    ],
)
def test_whole_sentences_stay_while_they_fit(budget: int, left: str) -> None:
    assert cut_to(TEXT, budget, words) == left


def test_a_text_without_spaces_is_cut_too() -> None:
    assert cut_to("\u6620\u753b\u304c\u597d\u304d", 3, len) == "\u6620\u753b\u304c"


def test_the_longer_text_is_cut_to_the_shorter() -> None:
    assert to_equal_length("One two three four.", TEXT, words) == ("One two three four.", "They like drama.")
    assert to_equal_length(TEXT, "One two three four.", words) == ("They like drama.", "One two three four.")
    assert to_equal_length(TEXT, TEXT, words) == (TEXT, TEXT)


def test_neither_is_longer_than_the_shorter_was() -> None:
    chance = random.Random(3)
    for _ in range(50):
        pair = [
            " ".join(" ".join(["Word"] * chance.randint(1, 6)) + "." for _ in range(chance.randint(1, 4)))
            for _ in range(2)
        ]
        cut = to_equal_length(pair[0], pair[1], words)
        assert max(map(words, cut)) <= min(map(words, pair))
        assert all(whole.startswith(part.rstrip(".")) for whole, part in zip(pair, cut, strict=True))


def test_nobody_is_given_its_own_text() -> None:
    lengths = [5, 5, 9, 7, 5, 30]
    givers = givers_of_like_length(lengths)
    assert [giver == place for place, giver in enumerate(givers)] == [False] * 6
    assert givers == [1, 4, 5, 2, 3, 2]
