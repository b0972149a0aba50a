"""What a rating says for itself: liked, not, or neither."""

from __future__ import annotations

from typing import Literal

from trackrec.checks.rules import History
from trackrec.checks.sentiment import side_of


class RatingPolarity:
    """What an event's rating says: 1 liked, -1 not, 0 in between."""

    def __init__(self, history: History) -> None:
        ratings = [event.rating for event in history.events]
        self.has_stars = bool(ratings) and max(ratings) <= 5 and min(ratings) > 0 and max(ratings) > 1
        self.history = history

    def side(self, place: int) -> Literal[-1, 0, 1]:
        event = self.history.events[place]
        if event.liked or not self.has_stars:
            return 1 if event.liked else -1
        return side_of(event.rating)
