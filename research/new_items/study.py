"""What knowledge is worth on items that nobody has seen: counting with genres and with tags, on all and on new items.

A share of the items, drawn by a hash, is new: none of their events is in any count, history or training example. The
models are logistic regressions on a few counted numbers, so that what differs between the arms is what is known of the
items, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from research.new_items.counts import Means, Profile, likes_alone, sums
from research.new_items.tables import Events, Floats, Tables
from trackrec.errors import RecipeError
from trackrec.metrics.intervals import draw_users
from trackrec.metrics.probability import auc, gauc
from trackrec.recipe import Recipe
from trackrec.settings import Settings

METRICS: dict[str, Callable[..., float]] = {"auc": auc, "gauc": gauc}


class NewItemsSettings(Settings):
    """What the study compares."""

    new_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the catalogue that is new."""
    item_draws: int = Field(default=1, ge=1)
    """How often new items are drawn: by the recipe's seed, the next number, and so on."""
    folds: int = Field(default=5, ge=2)
    """Parts of the users; each is tested by models of the others."""
    min_items: int = Field(default=4, ge=1)
    """An attribute counts if so many items have it."""
    extremes: tuple[int, ...] = (2, 4, 8, 16)
    """Of a user's tags only the so many highest and so many lowest: what a text of that length could tell."""
    draws: int = Field(default=1000, ge=100)
    """Draws behind a 95% interval (users are drawn)."""


class Study(NamedTuple):
    """What the study found."""

    rows: list[dict[str, Any]]
    """One for each set of items (``all``, ``new``), arm and metric: ``value, low, high``, and against the arms
    ``means`` and ``genres`` the paired difference with its interval; ``users, examples`` read."""
    spread: list[dict[str, Any]]
    """One for each arm and metric on new items, see :func:`spread`."""


class Arm(NamedTuple):
    """What a model sees beside the means of item and user."""

    name: str
    attributes: str | None
    """A name of ``Tables.attributes``; None: none of them."""
    own_means: bool = True
    """Whether it sees how everybody likes the attributes, beside the user's profile."""
    extremes: int | None = None
    """Of the profile only so many highest and lowest; None: all."""


def arms(settings: NewItemsSettings, attributes: Collection[str]) -> list[Arm]:
    """The arms of the study, the simplest first: those whose attributes there are."""
    found = [Arm("means", None), Arm("genres: profile", "genres", own_means=False), Arm("genres", "genres")]
    found += [Arm("tags: profile", "tags", own_means=False), Arm("tags", "tags")]
    found += [Arm("cards", "cards"), Arm("genres and tags", "genres and tags")]
    found += [Arm(f"tags, {k} + {k} told", "tags", extremes=k) for k in settings.extremes]
    return [arm for arm in found if arm.attributes is None or arm.attributes in attributes]


def study(recipe: Recipe, settings: NewItemsSettings) -> Study:
    """All arms on all items, and on new ones.

    Args:
        recipe: log, split, what counts as a like, and knowledge cards.
        settings: see :class:`NewItemsSettings`.

    Raises:
        RecipeError: the log has neither genres nor cards.
    """
    tables = Tables.of(recipe)
    if not tables.attributes:
        raise RecipeError("the items have neither genres nor tags: name knowledge cards (--set knowledge.cards=...)")
    rows = _rows(tables, "all", np.zeros(len(tables.items), dtype=bool), settings, recipe.seed, settings.draws)
    draws = []
    for draw in range(settings.item_draws):  # the intervals are told of the first one
        new = tables.new(settings.new_share, recipe.seed + draw)
        draws.append(_rows(tables, "new", new, settings, recipe.seed, 0 if draw else settings.draws))
    return Study([*rows, *draws[0]], spread(draws))


def spread(draws: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """How much the choice of new items changes the figures; nothing for a single draw.

    Args:
        draws: the rows of each draw, in the same order.

    Returns:
        A row for each arm and metric: ``value`` and, where there is one, ``over_means`` and ``over_genres``, each
        ``mean, deviation`` (between draws, with n - 1), ``lowest, highest``; ``draws``, and ``examples`` on average.
    """
    if len(draws) < 2:
        return []
    found = []
    for same in zip(*draws, strict=True):
        row = {name: same[0][name] for name in ("items", "arm", "metric")}
        row |= {"draws": len(same), "examples": float(np.mean([one["examples"] for one in same]))}
        for name in ("value", "over_means", "over_genres"):
            if name in same[0]:
                values = np.array([np.ravel(one[name])[0] for one in same])
                row[name] = {
                    "mean": float(values.mean()), "deviation": float(values.std(ddof=1)),
                    "lowest": float(values.min()), "highest": float(values.max()),
                }  # fmt: skip
        found.append(row)
    return found


def _rows(
    tables: Tables, name: str, new: NDArray[np.bool_], settings: NewItemsSettings, seed: int, draws: int
) -> list[dict[str, Any]]:
    """The rows of one set of items, see :class:`Study`; without intervals if users are drawn 0 times."""
    chosen = arms(settings, tables.attributes)
    tested = tables.examples.of(new[tables.examples.item]) if new.any() else tables.examples
    scores = {arm.name: predict(tables, arm, settings, new, tested, seed) for arm in chosen}
    folds = tables.folds(settings.folds, seed)[tested.user]
    rows: list[dict[str, Any]] = []
    for metric, statistic in METRICS.items():
        each: list[tuple[ArrayLike, ...]] = [(tested.label, scores[arm.name]) for arm in chosen]
        value, drawn = draw_users(statistic, tested.user, each, seed, draws, folds)
        for place, arm in enumerate(chosen):
            row: dict[str, Any] = {"items": name, "arm": arm.name, "metric": metric}
            row |= dict(zip(("value", "low", "high"), _interval(value[place], drawn[:, place]), strict=False))
            row |= {"users": len(np.unique(tested.user)), "examples": len(tested.user)}
            for other, against in enumerate(chosen):
                if against.name in ("means", "genres") and against is not arm:
                    difference = drawn[:, place] - drawn[:, other]
                    row[f"over_{against.name}"] = _interval(value[place] - value[other], difference)
            rows.append(row)
    return rows


def _interval(value: float, drawn: Floats) -> list[float]:
    """The value and, where users were drawn, its 95% bounds."""
    return [float(value), *(np.nanquantile(drawn, [0.025, 0.975]).tolist() if len(drawn) else [])]


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
    folds = tables.folds(settings.folds, seed)
    past = tables.histories.of(~new[tables.histories.item])
    known = tables.examples.of(~new[tables.examples.item])
    has = tables.matrix(arm.attributes, settings.min_items)
    profile = Profile.of(past, has, len(tables.users), arm.extremes)
    result = np.empty(len(tested.user))
    for fold in range(settings.folds):
        held = folds == fold
        mine = [events.of(~held[events.user]) for events in (past, known)]
        # Of likes without dislikes no share can be counted; the examples have both.
        told = mine[1:] if likes_alone(past) else mine
        everybody = Events(*(np.concatenate([getattr(e, name) for e in told]) for name in ("user", "item", "label")))
        means = Means(everybody, has, len(tables.users))
        use_item = not new.any()
        train, test = mine[1], tested.of(held[tested.user])
        columns = [_features(part, profile, means, has, arm, use_item) for part in (train, test)]
        scaler = StandardScaler().fit(columns[0])
        model = LogisticRegression(C=1.0).fit(scaler.transform(columns[0]), train.label)
        result[held[tested.user]] = model.predict_proba(scaler.transform(columns[1]))[:, 1]
    return result


def _features(rows: Events, profile: Profile, means: Means, has: csr_array, arm: Arm, use_item: bool) -> Floats:
    """The numbers that a model sees of each example, shape (examples, numbers)."""
    user = profile.mean[rows.user]
    columns = [np.log(user / (1 - user))]
    if use_item:
        columns.append(means.item(rows))
    if arm.attributes:
        columns.append(sums(profile.excess, rows, has))
        if arm.own_means:
            columns.append(means.attribute(rows))
    return np.stack(columns, axis=1)
