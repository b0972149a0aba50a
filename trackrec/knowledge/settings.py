"""Settings of item knowledge: which cards a run reads, and how their tags become a vocabulary."""

from __future__ import annotations

from pydantic import Field

from trackrec.knowledge.writer import CardWriterSettings
from trackrec.settings import Settings


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
    as_genres: bool = False
    """Whether the tags take the place of the catalogue's genres wherever texts and models speak of genres: for
    catalogues that have none, or none of new items."""
    writer: CardWriterSettings = CardWriterSettings()
    """How `trackrec knowledge` writes cards; a run does not read it."""
