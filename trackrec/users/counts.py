"""The one place that counts histories, many users at once: likes, generosity, age, fame, and each genre and tag."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, TypeVar

import polars as pl
from pydantic import Field

from trackrec.errors import LogError
from trackrec.settings import LATER, Settings
from trackrec.users.catalogue import Catalogue

Number = TypeVar("Number", float, pl.Expr)
NameKind = Literal["genres", "tags"]
"""Which of an item's names are counted."""
NAME_KINDS: tuple[NameKind, ...] = ("genres", "tags")


class Counting(NamedTuple):
    """How the likes of a genre or tag are counted: from which level, and how much evidence a shift needs."""

    level: Literal["own", "others"]
    """What likes are compared with. own: the user's own share of likes, so that what stands out of a history shows.
    others: what others thought of the same items, and how much more easily the user likes than they do, so that what
    the user's taste adds shows. Four dramas that everybody likes are many liked dramas, and no taste for them."""
    prior: float
    """So many imagined events of the genre that lie at the level."""


DIRECTIONS = Counting("others", 3)
"""How directions of text vectors (:mod:`trackrec.users.history_features`) count; claims: ``ProfileSettings.counting``.
Not a setting: the directions are the yardstick that texts are compared by, so it must not move with what a recipe lets
texts say. (For foretelling later ratings on MovieLens-100K the two levels are about as good: docs/experiments.md.)"""

LEVELS = (
    ("very harsh", "far harder to please than most"),
    ("harsh", "harder to please than most"),
    ("critical", "a little harder to please than most"),
    ("average", "neither harsh nor generous"),
    ("friendly", "a little easier to please than most"),
    ("generous", "easier to please than most"),
    ("very generous", "far easier to please than most"),
)
"""What a user of each level is called and what that means, from the one who likes least to the one who likes most."""


CUTS = (-0.25, -0.12, -0.04, 0.04, 0.12, 0.20)
"""Bounds between the levels, in share of likes above (or below) what others gave to the same items. Not a setting:
whoever writes a level, and whoever checks it, must mean the same."""
GENEROSITY_PRIOR = 2
"""So many imagined items on which the user agrees with everybody: short histories stay near the middle."""


def generosity(surplus: pl.Expr, rated: pl.Expr) -> pl.Expr:
    """By how much the user's share of likes exceeds the one that others gave to the same items, in (-1, 1).

    ``(likes - expected likes) / (rated + GENEROSITY_PRIOR)``, where the expected likes of an item are the share of the
    other users, among those whose ratings may be used, who liked it (the column ``expected`` of the history).

    Args:
        surplus: likes less expected likes.
        rated: events.

    >>> pl.select(generosity(pl.lit(2 - 2 * 0.5), pl.lit(2))).item()
    0.25
    """
    return surplus / (rated + GENEROSITY_PRIOR)


def level_of(value: float) -> int:
    """The place in ``LEVELS`` of a generosity; a value on a bound belongs to the higher level."""
    return bisect_right(CUTS, value)


FAME = (
    "almost only little-known",
    "mostly little-known",
    "both famous and little-known",
    "mostly famous",
    "almost only famous",
)
"""What the items of a history are, from the least known to the best known."""
FAME_CUTS = (0.3, 0.42, 0.58, 0.7)
"""Bounds between them, in mean fame. Not a setting: who writes a level, and who checks it, must mean the same."""
MIN_ITEMS = 2
"""Fewest items of a genre before a history is said to have many of it."""
MIN_SURPLUS = 0.05
"""By how much a genre's share of the history must exceed its share of everybody's, after smoothing."""
CONSUMPTION_PRIOR = 2
"""Strength of that smoothing: so many imagined items that are as everybody's."""


@dataclass(frozen=True)
class Consumption:
    """What a history is made of, next to everybody's."""

    genres: tuple[str, ...]
    """Genres that it has more of than everybody's histories have, the largest surplus first; as many as are told."""
    fame: int
    """How well known its items are: a place in ``FAME``."""


def consumption_surplus(events: Number, of_genre: Number, share: Number) -> Number:
    """By how much a genre exceeds its share of everybody's.

    ``(of it - events x share) / (events + CONSUMPTION_PRIOR)``

    >>> consumption_surplus(events=8, of_genre=6, share=0.25)
    0.4
    """
    return (of_genre - events * share) / (events + CONSUMPTION_PRIOR)


def fame_level(value: float) -> int:
    """The place in ``FAME`` of a mean fame; a value on a bound belongs to the higher level."""
    return bisect_right(FAME_CUTS, value)


class ProfileSettings(Settings):
    """How much evidence a claim about a user needs; whoever writes claims and whoever checks them read these."""

    min_items: int = Field(default=2, ge=1)
    """Fewest rated items of a genre before anything is said about it."""
    min_shift: float = Field(default=0.1, gt=0.0)
    """How far a genre's share of likes must lie from the user's own, after smoothing."""
    prior_items: float = Field(default=2.0, ge=0.0)
    """Strength of that smoothing: so many imagined items of the genre at the user's own share of likes."""
    min_tag_items: int = Field(default=3, ge=1)
    """Fewest rated items of a tag before anything is said about it; there are far more tags than genres."""
    most_consumed: Annotated[int, LATER] = Field(default=4, ge=1)
    """So many genres are told that a history has more of than everybody's. With more of them texts are longer: see that
    `teacher.max_tokens` and `prompts.reccot_tokens` have room."""

    @property
    def counting(self) -> Counting:
        """How claims count."""
        return Counting("own", self.prior_items)


def event_table(histories: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """Each event with what the catalogue says of its item.

    Args:
        histories: ``user_id, item_id, label`` and, where known, ``position`` (0: the user's oldest event), ``rating``,
            ``expected`` and ``shown``. Without positions a user's rows are taken as the whole history, oldest first.
        catalogue: titles, years, genres, tags, fame.

    Returns:
        One row an event, a user's rows oldest first: ``user_id, number`` (Int32, position + 1) ``, item_id, rating,
        label, expected, shown`` (whether its line is in view; true if nothing is said) ``, title, year, genres, tags,
        fame``.

    Raises:
        LogError: an item is not in the catalogue.
    """
    number = (
        pl.col("position") + 1 if "position" in histories.columns else pl.int_range(1, pl.len() + 1).over("user_id")
    )
    missing = {"rating": pl.lit(None, pl.Float64), "expected": pl.lit(None, pl.Float64), "shown": pl.lit(True)}
    rows = histories.select(
        "user_id",
        number.cast(pl.Int32).alias("number"),
        "item_id",
        pl.col("label").cast(pl.Int64),
        *(pl.col(name) if name in histories.columns else value.alias(name) for name, value in missing.items()),
    )
    known = catalogue.table
    if rows.schema["item_id"] != known.schema["item_id"]:
        rows = rows.with_columns(pl.col("item_id").cast(known.schema["item_id"]))
    rows = rows.join(known, on="item_id", how="left", maintain_order="left")
    if rows["genres"].null_count():
        catalogue[rows.filter(pl.col("genres").is_null())["item_id"][0]]  # says which item is lacking
        raise LogError("an event of a history has no item: expected an id of the catalogue")
    if "position" not in histories.columns:
        return rows
    rows = rows.with_row_index("first").with_columns(pl.col("first").min().over("user_id"))
    return rows.sort("first", "number").drop("first")


def user_counts(events: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """What a whole history says, one row a user, in the order of the events.

    Args:
        events: see :func:`event_table`.
        catalogue: its middle decade parts old items from others.

    Returns:
        ``user_id, rated, liked`` (events) ``, share`` (of likes) ``, generosity`` (see
        :mod:`trackrec.users.counts`; null where it is not known what others thought) ``, old`` (items from before
        ``Catalogue.middle_decade``; null if it has none) ``, fame`` (mean, null where nobody knows).
    """
    decade = catalogue.middle_decade
    told = pl.col("expected").is_not_null().all()
    old = pl.lit(None, pl.Int64) if decade is None else (pl.col("year") < decade).sum().cast(pl.Int64)
    # Sums in the order of events, so that a user's numbers do not depend on who else is counted.
    surplus = (pl.col("label") - pl.col("expected")).cum_sum().last()
    return events.group_by("user_id", maintain_order=True).agg(
        rated=pl.len().cast(pl.Int64),
        liked=pl.col("label").sum(),
        share=pl.col("label").sum() / pl.len(),
        generosity=pl.when(told).then(generosity(surplus, pl.len())),
        old=old,
        fame=pl.col("fame").cum_sum().last() / pl.len(),
    )


def left_over() -> pl.Expr:
    """By how much each event's ``label`` exceeds its ``expected``, less the user's mean of that."""
    beyond = pl.col("label") - pl.col("expected")
    return beyond - beyond.mean().over("user_id")


def smoothed_shift(excess: Number, rated: Number, prior: float) -> Number:
    """How far a genre or tag lies from a user's level: ``excess / (rated + prior)``.

    Args:
        excess: likes of it beyond what was to be expected.
        rated: events that have it.
        prior: see :class:`Counting`.

    >>> smoothed_shift(1.5, 3, prior=2)
    0.3
    """
    return excess / (rated + prior)


def name_counts(
    events: pl.DataFrame, kind: NameKind, counting: Counting, shares: Mapping[str, float] | None = None
) -> pl.DataFrame:
    """What a history says of each genre, or of each tag; events that have none count for none.

    Args:
        events: ``user_id, label`` and the lists of names in the column ``kind``; at the level of others also
            ``expected``; ``number`` if it is to be known which events have a name. See :func:`event_table`.
        kind: of names.
        counting: from which level, and the smoothing.
        shares: how common each name is among everybody's events; None: ``surplus`` is left out.

    Returns:
        ``user_id, name, rated, liked`` (events) ``, shift`` (see :func:`smoothed_shift`) ``, part`` (of the history
        that has it) and, where known, ``liked_events, other_events`` (their numbers) ``, surplus`` (of that part over
        everybody's, see :func:`consumption_surplus`).
    """
    label, of_user = pl.col("label"), pl.len().over("user_id").cast(pl.Int64)
    if counting.level == "own":
        level, excess = (label.sum() / pl.len()).over("user_id"), label.sum() - pl.len() * pl.col("level").first()
    else:
        level, excess = left_over(), pl.col("level").sum()
    sides = {"liked_events": label > 0, "other_events": label <= 0}
    numbers = [name for name in ("number",) if name in events.columns]
    names = pl.col(kind).list.unique(maintain_order=True)
    named = events.select("user_id", "label", *numbers, events=of_user, level=level, name=names).explode("name")
    named = named.filter(pl.col("name").is_not_null())
    counted = named.group_by("user_id", "name", maintain_order=True).agg(
        rated=pl.len().cast(pl.Int64),
        liked=label.sum(),
        events=pl.col("events").first(),
        shift=smoothed_shift(excess, pl.len(), counting.prior),
        **{name: pl.col(number).filter(which) for number in numbers for name, which in sides.items()},
    )
    counted = counted.with_columns(part=pl.col("rated") / pl.col("events"))
    if shares is not None:
        usual = pl.col("name").replace_strict(dict(shares) or {"": 0.0}, default=0.0, return_dtype=pl.Float64)
        counted = counted.with_columns(surplus=consumption_surplus(pl.col("events"), pl.col("rated"), usual))
    return counted.drop("events")
