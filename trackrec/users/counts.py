"""Counts of histories, many users at once: how much was liked, how old and how famous it is, and each genre and tag."""

from __future__ import annotations

from typing import Literal, TypeVar

import polars as pl
from pydantic import Field

from trackrec.errors import LogError
from trackrec.settings import Settings
from trackrec.users.catalogue import Catalogue
from trackrec.users.consumption import surplus as consumption_surplus
from trackrec.users.generosity import generosity

Number = TypeVar("Number", float, pl.Expr)
NameKind = Literal["genres", "tags"]
"""Which of an item's names are counted."""
NAME_KINDS: tuple[NameKind, ...] = ("genres", "tags")
DIRECTIONS_PRIOR = 3
"""What ``prior_items`` is to claims, for the directions of text vectors (:mod:`trackrec.users.numbers`). Not a setting:
the directions are the yardstick that texts are compared by, so it must not move with what a recipe lets texts say."""


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
        :mod:`trackrec.users.generosity`; null where it is not known what others thought) ``, old`` (items from before
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


def events_by_name(events: pl.DataFrame, kind: NameKind) -> pl.DataFrame:
    """Each event once for each of its genres or tags, as ``name``; events without any are left out.

    Args:
        events: with the lists in the column ``kind``.
        kind: of names.
    """
    named = events.with_columns(name=pl.col(kind).list.unique(maintain_order=True))
    return named.explode("name").filter(pl.col("name").is_not_null())


def smoothed_shift(excess: Number, rated: Number, prior: float) -> Number:
    """How far a genre or tag lies from the user's own level: ``excess / (rated + prior)``.

    Args:
        excess: likes of it beyond what was to be expected.
        rated: events that have it.
        prior: so many imagined events that lie where they were to be expected.

    >>> smoothed_shift(1.5, 3, prior=2)
    0.3
    """
    return excess / (rated + prior)


def name_counts(events: pl.DataFrame, kind: NameKind, catalogue: Catalogue, settings: ProfileSettings) -> pl.DataFrame:
    """What a history says of each genre, or of each tag.

    Args:
        events: see :func:`event_table`.
        kind: of names.
        catalogue: how common each name is among everybody's events.
        settings: the smoothing.

    Returns:
        ``user_id, name, rated, liked, shift`` (its smoothed share of likes less the user's own: ``(liked - rated x
        share) / (rated + prior_items)``) ``, part`` (of the history that has it) ``, surplus`` (of that part over
        everybody's, see :func:`trackrec.users.consumption.surplus`) ``, liked_events, other_events`` (their numbers).
    """
    own = events.select("user_id", "number", "label", kind).with_columns(
        events=pl.len().over("user_id").cast(pl.Int64),
        share=(pl.col("label").sum() / pl.len()).over("user_id"),
    )
    own = events_by_name(own, kind)
    shares = catalogue.genre_shares if kind == "genres" else catalogue.tag_shares
    counted = own.group_by("user_id", "name", maintain_order=True).agg(
        rated=pl.len().cast(pl.Int64),
        liked=pl.col("label").sum(),
        share=pl.col("share").first(),
        events=pl.col("events").first(),
        liked_events=pl.col("number").filter(pl.col("label") > 0),
        other_events=pl.col("number").filter(pl.col("label") <= 0),
    )
    rated, liked, number = pl.col("rated"), pl.col("liked"), pl.col("events")
    usual = pl.col("name").replace_strict(dict(shares) or {"": 0.0}, default=0.0, return_dtype=pl.Float64)
    return counted.select(
        "user_id",
        "name",
        "rated",
        "liked",
        shift=smoothed_shift(liked - rated * pl.col("share"), rated, settings.prior_items),
        part=rated / number,
        surplus=consumption_surplus(number, rated, usual),
        liked_events="liked_events",
        other_events="other_events",
    )
