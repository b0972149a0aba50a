"""The catalogue in memory: title, year, genres and knowledge card of each item."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import RunError
from trackrec.files.manifests import as_written
from trackrec.files.tables import read_table
from trackrec.knowledge.card import EMBEDDED, cards_file, read_cards
from trackrec.recipe import load_recipe

LOG = logging.getLogger("trackrec.serving")
_NOTHING: dict[str, Any] = {}
_COLUMNS = ("title", "year", "genres", "tags", "gist", "known")


class Cards:
    """Items by id.

    Args:
        items: ``item_id`` and whatever is known of ``title, year, genres, tags, gist, known``.
    """

    def __init__(self, items: pl.DataFrame) -> None:
        columns = ["item_id", *(name for name in _COLUMNS if name in items.columns)]
        self._cards = {str(row["item_id"]): row for row in items.select(columns).iter_rows(named=True)}

    @classmethod
    def of_run(cls, run: Path, knowledge: str | None = None) -> Cards:
        """The items of a run.

        Args:
            run: its folder.
            knowledge: a file of cards or the name of embedded ones, for runs whose items have no cards of their own.

        Raises:
            RunError: the run has no items.
            LogError: the cards cannot be read.
        """
        path = run / "tables" / "items.parquet"
        if not path.is_file():
            raise RunError(f"the run {run} has no table of items ({path}): give the folder of a run")
        items = read_table(as_written(run, path))
        if knowledge is not None and "tags" not in items.columns:
            found = read_cards(cards_file(knowledge))
            for line in found.warnings:
                LOG.warning("%s", line)
            cards = found.table.select("item_id", "known", "tags", "gist")
            cards = cards.with_columns(pl.col("item_id").cast(items.schema["item_id"], strict=False))
            items = items.join(cards, on="item_id", how="left", maintain_order="left")
        return cls(items)

    @staticmethod
    def shipped_for(run: Path) -> str | None:
        """The name of the embedded cards of a run's log, where its items have no cards of their own; None: no such."""
        source = load_recipe(run / "recipe.yaml").source.source
        own = "tags" in read_table(as_written(run, run / "tables" / "items.parquet")).columns
        return None if own else next((name for name, of in EMBEDDED.items() if of == source), None)

    def __len__(self) -> int:
        return len(self._cards)

    def get(self, item_id: Any) -> dict[str, Any] | None:
        """The card of an item; None: it is not in the catalogue. An item that is not known has no tags and no gist."""
        card = self._cards.get(str(item_id))
        if card is None:
            return None
        if card.get("known") == 0:
            return {**card, "tags": [], "gist": ""}
        return card

    def title(self, item_id: Any) -> str | None:
        """The title of an item; None: it has none, or is not in the catalogue."""
        title: str | None = self._cards.get(str(item_id), _NOTHING).get("title")
        return title

    def traits(self, item_id: Any) -> list[str]:
        """Genres and tags of an item."""
        card = self.get(item_id) or {}
        return list(dict.fromkeys([*(card.get("genres") or []), *(card.get("tags") or [])]))
