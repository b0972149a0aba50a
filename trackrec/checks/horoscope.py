"""Horoscopes: sentences that would be as true of most other users, and so say nothing of this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import polars as pl
from pydantic import Field

from trackrec.checks.grounding import Checker, GroundedSentence
from trackrec.checks.rules import Verdict
from trackrec.checks.sentences import without_citations
from trackrec.checks.vocabulary import Vocabulary
from trackrec.data.log import stable_hash
from trackrec.judges.rewards import ExtraRewardSettings, RewardContext
from trackrec.metrics.intervals import bootstrap_users
from trackrec.metrics.probability import Interval
from trackrec.prompts.domains import find_domain
from trackrec.users.catalogue import Row
from trackrec.users.histories import Histories

OTHERS = 10
"""Histories of other users that a sentence is held against."""
MOST = 0.5
"""A sentence that is borne out by more than this share of them is a horoscope."""


class Horoscopes:
    """Counts the horoscopes among the sentences of RecCoTs.

    A sentence on the user is one if most other histories bear it out as well ("likes about half of the films rated"),
    or if it says nothing that any history could ("likes thought-provoking films"). A false sentence is none: it says
    something, if wrongly. Headings, advice and facts on items are not counted at all.

    Args:
        histories: each user's events, oldest first.
        vocabulary: made from the items.
        seed: with a user's id it draws the others.
        others: how many are drawn.
    """

    def __init__(
        self, histories: Mapping[Any, Sequence[Row]], vocabulary: Vocabulary, seed: int = 0, others: int = OTHERS
    ) -> None:
        self.histories, self.vocabulary, self.seed, self.others = histories, vocabulary, seed, others
        self._users = sorted(histories, key=str)
        self._checkers: dict[Any, Checker] = {}

    def count(self, user: Any, text: str) -> tuple[int, int]:
        """How many sentences of a user's RecCoT are horoscopes, and how many it has on the user."""
        told = [sentence for sentence in self._checker(user).check(text) if sentence.about_user]
        return sum(self._is_one(user, sentence) for sentence in told), len(told)

    def _is_one(self, user: Any, sentence: GroundedSentence) -> bool:
        if not sentence.claims and not sentence.cited:
            return True
        if sentence.verdict != Verdict.SUPPORTED:
            return False
        bare, drawn = without_citations(sentence.text), self._drawn(user)
        borne = sum(
            any(found.verdict == Verdict.SUPPORTED for found in self._checker(other).check(bare)) for other in drawn
        )
        return bool(drawn) and borne > MOST * len(drawn)

    def _drawn(self, user: Any) -> list[Any]:
        rest = [other for other in self._users if other != user]
        places = np.random.default_rng([self.seed, stable_hash(user)]).permutation(len(rest))[: self.others]
        return [rest[int(place)] for place in places]

    def _checker(self, user: Any) -> Checker:
        if user not in self._checkers:
            self._checkers[user] = Checker(self.histories[user], self.vocabulary)
        return self._checkers[user]


def horoscope_rate(
    texts: Mapping[Any, str], horoscopes: Horoscopes, seed: int, draws: int
) -> tuple[Interval, list[Any], int]:
    """Horoscopes among the sentences on the user, with a 95% interval over users.

    Args:
        texts: a RecCoT a user.
        horoscopes: counts them.
        seed: of the bootstrap.
        draws: of the bootstrap.

    Returns:
        The rate with its interval (none with fewer than two users), the users that have such sentences, and how many
        sentences these are.
    """
    counts = {user: horoscopes.count(user, text) for user, text in texts.items()}
    counts = {user: found for user, found in counts.items() if found[1]}
    users = list(counts)
    found, told = (np.array([counts[user][side] for user in users], dtype=np.float64) for side in (0, 1))
    if len(users) < 2:
        value = float(found.sum() / told.sum()) if users else float("nan")
        return Interval(value, float("nan"), float("nan")), users, int(told.sum())
    interval = bootstrap_users(lambda a, b: float(a.sum() / b.sum()), users, found, told, seed=seed, draws=draws)
    return interval, users, int(told.sum())


class HoroscopeSettings(ExtraRewardSettings):
    """How much is taken off a RecCoT all of whose sentences are horoscopes; a part of it for a part of them."""

    type: str = "horoscope"
    others: int = Field(default=OTHERS, ge=1)
    """Histories of other users that each sentence is held against."""


class Horoscope:
    """An extra reward (see :class:`trackrec.judges.rewards.Reward`): minus the share of horoscopes.

    Args:
        vocabulary: what texts can name.
        others: see `HoroscopeSettings`.
    """

    Settings = HoroscopeSettings

    def __init__(self, vocabulary: Vocabulary, others: int = OTHERS) -> None:
        self.vocabulary, self.others = vocabulary, others

    @classmethod
    def make(cls, settings: HoroscopeSettings, context: RewardContext) -> Self:
        """See :mod:`trackrec.registry`."""
        vocabulary = Vocabulary(
            context.items, find_domain(context.domain), context.attributes, context.profile, context.is_ours
        )
        return cls(vocabulary, settings.others)

    def __call__(self, scores: pl.DataFrame, texts: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
        """``user_id, sample, reward`` in [-1, 0]; 0 for a text without a sentence on the user."""
        horoscopes = Horoscopes(Histories(histories), self.vocabulary, others=self.others)
        told = texts.select("user_id", "sample", pl.col("text").fill_null(""))
        counts = [horoscopes.count(user, text) for user, _, text in told.iter_rows()]
        earned = [-found / of if of else 0.0 for found, of in counts]
        return told.select("user_id", "sample", pl.Series("reward", earned, dtype=pl.Float64))
