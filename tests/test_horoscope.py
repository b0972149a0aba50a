"""Horoscopes on six users whose histories are counted by eye."""

from __future__ import annotations

import polars as pl
import pytest

from trackrec.checks.horoscope import Horoscope, Horoscopes, HoroscopeSettings, horoscope_rate
from trackrec.checks.vocabulary import Vocabulary
from trackrec.judges.rewards import RewardContext
from trackrec.prompts.domains import find_domain
from trackrec.users.counts import ProfileSettings

ITEMS = pl.DataFrame(
    {
        "item_id": [1, 2, 3, 4],
        "title": ["Alpha Rising (1990)", "Beta Falling (1991)", "Gamma House (1992)", "Delta Road (1993)"],
        "year": [1990, 1991, 1992, 1993],
        "genres": [["Drama"], ["Drama"], ["Horror"], ["Horror"]],
    }
)
VOCABULARY = Vocabulary(ITEMS, find_domain("movies"))
LIKES_DRAMA, LIKES_HORROR = (5.0, 4.0, 1.0, 2.0), (1.0, 2.0, 5.0, 4.0)
RATINGS = {1: LIKES_DRAMA, 2: LIKES_DRAMA, 3: LIKES_DRAMA, 4: LIKES_DRAMA, 5: LIKES_DRAMA, 6: LIKES_HORROR}
ROWS = [
    {"user_id": user, "position": n, "item_id": n + 1, "rating": rating, "label": int(rating >= 4)}
    for user, ratings in RATINGS.items()
    for n, rating in enumerate(ratings)
]
HISTORIES = pl.DataFrame(ROWS)
BY_USER = {user: [row for row in ROWS if row["user_id"] == user] for user in RATINGS}


@pytest.mark.parametrize(
    ("user", "text", "counts"),
    [
        (1, "They enjoy dramas.", (1, 1)),  # so do four of the five others
        (6, "They enjoy horror.", (0, 1)),  # nobody else does
        (1, "They like thought-provoking stories.", (1, 1)),  # true of anybody
        (1, "They enjoy horror.", (0, 1)),  # false, which is another fault
        (6, "They enjoyed Gamma House [3]. They enjoy rich storytelling. So try Scream.", (1, 2)),
        (1, "## Taste", (0, 0)),
    ],
)
def test_what_is_true_of_most_others_counts(user: int, text: str, counts: tuple[int, int]) -> None:
    assert Horoscopes(BY_USER, VOCABULARY).count(user, text) == counts


def test_rate_over_users() -> None:
    texts = {1: "They enjoy dramas.", 6: "They enjoy horror.", 2: "So try Scream."}
    interval, users, sentences = horoscope_rate(texts, Horoscopes(BY_USER, VOCABULARY), seed=3, draws=200)
    assert (interval.value, sentences) == (0.5, 2)
    assert users == [1, 6]
    assert 0 <= interval.low < interval.high <= 1


def test_as_a_reward() -> None:
    context = RewardContext(ITEMS, "movies", (), ProfileSettings())
    reward = Horoscope.make(HoroscopeSettings(others=5), context)
    rows = [(6, 0, "They enjoy horror."), (6, 1, "They enjoy horror. They like good stories."), (6, 2, None)]
    texts = pl.DataFrame(rows, schema=["user_id", "sample", "text"], orient="row")
    earned = reward(pl.DataFrame(), texts, HISTORIES)
    assert earned.rows() == [(6, 0, 0.0), (6, 1, -0.5), (6, 2, 0.0)]
