"""What is counted: a user's own taste, and how everybody else likes items and their attributes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from research.new_items.tables import Events, Floats

PRIOR = 2.0
"""Imagined events that draw a count towards its mean."""


@dataclass(frozen=True)
class Profile:
    """What each user's own history says."""

    mean: Floats
    """Share of likes, shape (users,), drawn to everybody's; one half in histories that hold nothing but likes."""
    excess: Floats
    """How much more than expected by attribute, shape (users, attributes), drawn to 0: mean of likes beyond the user's
    own mean. In histories that hold nothing but likes: log of how many have the attribute over how many would by
    everybody's share."""

    @classmethod
    def of(cls, past: Events, has: csr_array, users: int, extremes: int | None) -> Profile:
        """Count histories.

        Args:
            past: the histories' events.
            has: which item has which attribute.
            users: how many.
            extremes: of each user only the so many highest and lowest values stay.
        """
        likes, seen = (np.bincount(past.user, weights, users) for weights in (past.label, np.ones(len(past.user))))
        counts = (_counts(past, np.ones(len(past.user)), users, has.shape[0]) @ has).toarray()
        if likes_alone(past):
            mean = np.full(users, 0.5)
            expected = np.outer(seen, counts.sum(axis=0) / max(seen.sum(), 1))
            excess = np.log((counts + PRIOR) / (expected + PRIOR))
        else:
            mean = (likes + PRIOR * past.label.mean()) / (seen + PRIOR)
            beyond = past.label - mean[past.user]
            excess = (_counts(past, beyond, users, has.shape[0]) @ has).toarray() / (counts + PRIOR)
        if extremes is not None and has.shape[1] > 2 * extremes:
            order = np.argsort(excess, axis=1, kind="stable")
            dropped = order[:, extremes:-extremes]
            np.put_along_axis(excess, dropped, 0.0, axis=1)
        return cls(mean, excess)


class Means:
    """How others like an item or an attribute: counts of the training users, the asking user's own left out.

    Args:
        events: of the training users.
        has: which item has which attribute.
        users: how many.
    """

    def __init__(self, events: Events, has: csr_array, users: int) -> None:
        self.share = float(events.label.mean())
        weights = (events.label, np.ones(len(events.user)))
        self._has, self._number = has, np.maximum(np.asarray(has.sum(axis=1)).ravel(), 1)
        self._own = [_counts(events, weight, users, has.shape[0]) for weight in weights]
        self._of_items = [np.asarray(part.sum(axis=0)).ravel() for part in self._own]
        of_attributes = [(part @ has).toarray() for part in self._own]
        odds = self._log_odds(*(part.sum(axis=0, keepdims=True) - part for part in of_attributes))
        self._beyond = odds - self._log_odds(np.zeros(1), np.zeros(1))

    def item(self, rows: Events) -> Floats:
        """Log-odds of each row's item, without the row's user."""
        own = [np.asarray(part[rows.user, rows.item]).ravel() for part in self._own]
        return self._log_odds(*(every[rows.item] - mine for every, mine in zip(self._of_items, own, strict=True)))

    def attribute(self, rows: Events) -> Floats:
        """Mean log-odds of the attributes of each row's item, without the row's user; 0 for an item without any."""
        return np.asarray(sums(self._beyond, rows, self._has) / self._number[rows.item])

    def _log_odds(self, likes: Floats, seen: Floats) -> Floats:
        mean = (likes + PRIOR * self.share) / (seen + PRIOR)
        mean = np.clip(mean, 1e-3, 1 - 1e-3)
        return np.asarray(np.log(mean / (1 - mean)))


def likes_alone(past: Events) -> bool:
    """Whether the histories hold nothing but likes, as under implicit feedback."""
    return bool(past.label.all())


def sums(values: Floats, rows: Events, has: csr_array) -> Floats:
    """For each row, the sum of its user's values over the attributes of its item, shape (rows,).

    Args:
        values: shape (users, attributes).
        rows: whose users and items.
        has: which item has which attribute.
    """
    taken = has[rows.item]
    owner = np.repeat(np.arange(len(rows.item)), np.diff(taken.indptr))
    found = np.bincount(owner, values[rows.user[owner], taken.indices], minlength=len(rows.item))
    return found.astype(np.float64)


def _counts(events: Events, weights: Floats, users: int, items: int) -> csr_array:
    """Sums of weights by user and item, shape (users, items)."""
    return csr_array((weights, (events.user, events.item)), shape=(users, items))
