"""A log's split as numbers, with what is known of each item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from trackrec.data.feedback import add_negatives
from trackrec.data.filters import filter_log
from trackrec.data.new_items import draw_new_items
from trackrec.data.sources import read_log
from trackrec.data.split import split_log
from trackrec.knowledge.catalogue import add_knowledge, load_cards
from trackrec.recipe import Recipe

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Events:
    """Interactions as places in lists of users and items."""

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    label: Floats

    def of(self, mask: NDArray[np.bool_]) -> Events:
        """Those of a mask."""
        return Events(self.user[mask], self.item[mask], self.label[mask])


@dataclass(frozen=True)
class Tables:
    """A log's split as numbers."""

    users: list[Any]
    items: list[Any]
    histories: Events
    examples: Events
    """Under implicit feedback with the drawn negatives, as in a run."""
    attributes: dict[str, list[list[str]]]
    """Of each item, where there are such: ``genres``; ``tags``, as a run counts them beside genres, those that name a
    genre left out; ``cards``, the tags with those; ``genres and tags``."""

    @classmethod
    def of(cls, recipe: Recipe) -> Tables:
        """Read, filter and split the log, and join the cards."""
        source = read_log(recipe.source)
        log = filter_log(source, recipe.filters)
        split = split_log(log, recipe.split, recipe.feedback)
        if recipe.feedback.kind == "implicit":
            split = add_negatives(split, log.interactions, source.interactions, recipe.feedback, recipe.seed)
        items, cards = log.items, load_cards(recipe.knowledge, recipe.source.source)
        known: dict[str, Sequence[Any]] = {"genres": items["genres"].to_list()} if "genres" in items.columns else {}
        if cards is not None:
            known["tags"] = add_knowledge(items, cards, recipe.knowledge)[0]["tags"].to_list()
        if cards is not None and "genres" in known:
            known["cards"] = add_knowledge(items.drop("genres"), cards, recipe.knowledge)[0]["tags"].to_list()
            pairs = zip(known["genres"], known["tags"], strict=True)
            known["genres and tags"] = [[*(genres or ()), *tags] for genres, tags in pairs]
        users = split.users.to_list()
        place_of = {user: place for place, user in enumerate(users)}
        item_of = {item: place for place, item in enumerate(items["item_id"].to_list())}

        def events(table: pl.DataFrame) -> Events:
            return Events(
                np.array([place_of[user] for user in table["user_id"].to_list()], dtype=np.int64),
                np.array([item_of[item] for item in table["item_id"].to_list()], dtype=np.int64),
                table["label"].cast(pl.Float64).to_numpy(),
            )

        attributes = {name: [list(dict.fromkeys(row or [])) for row in rows] for name, rows in known.items()}
        attributes = {name: rows for name, rows in attributes.items() if any(rows)}
        return cls(users, items["item_id"].to_list(), events(split.histories), events(split.examples), attributes)

    def new(self, share: float, seed: int) -> NDArray[np.bool_]:
        """Which items are new, by a hash of the seed and the item's id."""
        drawn = set(draw_new_items(pl.Series(self.items), share, seed).to_list())
        return np.array([item in drawn for item in self.items])

    def folds(self, number: int, seed: int) -> NDArray[np.int64]:
        """The fold of each user, dealt out evenly in an order drawn by the seed."""
        return np.random.default_rng([seed, 7]).permutation(np.arange(len(self.users)) % number)

    def matrix(self, name: str | None, min_items: int) -> csr_array:
        """Which item has which attribute, shape (items, attributes): those of ``min_items`` items at least.

        Args:
            name: one of ``attributes``; None: no attribute at all.
            min_items: of rarer ones nothing is said.
        """
        rows: list[list[str]] = self.attributes[name] if name else [[] for _ in self.items]
        number = Counter(value for row in rows for value in row)
        kept = {value: place for place, value in enumerate(sorted(v for v, n in number.items() if n >= min_items))}
        pairs = [(item, kept[value]) for item, row in enumerate(rows) for value in row if value in kept]
        items, places = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return csr_array((np.ones(len(pairs)), (items, places)), shape=(len(rows), len(kept)))
