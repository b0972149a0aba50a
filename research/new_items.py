"""What knowledge is worth on items that nobody has seen: counting with genres and with tags, on all and on new items.

A share of the items, drawn by a hash, is new: none of their events is in any count, history or training example. The
models are logistic regressions on a few counted numbers, so that what differs between the arms is what is known of the
items, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import coo_array
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from trackrec.data.filters import filter_log
from trackrec.data.log import stable_hash
from trackrec.data.sources import read_log
from trackrec.data.split import split_log
from trackrec.errors import RecipeError
from trackrec.knowledge.catalogue import add_knowledge, load_cards
from trackrec.metrics.intervals import bootstrap_users, paired_bootstrap
from trackrec.metrics.probability import auc, gauc
from trackrec.recipe import Recipe
from trackrec.settings import Settings

Floats = NDArray[np.float64]
PRIOR = 2.0
"""Imagined events that draw a count towards its mean."""
METRICS: dict[str, Callable[..., float]] = {"auc": auc, "gauc": gauc}


class NewItemsSettings(Settings):
    """What the study compares."""

    new_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the catalogue that is new."""
    folds: int = Field(default=5, ge=2)
    """Parts of the users; each is tested by models of the others."""
    min_items: int = Field(default=4, ge=1)
    """An attribute counts if so many items have it."""
    extremes: tuple[int, ...] = (2, 4, 8, 16)
    """Of a user's tags only the so many highest and so many lowest: what a text of that length could tell."""
    draws: int = Field(default=1000, ge=100)
    """Draws behind a 95% interval (users are drawn)."""


class Arm(NamedTuple):
    """What a model sees beside the means of item and user."""

    name: str
    attributes: str | None
    """``genres`` or ``tags``; None: neither."""
    own_means: bool = True
    """Whether it sees how everybody likes the attributes, beside the user's profile."""
    extremes: int | None = None
    """Of the profile only so many highest and lowest; None: all."""


@dataclass(frozen=True)
class Events:
    """Interactions as places in lists of users and items."""

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    label: Floats

    def of(self, mask: NDArray[np.bool_]) -> Events:
        """Those of a mask."""
        return Events(self.user[mask], self.item[mask], self.label[mask])


def arms(settings: NewItemsSettings, tags: bool) -> list[Arm]:
    """The arms of the study, the simplest first."""
    found = [Arm("means", None), Arm("genres: profile", "genres", own_means=False), Arm("genres", "genres")]
    if tags:
        found += [Arm("tags: profile", "tags", own_means=False), Arm("tags", "tags")]
        found += [Arm(f"tags, {k} + {k} told", "tags", extremes=k) for k in settings.extremes]
    return found


def study(recipe: Recipe, settings: NewItemsSettings) -> list[dict[str, Any]]:
    """All arms on all items, and on new ones.

    Args:
        recipe: log, split, what counts as a like, and knowledge cards.
        settings: see :class:`NewItemsSettings`.

    Returns:
        A row for each set of items (``all``, ``new``), arm and metric: ``value, low, high``, and against the arm
        ``means`` and, for tags, against ``genres`` the paired ``difference`` with its interval; ``users, examples``
        read.

    Raises:
        RecipeError: the log has neither genres nor cards.
    """
    tables = Tables.of(recipe)
    if not tables.attributes:
        raise RecipeError("the items have neither genres nor tags: name knowledge cards (--set knowledge.cards=...)")
    chosen = [
        arm for arm in arms(settings, "tags" in tables.attributes) if arm.attributes in (None, *tables.attributes)
    ]
    rows: list[dict[str, Any]] = []
    for name, new in (("all", np.zeros(len(tables.items), dtype=bool)), ("new", tables.new(settings, recipe.seed))):
        tested = tables.examples.of(new[tables.examples.item]) if new.any() else tables.examples
        scores = {arm.name: predict(tables, arm, settings, new, tested, recipe.seed) for arm in chosen}
        folds = tables.folds(settings, recipe.seed)[tested.user]
        for metric, statistic in METRICS.items():
            for arm in chosen:
                told = bootstrap_users(
                    statistic, tested.user, *(tested.label, scores[arm.name]),
                    seed=recipe.seed, draws=settings.draws, folds=folds,
                )  # fmt: skip
                row = {"items": name, "arm": arm.name, "metric": metric, **told._asdict()}
                row |= {"users": len(np.unique(tested.user)), "examples": len(tested.user)}
                for other in ("means", "genres"):
                    if other in scores and other != arm.name:
                        difference = paired_bootstrap(
                            statistic, tested.user, tested.label, scores[arm.name], scores[other],
                            seed=recipe.seed, draws=settings.draws, folds=folds,
                        )  # fmt: skip
                        row[f"over_{other}"] = list(difference)
                rows.append(row)
    return rows


@dataclass(frozen=True)
class Tables:
    """A log's split as numbers."""

    users: list[Any]
    items: list[Any]
    histories: Events
    examples: Events
    attributes: dict[str, list[list[str]]]
    """``genres`` and ``tags`` of each item, where there are such."""

    @classmethod
    def of(cls, recipe: Recipe) -> Tables:
        """Read, filter and split the log, and join the cards."""
        log = filter_log(read_log(recipe.source), recipe.filters)
        split = split_log(log, recipe.split, recipe.feedback)
        items, cards = log.items, load_cards(recipe.knowledge, recipe.source.source)
        if cards is not None:
            items, _ = add_knowledge(items, cards, recipe.knowledge)
        users = split.users.to_list()
        place_of = {user: place for place, user in enumerate(users)}
        item_of = {item: place for place, item in enumerate(items["item_id"].to_list())}

        def events(table: pl.DataFrame) -> Events:
            return Events(
                np.array([place_of[user] for user in table["user_id"].to_list()], dtype=np.int64),
                np.array([item_of[item] for item in table["item_id"].to_list()], dtype=np.int64),
                table["label"].cast(pl.Float64).to_numpy(),
            )

        known: dict[str, list[Any]] = {
            name: items[name].to_list() for name in ("genres", "tags") if name in items.columns
        }
        attributes = {name: [list(dict.fromkeys(row or [])) for row in rows] for name, rows in known.items()}
        attributes = {name: rows for name, rows in attributes.items() if any(rows)}
        return cls(users, items["item_id"].to_list(), events(split.histories), events(split.examples), attributes)

    def new(self, settings: NewItemsSettings, seed: int) -> NDArray[np.bool_]:
        """Which items are new, by a hash of the seed and the item's id."""
        hashes = np.array([stable_hash(f"{seed}/new/{item}") % 10_000 for item in self.items])
        return hashes < settings.new_share * 10_000

    def folds(self, settings: NewItemsSettings, seed: int) -> NDArray[np.int64]:
        """The fold of each user, dealt out evenly in an order drawn by the seed."""
        return np.random.default_rng([seed, 7]).permutation(np.arange(len(self.users)) % settings.folds)

    def matrix(self, name: str, min_items: int) -> Floats:
        """Which item has which attribute, shape (items, attributes); those of ``min_items`` items at least."""
        rows = self.attributes[name]
        counts: dict[str, int] = {}
        for row in rows:
            for value in row:
                counts[value] = counts.get(value, 0) + 1
        kept = {value: place for place, value in enumerate(sorted(v for v, n in counts.items() if n >= min_items))}
        found = np.zeros((len(rows), len(kept)))
        for item, row in enumerate(rows):
            for value in row:
                if value in kept:
                    found[item, kept[value]] = 1.0
        return found


def predict(
    tables: Tables, arm: Arm, settings: NewItemsSettings, new: NDArray[np.bool_], tested: Events, seed: int
) -> Floats:
    """P(like) of the tested examples, each by the model of the other folds.

    Args:
        tables: the split.
        arm: what is seen.
        settings: see :class:`NewItemsSettings`.
        new: which items are new; nothing of their events is counted or learned from.
        tested: the examples.
        seed: of the folds.

    Returns:
        Shape (examples,).
    """
    folds = tables.folds(settings, seed)
    past = tables.histories.of(~new[tables.histories.item])
    known = tables.examples.of(~new[tables.examples.item])
    has = tables.matrix(arm.attributes, settings.min_items) if arm.attributes else np.zeros((len(tables.items), 0))
    profile = Profile.of(past, has, len(tables.users), arm.extremes)
    result = np.empty(len(tested.user))
    for fold in range(settings.folds):
        held = folds == fold
        mine = [events.of(~held[events.user]) for events in (past, known)]
        everybody = Events(*(np.concatenate([getattr(e, name) for e in mine]) for name in ("user", "item", "label")))
        means = Means(everybody, has, len(tables.users))
        use_item = not new.any()
        train, test = mine[1], tested.of(held[tested.user])
        columns = [_features(part, profile, means, has, arm, use_item) for part in (train, test)]
        scaler = StandardScaler().fit(columns[0])
        model = LogisticRegression(C=1.0).fit(scaler.transform(columns[0]), train.label)
        result[held[tested.user]] = model.predict_proba(scaler.transform(columns[1]))[:, 1]
    return result


@dataclass(frozen=True)
class Profile:
    """What each user's own history says."""

    mean: Floats
    """Share of likes, shape (users,), drawn to everybody's."""
    excess: Floats
    """Likes beyond the user's own mean by attribute, shape (users, attributes), drawn to 0."""

    @classmethod
    def of(cls, past: Events, has: Floats, users: int, extremes: int | None) -> Profile:
        """Count histories.

        Args:
            past: the histories' events.
            has: which item has which attribute.
            users: how many.
            extremes: of each user only the so many highest and lowest values stay.
        """
        likes, seen = (np.bincount(past.user, weights, users) for weights in (past.label, np.ones(len(past.user))))
        mean = (likes + PRIOR * past.label.mean()) / (seen + PRIOR)
        beyond = past.label - mean[past.user]
        sums = _counts(past, beyond, users, len(has)) @ has
        counts = _counts(past, np.ones(len(past.user)), users, len(has)) @ has
        excess = sums / (counts + PRIOR)
        if extremes is not None and has.shape[1] > 2 * extremes:
            order = np.argsort(excess, axis=1, kind="stable")
            dropped = order[:, extremes:-extremes]
            np.put_along_axis(excess, dropped, 0.0, axis=1)
        return cls(mean, excess)


class Means:
    """How others like an item or an attribute: counts of the training users, the asking user's own left out.

    Args:
        events: of the training users.
        has: which item has which attribute.
        users: how many.
    """

    def __init__(self, events: Events, has: Floats, users: int) -> None:
        self.share = float(events.label.mean())
        weights = (events.label, np.ones(len(events.user)))
        own = [_counts(events, weight, users, len(has)) for weight in weights]
        self._items = self._log_odds(*(part.sum(axis=0, keepdims=True) - part for part in own))
        of_attributes = [part @ has for part in own]
        odds = self._log_odds(*(part.sum(axis=0, keepdims=True) - part for part in of_attributes))
        even = self._log_odds(np.zeros(1), np.zeros(1))
        self._attributes = (odds - even) @ has.T / np.maximum(has.sum(axis=1), 1)

    def item(self, rows: Events) -> Floats:
        """Log-odds of each row's item, without the row's user."""
        return np.asarray(self._items[rows.user, rows.item])

    def attribute(self, rows: Events) -> Floats:
        """Mean log-odds of the attributes of each row's item, without the row's user; 0 for an item without any."""
        return np.asarray(self._attributes[rows.user, rows.item])

    def _log_odds(self, likes: Floats, seen: Floats) -> Floats:
        mean = (likes + PRIOR * self.share) / (seen + PRIOR)
        mean = np.clip(mean, 1e-3, 1 - 1e-3)
        return np.asarray(np.log(mean / (1 - mean)))


def _counts(events: Events, weights: Floats, users: int, items: int) -> Floats:
    """Sums of weights by user and item, shape (users, items)."""
    return np.asarray(coo_array((weights, (events.user, events.item)), shape=(users, items)).toarray())


def _features(rows: Events, profile: Profile, means: Means, has: Floats, arm: Arm, use_item: bool) -> Floats:
    """The numbers that a model sees of each example, shape (examples, numbers)."""
    user = profile.mean[rows.user]
    columns = [np.log(user / (1 - user))]
    if use_item:
        columns.append(means.item(rows))
    if arm.attributes:
        columns.append((profile.excess @ has.T)[rows.user, rows.item])
        if arm.own_means:
            columns.append(means.attribute(rows))
    return np.stack(columns, axis=1)


def print_study(rows: Sequence[dict[str, Any]], say: Any) -> None:
    """The study as a table in the terminal, one for all items and one for new ones."""
    from rich.table import Table

    def told(value: Any) -> str:
        return "" if value is None else f"{value[0]:+.4f} [{value[1]:.4f}, {value[2]:.4f}]"

    for items in dict.fromkeys(row["items"] for row in rows):
        mine = [row for row in rows if row["items"] == items]
        title = f"{items} items: {mine[0]['users']} users, {mine[0]['examples']:,} examples"
        table = Table("what is seen", "metric", "value [95%]", "over means", "over genres", title=title)
        for row in mine:
            value = f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
            table.add_row(row["arm"], row["metric"], value, told(row.get("over_means")), told(row.get("over_genres")))
        say(table)
