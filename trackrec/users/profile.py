"""What a history says about its user, by counting: generosity, rating habit, old items, genres, examples, choices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from trackrec.settings import Settings
from trackrec.users.catalogue import Catalogue, Row
from trackrec.users.consumption import Watched, what_is_watched
from trackrec.users.generosity import generosity, level_of


class ProfileSettings(Settings):
    """How much evidence a claim about a user needs."""

    min_items: int = Field(default=2, ge=1)
    """Fewest rated items of a genre before anything is said about it."""
    min_shift: float = Field(default=0.1, gt=0.0)
    """How far a genre's share of likes must lie from the user's own, after smoothing."""
    prior_items: float = Field(default=2.0, ge=0.0)
    """Strength of that smoothing: so many imagined items of the genre at the user's own share of likes."""


@dataclass(frozen=True)
class Tally:
    """So many liked of so many rated."""

    name: str
    liked: int
    rated: int


@dataclass(frozen=True)
class Age:
    """So many of the rated items are known to be from before ``year``."""

    year: int
    before: int
    rated: int

    @property
    def share_in_words(self) -> str:
        """See :func:`share_in_words`."""
        return share_in_words(self.before, self.rated)


@dataclass(frozen=True)
class Profile:
    """The counted facts of one history."""

    liked: int
    """How many items were liked."""
    rated: int
    """How many items were rated."""
    level: int | None
    """How easily the user is pleased, a place in ``generosity.LEVELS``; None if the history does not tell."""
    above: tuple[Tally, ...]
    """Genres liked more than the user's own average, the strongest first."""
    below: tuple[Tally, ...]
    """Genres liked less than it, the strongest first."""
    comparable_genres: int
    """How many genres had enough items to be judged at all."""
    age: Age | None
    """How many items are old ones, as the catalogue goes; None if it knows no years or nothing was rated."""
    favourites: tuple[str, ...]
    """Short titles of the liked items with the highest rating among them, oldest first."""
    letdowns: tuple[str, ...]
    """Short titles of the items not liked with the lowest rating among them, oldest first."""
    watched: Watched | None = None
    """What the history is made of, next to everybody's; None if nobody knows."""

    @property
    def share_in_words(self) -> str:
        """How much of what was rated was liked, see :func:`share_in_words`."""
        return share_in_words(self.liked, self.rated)


def share_in_words(part: int, whole: int) -> str:
    """``all``, ``none``, ``nearly all``, ``hardly any`` or tenths.

    >>> share_in_words(7, 10), share_in_words(1, 30), share_in_words(0, 5)
    ('about 7 in 10', 'hardly any', 'none')
    """
    if part in (0, whole):
        return "all" if part else "none"
    # Half a tenth goes up, by integer arithmetic: the same text on every machine.
    tenths = (20 * part + whole) // (2 * whole)
    return {0: "hardly any", 10: "nearly all"}.get(tenths, f"about {tenths} in 10")


def profile_history(history: Sequence[Row], catalogue: Catalogue, settings: ProfileSettings) -> Profile:
    """Counts what a history says.

    A genre stands out when its likes exceed (or fall short of) ``rated x own share`` by at least
    ``min_shift x (rated + prior_items)``: its smoothed share of likes then differs from the user's own by that shift.

    Args:
        history: rows with ``item_id``, ``rating`` and ``label`` (1: liked), and ``expected`` where it is known what
            share of the others liked the item; oldest first.
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

    pleased = generosity(history)
    least = settings.min_shift - 1e-9  # a shift of exactly the least counts, whatever the rounding
    tallies.sort(key=lambda tally: (-abs(shift(tally)), -tally.rated, tally.name))
    return Profile(
        liked=liked,
        rated=rated,
        level=None if pleased is None else level_of(pleased),
        above=tuple(tally for tally in tallies if shift(tally) >= least),
        below=tuple(tally for tally in tallies if shift(tally) <= -least),
        comparable_genres=len(tallies),
        age=_count_old(history, catalogue),
        favourites=_titles_at_top([row for row in history if row["label"]], catalogue, sign=1),
        letdowns=_titles_at_top([row for row in history if not row["label"]], catalogue, sign=-1),
        watched=what_is_watched(history, catalogue),
    )


def _count_old(history: Sequence[Row], catalogue: Catalogue) -> Age | None:
    year = catalogue.middle_decade
    if year is None or not history:
        return None
    years = [catalogue[row["item_id"]].year for row in history]
    return Age(year, sum(made is not None and made < year for made in years), len(history))


def _titles_at_top(rows: Sequence[Row], catalogue: Catalogue, sign: int) -> tuple[str, ...]:
    """Short titles of the rows with the highest (sign 1) or lowest (sign -1) rating, each once."""
    top = max((sign * row["rating"] for row in rows), default=None)
    titles = (catalogue[row["item_id"]].short_title for row in rows if sign * row["rating"] == top)
    return tuple(dict.fromkeys(title for title in titles if title))
