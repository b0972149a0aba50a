"""What a history says about its user, as writers and checkers of RecCoTs read it: the one place that counts it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from trackrec.users.catalogue import Catalogue, Row
from trackrec.users.counts import (
    MIN_ITEMS,
    MIN_SURPLUS,
    NAME_KINDS,
    Consumption,
    ProfileSettings,
    event_table,
    fame_level,
    level_of,
    name_counts,
    user_counts,
)

_NOISE = 1e-9
"""A shift of exactly the least counts, whatever the rounding."""


@dataclass(frozen=True)
class Tally:
    """So many liked of so many rated, of a genre or tag."""

    name: str
    liked: int
    rated: int
    liked_events: tuple[int, ...] = field(default=(), compare=False)
    """Numbers of the events that were liked (1: the user's oldest event)."""
    other_events: tuple[int, ...] = field(default=(), compare=False)
    """Numbers of those that were not."""


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
    consumption: Consumption | None = None
    """What the history is made of, next to everybody's; None if nobody knows."""
    tags_above: tuple[Tally, ...] = ()
    """Tags liked more than the user's own average, the strongest first."""
    tags_below: tuple[Tally, ...] = ()
    """Tags liked less than it, the strongest first."""
    comparable_tags: int = 0
    """How many tags had enough items to be judged at all."""
    titles: Mapping[int, str] = field(default_factory=dict, compare=False)
    """Short titles of the events in view, by number."""
    overall: Tally = field(default=Tally("all", 0, 0), compare=False)
    """All events, with their numbers."""

    @property
    def share_in_words(self) -> str:
        """How much of what was rated was liked, see :func:`share_in_words`."""
        return share_in_words(self.liked, self.rated)


EMPTY = Profile(0, 0, None, (), (), 0, None, (), ())
"""The profile of somebody without a history."""


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


def profiles(histories: pl.DataFrame, catalogue: Catalogue, settings: ProfileSettings) -> dict[Any, Profile]:
    """What the histories of any number of users say.

    A genre stands out when its likes exceed (or fall short of) ``rated x own share`` by at least
    ``min_shift x (rated + prior_items)``: its smoothed share of likes then differs from the user's own by that shift.
    So does a tag.

    Args:
        histories: see :func:`trackrec.users.counts.event_table`; titles are taken of ``shown`` events alone.
        catalogue: the items' titles, years, genres and tags.
        settings: the evidence that a claim needs.

    Returns:
        A profile for each user who has events, in the order of the frame.

    Raises:
        LogError: an item is not in the catalogue.
    """
    events = event_table(histories, catalogue)
    least = {"genres": settings.min_items, "tags": settings.min_tag_items}
    shares = {"genres": catalogue.genre_shares, "tags": catalogue.tag_shares}
    counted = {kind: name_counts(events, kind, settings.counting, shares[kind]) for kind in NAME_KINDS}
    sides = {kind: _sides(counted[kind], least[kind], settings) for kind in NAME_KINDS}
    consumed = _consumed(counted["genres"], settings.most_consumed)
    examples, decade = _examples(events), catalogue.middle_decade
    made = {}
    for row in user_counts(events, catalogue).iter_rows(named=True):
        user, genres, tags = row["user_id"], sides["genres"][row["user_id"]], sides["tags"][row["user_id"]]
        told = examples[user]
        choice = None
        if row["fame"] is not None:
            choice = Consumption(consumed[user], fame_level(row["fame"]))
        made[user] = Profile(
            liked=row["liked"],
            rated=row["rated"],
            level=None if row["generosity"] is None else level_of(row["generosity"]),
            above=genres.above,
            below=genres.below,
            comparable_genres=genres.comparable,
            age=None if decade is None else Age(decade, row["old"], row["rated"]),
            favourites=told.favourites,
            letdowns=told.letdowns,
            consumption=choice,
            tags_above=tags.above,
            tags_below=tags.below,
            comparable_tags=tags.comparable,
            titles=told.titles,
            overall=told.overall,
        )
    return made


def profile_history(
    history: Sequence[Row], catalogue: Catalogue, settings: ProfileSettings, recent: int | None = None
) -> Profile:
    """:func:`profiles` of one user.

    Args:
        history: rows with ``item_id``, ``rating`` and ``label`` (1: liked), and ``expected`` where it is known what
            share of the others liked the item; oldest first.
        catalogue, settings: as there.
        recent: so many of the newest events are in view. None: all.
    """
    if not history:
        return EMPTY
    shown = len(history) if recent is None else recent
    columns = {name: [row.get(name) for row in history] for name in ("item_id", "rating", "label", "expected")}
    ids = catalogue.table.schema["item_id"]
    try:
        items = pl.Series("item_id", columns["item_id"], dtype=ids)
    except TypeError:
        items = pl.Series("item_id", [str(item) for item in columns["item_id"]])
    frame = pl.DataFrame(
        {
            "user_id": [0] * len(history),
            "item_id": items,
            "rating": pl.Series(columns["rating"], dtype=pl.Float64, strict=False),
            "label": pl.Series(columns["label"], dtype=pl.Int64),
            "expected": pl.Series(columns["expected"], dtype=pl.Float64, strict=False),
            "shown": [place >= len(history) - shown for place in range(len(history))],
        }
    )
    return profiles(frame, catalogue, settings)[0]


@dataclass(frozen=True)
class _Sides:
    above: tuple[Tally, ...] = ()
    below: tuple[Tally, ...] = ()
    comparable: int = 0


@dataclass(frozen=True)
class _Examples:
    titles: dict[int, str]
    overall: Tally
    favourites: tuple[str, ...]
    letdowns: tuple[str, ...]


def _sides(counted: pl.DataFrame, least: int, settings: ProfileSettings) -> defaultdict[Any, _Sides]:
    """The names that stand out of each user, the strongest first."""
    rows = counted.filter(pl.col("rated") >= least).with_columns(strength=pl.col("shift").abs())
    rows = rows.sort("strength", "rated", "name", descending=[True, True, False])
    above: defaultdict[Any, list[Tally]] = defaultdict(list)
    below: defaultdict[Any, list[Tally]] = defaultdict(list)
    strong = rows.filter(pl.col("strength") >= settings.min_shift - _NOISE)
    columns = strong.select("user_id", "shift", "name", "liked", "rated", "liked_events", "other_events")
    for user, shift, name, liked, rated, likes, others in columns.iter_rows():
        side = above if shift > 0 else below
        side[user].append(Tally(name, liked, rated, tuple(likes), tuple(others)))
    found: defaultdict[Any, _Sides] = defaultdict(_Sides)
    for user, comparable in rows.group_by("user_id").len().iter_rows():
        found[user] = _Sides(tuple(above[user]), tuple(below[user]), comparable)
    return found


def _consumed(counted: pl.DataFrame, most: int) -> defaultdict[Any, tuple[str, ...]]:
    """Genres that each user has more of than everybody, the largest surplus first, and no more than so many."""
    rows = counted.filter((pl.col("rated") >= MIN_ITEMS) & (pl.col("surplus") >= MIN_SURPLUS - _NOISE))
    rows = rows.sort("surplus", "name", descending=[True, False])
    found: defaultdict[Any, tuple[str, ...]] = defaultdict(tuple)
    for user, names in rows.group_by("user_id").agg("name").iter_rows():
        found[user] = tuple(names[:most])
    return found


def _examples(events: pl.DataFrame) -> dict[Any, _Examples]:
    """Titles of the events in view, and those at the top and the bottom of what the user gave."""
    found = {}
    told = events.select("user_id", "number", "title", "label", "rating", "shown")
    for user, every in told.rows_by_key("user_id", include_key=True).items():
        numbers = [tuple(row[1] for row in every if bool(row[3]) == side) for side in (True, False)]
        overall = Tally("all", len(numbers[0]), len(every), *numbers)
        rows = [row for row in every if row[5]]
        titles = {number: title for _, number, title, *_ in rows if title}
        liked, others = [row for row in rows if row[3]], [row for row in rows if not row[3]]
        found[user] = _Examples(titles, overall, _at_top(liked, 1), _at_top(others, -1))
    return found


def _at_top(rows: Iterable[tuple[Any, ...]], sign: int) -> tuple[str, ...]:
    """Short titles of the rows with the highest (sign 1) or lowest (sign -1) rating, each once."""
    rated = [(sign * (row[4] or 0.0), row[2]) for row in rows]
    top = max((rating for rating, _ in rated), default=None)
    return tuple(dict.fromkeys(title for rating, title in rated if rating == top and title))
