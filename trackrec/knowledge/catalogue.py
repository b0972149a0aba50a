"""Cards joined to the catalogue: the items' columns ``tags, gist, known``."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import polars as pl
from pydantic import Field

from trackrec.errors import LogError, RecipeError
from trackrec.knowledge.card import EMBEDDED, Cards, cards_file, read_cards
from trackrec.knowledge.vocabulary import build_vocabulary
from trackrec.knowledge.writer import CardWriterSettings
from trackrec.settings import LATER, Settings


class KnowledgeSettings(Settings):
    """What is known of items beside the catalogue."""

    cards: str | None = None
    """Cards of the items: ``movielens-100k`` or ``lastfm-2k`` (they ship with the package, each for the source of its
    name), or a file of JSON lines or Parquet. null: none."""
    overrides: str | None = None
    """A file of cards that take the place of those of ``cards``, such as corrections by hand. null: none."""
    min_items: int = Field(default=2, ge=1)
    """A tag must be on so many items of the catalogue, after merging; rarer ones say nothing of other items."""
    near_duplicates: bool = True
    """Whether tags that differ by one letter are merged ("nostalgia" and "nostalgic"), beside those that differ in
    case, hyphens or number alone."""
    leave_out: tuple[str, ...] = ()
    """Tags that are not used, such as those of an item's standing ("critically acclaimed")."""
    as_genres: Annotated[bool, LATER] = False
    """Whether the tags take the place of the catalogue's genres wherever texts and models speak of genres: for
    catalogues that have none, or none of new items."""
    writer: CardWriterSettings = CardWriterSettings()
    """How `trackrec knowledge` writes cards; a run does not read it."""


_LOG = logging.getLogger(__name__)
COLUMNS = ("tags", "gist", "known")
"""What the items table gets: ``tags`` (list of String, merged; empty where nothing is known), ``gist`` (String or null)
and ``known`` (Int8; 0 where there is no card)."""


def load_cards(settings: KnowledgeSettings, source: str) -> Cards | None:
    """The cards that a recipe names, with its overrides; None where it names none.

    Args:
        settings: which cards.
        source: name of the recipe's data source; embedded cards speak of one source's ids alone.

    Raises:
        RecipeError: embedded cards with another source, or overrides of nothing.
        LogError: a file is missing, unreadable or without a usable card.
    """
    if settings.cards is None:
        if settings.overrides is not None:
            raise RecipeError(
                f"knowledge.overrides is {settings.overrides!r}, but knowledge.cards is null: name the cards that it "
                "corrects, or make it knowledge.cards"
            )
        return None
    if EMBEDDED.get(settings.cards, source) != source:
        raise RecipeError(
            f"knowledge.cards is {settings.cards!r}, whose cards go by the item ids of the source "
            f"{EMBEDDED[settings.cards]!r}; this recipe's source is {source!r}, where an id is another item. Write "
            "cards for it with `trackrec knowledge`, or set knowledge.cards to null"
        )
    cards = read_cards(cards_file(settings.cards))
    if settings.overrides is None:
        return cards
    over = read_cards(cards_file(settings.overrides))
    kept = cards.table.join(over.table, on="item_id", how="anti", maintain_order="left")
    table = pl.concat([kept, over.table])
    counts = cards.counts | {f"overrides_{name}": number for name, number in over.counts.items()}
    counts |= {"cards": table.height, "not_known": int((table["known"] == 0).sum())}
    return Cards(table, counts, (*cards.warnings, *over.warnings))


def add_knowledge(
    items: pl.DataFrame, cards: Cards, settings: KnowledgeSettings
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The items with ``tags, gist, known``, and what became of the cards.

    Args:
        items: the catalogue, with ``item_id`` and, where known, ``genres``.
        cards: see :func:`load_cards`.
        settings: how tags are merged.

    Returns:
        The items in their order, and counts: those of the cards, ``unknown_ids`` (cards of items that the catalogue
        does not have), ``items_without_card``, and those of :class:`trackrec.knowledge.vocabulary.TagVocabulary`.

    Raises:
        LogError: no card is of an item of the catalogue, or the catalogue has a column of that name already.
    """
    items = items.drop("genres", strict=False) if settings.as_genres else items
    taken = [name for name in COLUMNS if name in items.columns]
    if taken:
        raise LogError(
            f"the catalogue already has the columns {', '.join(taken)}, which knowledge cards add: rename them in the "
            "log, or set knowledge.cards to null"
        )
    ids = items.select("item_id", key=pl.col("item_id").cast(pl.String))
    unknown = cards.table.join(ids, left_on="item_id", right_on="key", how="anti")
    if unknown.height == cards.table.height:
        raise LogError(
            f"none of {cards.table.height:,} knowledge cards is of one of the {items.height:,} items: their ids are"
            f" such as {cards.table['item_id'][0]!r}, the items' such as {items['item_id'][0]!r}. Take cards of this"
            " log's own catalogue"
        )
    told = cards.table.select(pl.col("item_id").alias("key"), "tags", "gist", "known")
    joined = ids.join(told, on="key", how="left", maintain_order="left")
    without = int(joined["known"].null_count())
    found: list[list[str]] = [list(tags or ()) for tags in joined["tags"].to_list()]
    vocabulary = build_vocabulary(
        found, settings.min_items, settings.near_duplicates, _genres(items), settings.leave_out
    )
    columns: dict[str, Any] = {
        "genres" if settings.as_genres else "tags": pl.Series(
            [vocabulary(tags) for tags in found], dtype=pl.List(pl.String)
        ),
        "gist": joined["gist"],
        "known": joined["known"].fill_null(0),
    }
    counts = cards.counts | {"unknown_ids": unknown.height, "items_without_card": without} | dict(vocabulary.counts)
    warnings = list(cards.warnings)
    if unknown.height:
        some = ", ".join(repr(one) for one in unknown["item_id"].head(3).to_list())
        warnings.append(f"{unknown.height:,} knowledge cards are of items that the catalogue does not have ({some})")
    if without:
        warnings.append(f"{without:,} of {items.height:,} items have no knowledge card: nothing is told of them")
    for line in warnings:
        _LOG.warning(line)
    return items.with_columns(**columns), counts


def _genres(items: pl.DataFrame) -> list[str]:
    if "genres" not in items.columns:
        return []
    return items["genres"].explode().drop_nulls().unique().sort().to_list()
