"""What a history says about its user, by counting: rating habit, genres, era and example items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from pydantic import Field

from trackrec.prompts.catalogue import Catalogue, Row
from trackrec.settings import Settings


class ProfileSettings(Settings):
    """How much evidence a claim about a user needs."""

    min_items: int = Field(default=2, ge=1)
    """Fewest rated items of a genre before anything is said about it."""
    min_shift: float = Field(default=0.1, gt=0.0)
    """How far a genre's share of likes must lie from the user's own, after smoothing."""
    prior_items: float = Field(default=2.0, ge=0.0)
    """Strength of that smoothing: so many imagined items of the genre at the user's own share of likes."""
    era_min_items: int = Field(default=3, ge=1)
    """Fewest rated items on each side of a year before an era is preferred."""
    era_min_deviation: float = Field(default=1.0, ge=0.0)
    """How far apart the shares of likes of the two sides must lie, in standard deviations of their difference."""


@dataclass(frozen=True)
class Tally:
    """So many liked of so many rated."""

    name: str
    liked: int
    rated: int


@dataclass(frozen=True)
class Era:
    """The side of a year that the user likes more: items from before ``year``, or from ``year`` on."""

    year: int
    before: bool
    liked: int
    rated: int


@dataclass(frozen=True)
class Profile:
    """The counted facts of one history."""

    liked: int
    """How many items were liked."""
    rated: int
    """How many items were rated."""
    above: tuple[Tally, ...]
    """Genres liked more than the user's own average, the strongest first."""
    below: tuple[Tally, ...]
    """Genres liked less than it, the strongest first."""
    comparable_genres: int
    """How many genres had enough items to be judged at all."""
    era: Era | None
    """The preferred era, if there is one."""
    favourites: tuple[str, ...]
    """Short titles of the liked items with the highest rating among them, oldest first."""
    letdowns: tuple[str, ...]
    """Short titles of the items not liked with the lowest rating among them, oldest first."""

    @property
    def share_in_words(self) -> str:
        """How much of what was rated was liked: ``all``, ``none``, ``nearly all``, ``hardly any`` or tenths."""
        if self.liked in (0, self.rated):
            return "all" if self.liked else "none"
        # Half a tenth goes up, by integer arithmetic: the same text on every machine.
        tenths = (20 * self.liked + self.rated) // (2 * self.rated)
        return {0: "hardly any", 10: "nearly all"}.get(tenths, f"about {tenths} in 10")


def profile_history(history: Sequence[Row], catalogue: Catalogue, settings: ProfileSettings) -> Profile:
    """Counts what a history says.

    A genre stands out when its likes exceed (or fall short of) ``rated x own share`` by at least
    ``min_shift x (rated + prior_items)``: its smoothed share of likes then differs from the user's own by that shift.

    Args:
        history: rows with ``item_id``, ``rating`` and ``label`` (1: liked), oldest first.
        catalogue: the items' titles, years and genres.
        settings: the evidence that a claim needs.

    Raises:
        LogError: an item is not in the catalogue.
    """
    rated = len(history)
    liked = sum(row["label"] for row in history)
    share = liked / rated if rated else 0.0
    labels: dict[str, list[int]] = defaultdict(list)
    for row in history:
        for genre in dict.fromkeys(catalogue[row["item_id"]].genres):
            labels[genre].append(row["label"])
    tallies = [Tally(genre, sum(own), len(own)) for genre, own in labels.items() if len(own) >= settings.min_items]

    def shift(tally: Tally) -> float:
        return (tally.liked - tally.rated * share) / (tally.rated + settings.prior_items)

    tallies.sort(key=lambda tally: (-abs(shift(tally)), -tally.rated, tally.name))
    return Profile(
        liked=liked,
        rated=rated,
        above=tuple(tally for tally in tallies if shift(tally) >= settings.min_shift),
        below=tuple(tally for tally in tallies if shift(tally) <= -settings.min_shift),
        comparable_genres=len(tallies),
        era=_find_era(history, catalogue, settings),
        favourites=_titles_at_top([row for row in history if row["label"]], catalogue, sign=1),
        letdowns=_titles_at_top([row for row in history if not row["label"]], catalogue, sign=-1),
    )


def _find_era(history: Sequence[Row], catalogue: Catalogue, settings: ProfileSettings) -> Era | None:
    """The clearest split of the history at a multiple of five years, if it is clear enough."""
    dated = [(year, row["label"]) for row in history if (year := catalogue[row["item_id"]].year) is not None]
    if not dated:
        return None
    share = sum(label for _, label in dated) / len(dated)
    best, clearest = None, settings.era_min_deviation
    first, last = min(year for year, _ in dated), max(year for year, _ in dated)
    for cut in range(first - first % 5 + 5, last + 1, 5):
        older = [label for year, label in dated if year < cut]
        newer = [label for year, label in dated if year >= cut]
        if min(len(older), len(newer)) < settings.era_min_items:
            continue
        difference = sum(older) / len(older) - sum(newer) / len(newer)
        noise = sqrt(share * (1 - share) * (1 / len(older) + 1 / len(newer)))
        if difference != 0 and abs(difference) >= clearest * noise:
            # Noise is not 0 here: were all labels equal, the two sides would not differ.
            side = older if difference > 0 else newer
            clearest = abs(difference) / noise
            best = Era(cut, difference > 0, sum(side), len(side))
    return best


def _titles_at_top(rows: Sequence[Row], catalogue: Catalogue, sign: int) -> tuple[str, ...]:
    """Short titles of the rows with the highest (sign 1) or lowest (sign -1) rating, each once."""
    top = max((sign * row["rating"] for row in rows), default=None)
    titles = (catalogue[row["item_id"]].short_title for row in rows if sign * row["rating"] == top)
    return tuple(dict.fromkeys(title for title in titles if title))
