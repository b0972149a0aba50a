"""What is worth knowing of an item, written from the catalogue alone: KAR's item knowledge without a model."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import polars as pl

from trackrec.data.log import stable_hash
from trackrec.prompts.domains import Domain
from trackrec.users.catalogue import Catalogue, Item

EXAMPLES = 2
"""So many similar items are named."""


class ItemTeacher:
    """Writes an item RecCoT: what kind of item it is, how rare that is, of which time, and what is like it.

    It reads the catalogue and nothing else, so the text holds nothing of any user and can be written for an item that
    nobody has met. Every claim can be counted again.

    Args:
        items: ``item_id, title`` and, where known, ``year`` and ``genres``.
        domain: its nouns.

    Source:
        KAR (arXiv 2306.10933, section 3.2) asks a language model for an item's factual knowledge.
    """

    def __init__(self, items: pl.DataFrame, domain: Domain) -> None:
        self.domain = domain
        catalogue = Catalogue(items)
        self.ids = items["item_id"].unique(maintain_order=True)
        self._items: dict[object, Item] = {item: catalogue[item] for item in self.ids.to_list()}
        self._with_genre = Counter(genre for item in self._items.values() for genre in set(item.genres))
        self._like: dict[tuple[str, ...], list[object]] = defaultdict(list)
        for key, item in self._items.items():
            if item.genres:
                self._like[_kind(item)].append(key)

    def write(self, item_id: object, seed: int) -> str | None:
        """The item's RecCoT, or None if the catalogue says no more than its title.

        Args:
            item_id: an item of the catalogue.
            seed: chooses the similar items that are named; the same seed and item give the same text.
        """
        item = self._items[item_id]
        if not item.genres and item.year is None:
            return None
        kind = f"{' and '.join(item.genres)} {self.domain.item}" if item.genres else self.domain.item
        time = "" if item.year is None else f" from {item.year}, of the {item.year // 10 * 10}s"
        parts = [f"{item.title} is a {kind}{time}."]
        for genre in item.genres:
            share = round(100 * self._with_genre[genre] / len(self._items))
            rarity = f"{share} in 100" if share else "fewer than 1 in 100"
            parts.append(f"{genre}: {rarity} {self.domain.items} of the catalogue.")
        if similar := self._similar(item_id, item, seed):
            parts.append(f"Others of just this kind: {', '.join(similar)}.")
        return " ".join(parts)

    def write_all(self, seed: int) -> pl.DataFrame:
        """``item_id, text`` (null: nothing to say), in the catalogue's order."""
        texts = [self.write(item, seed) for item in self.ids.to_list()]
        return pl.DataFrame({"item_id": self.ids, "text": pl.Series(texts, dtype=pl.String)})

    def _similar(self, item_id: object, item: Item, seed: int) -> list[str]:
        """Titles of items with the same genres, the nearest in time first among some drawn ones."""
        others = [other for other in self._like.get(_kind(item), []) if other != item_id]
        random = np.random.default_rng([seed, stable_hash(item_id)])
        drawn = [others[place] for place in random.permutation(len(others))[: 10 * EXAMPLES]]
        if (year := item.year) is not None:
            drawn.sort(key=lambda other: abs((self._items[other].year or 0) - year))
        return [self._items[other].short_title for other in drawn[:EXAMPLES]]


def _kind(item: Item) -> tuple[str, ...]:
    return tuple(sorted(set(item.genres)))
