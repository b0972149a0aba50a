"""The catalogue in memory: title, year, genres and knowledge card of each item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import RunError
from trackrec.files.tables import read_table

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
    def of_run(cls, run: Path, knowledge: Path | None = None) -> Cards:
        """The items of a run.

        Args:
            run: its folder.
            knowledge: JSON lines ``item_id, known, tags, gist``, for runs whose items have no cards of their own.

        Raises:
            RunError: the run has no items, or the file of cards cannot be read.
        """
        path = run / "tables" / "items.parquet"
        if not path.is_file():
            raise RunError(f"the run {run} has no table of items ({path}): give the folder of a run")
        items = read_table(path)
        if knowledge is not None and "tags" not in items.columns:
            try:
                told = [json.loads(line) for line in knowledge.read_text(encoding="utf-8").splitlines() if line.strip()]
                rows = [{name: card[name] for name in ("item_id", "known", "tags", "gist")} for card in told]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise RunError(
                    f"the cards in {knowledge} cannot be read ({error}): expected JSON lines with item_id, known, tags "
                    "and gist"
                ) from error
            cards = pl.DataFrame(rows).with_columns(pl.col("item_id").cast(items.schema["item_id"]))
            items = items.join(cards, on="item_id", how="left", maintain_order="left")
        return cls(items)

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

    def traits(self, item_id: Any) -> list[str]:
        """Genres and tags of an item."""
        card = self.get(item_id) or {}
        return list(dict.fromkeys([*(card.get("genres") or []), *(card.get("tags") or [])]))
