"""Histories as plain texts for the text encoder: what a RecCoT is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from trackrec.prompts.domains import Domain
from trackrec.users.catalogue import Catalogue


def history_texts(
    histories: pl.DataFrame, items: pl.DataFrame, domain: Domain, attributes: Sequence[str] = (), tags: int = 0
) -> pl.DataFrame:
    """Each user's history as it stands, a line an event, oldest first: ``user_id, text``.

    The lines are those of the generator's prompt, with no limit of tokens: the arm "raw-history text" knows all that
    the RecCoT was written from. :class:`trackrec.features.encoder.TextEncoder` reads a long text in windows and takes
    the mean of their vectors.

    Args:
        histories: ``user_id, position, item_id, rating``.
        items: the catalogue.
        domain: how genres are separated.
        attributes: further columns of the items to tell.
        tags: so many tags of an item's knowledge card are told.
    """
    catalogue = Catalogue(items, attributes)
    rows = histories.sort("user_id", "position").select("user_id", "item_id", "rating")
    separator = domain.genre_separator
    lines = [f"{rating:g}: {catalogue[item].describe(separator, tags)}" for _, item, rating in rows.iter_rows()]
    return (
        rows.select("user_id")
        .with_columns(text=pl.Series(lines, dtype=pl.String))
        .group_by("user_id", maintain_order=True)
        .agg(pl.col("text").str.join("\n"))
    )
