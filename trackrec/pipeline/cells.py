"""One cell of a comparison: a model that sees so many events, trained with one arm's vectors; run in worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import polars as pl

from trackrec.data.roles import Role
from trackrec.data.statistics import ItemStatistics
from trackrec.metrics import auc, gauc, log_loss
from trackrec.pipeline.world import World
from trackrec.progress import Reporter
from trackrec.ranking.compare import RankingSettings, compare_arms
from trackrec.ranking.rerank import RerankingSettings, compare_rerankers
from trackrec.recipe import Recipe
from trackrec.run import Run
from trackrec.significance import PairedContrast, paired_contrast

CTR_METRICS = {"auc": auc, "gauc": gauc, "log_loss": log_loss}
LIST_METRICS = ("ndcg_3", "ndcg_7", "map_3", "map_7")


@dataclass(frozen=True)
class Cell:
    """A model of a comparison."""

    task: Literal["ctr", "rerank"]
    model: str
    recent: int
    """Recent events in view."""
    seeds: int
    """Trainings per fold and arm."""
    primary: bool
    """Whether the contrast named beforehand is read from it."""

    @property
    def name(self) -> str:
        """As in ``din-3``: the model and the events that it sees."""
        return f"{self.model}-{self.recent}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured of it."""
        return tuple(CTR_METRICS) if self.task == "ctr" else LIST_METRICS


@lru_cache(maxsize=1)
def _world(folder: Path, seed: int) -> World:
    return World.of(Run(folder, Reporter(), seed))


def train_arm(folder: Path, recipe: Recipe, cell: Cell, arm: str, vectors: pl.DataFrame | None) -> pl.DataFrame:
    """Train a cell's model with one arm, in all folds and with all seeds.

    Returns:
        What :func:`compare_arms` (or :func:`compare_rerankers`) returns for this arm.
    """
    world = _world(folder, recipe.seed)
    roles = world.ranker_users(recipe.write_for)
    if cell.task == "ctr":
        changes = {"backbone": cell.model, "recent": cell.recent, "seeds": cell.seeds}
        ranking = RankingSettings.model_validate(recipe.ranking.model_dump() | changes)
        return compare_arms(world, roles, world.items, {arm: vectors}, ranking, recipe.seed)
    settings = RerankingSettings.model_validate(
        {
            "name": cell.model,
            "recent": cell.recent,
            "seeds": cell.seeds,
            "components": recipe.ranking.components,
            "folds": recipe.ranking.folds,
        }
    )
    events = pl.concat([world.histories.select("user_id", "item_id"), world.examples.select("user_id", "item_id")])
    return compare_rerankers(
        world, roles, world.items, events, {arm: vectors}, settings, recipe.seed, _statistics(world, recipe)
    )


def _statistics(world: World, recipe: Recipe) -> ItemStatistics:
    """What LM users' events say of the items; no ranker user is among them."""
    columns = ("user_id", "event_id", "item_id", "rating", "timestamp", "label")
    users = world.users(Role.LM, Role.LM_EXTRA)
    known = pl.concat([world.histories.select(columns), world.examples.select(columns)])
    known = known.filter(pl.col("user_id").is_in(users))
    return ItemStatistics.from_interactions(known, recipe.split.like_threshold, recipe.statistics.prior_strength)


def contrast(
    cell: Cell, metric: str, arm: pl.DataFrame, against: pl.DataFrame, seed: int, draws: int
) -> dict[str, Any]:
    """The difference of an arm from another in one metric, paired over users within folds, on the mean over seeds.

    Args:
        cell: what was trained.
        metric: one of the cell's.
        arm, against: rows of :func:`train_arm`; both have the same examples or lists.
        seed, draws: of the bootstrap.
    """
    column = "probability" if cell.task == "ctr" else metric
    keys = ["user_id", "event_id"] if cell.task == "ctr" else ["user_id", "list"]
    tables = []
    for part in (arm, against):
        table = part.sort("seed", "fold", *keys)
        tables.append(table if cell.task == "ctr" else table.filter(pl.col(metric).is_not_nan()))
    first = tables[0].filter(pl.col("seed") == tables[0]["seed"][0])
    scores = [table[column].to_numpy().reshape(-1, first.height) for table in tables]
    users, folds = first["user_id"].to_numpy(), first["fold"].to_numpy()
    labels = first["label"].to_numpy() if cell.task == "ctr" else first["likes"].to_numpy()
    statistic = CTR_METRICS[metric] if cell.task == "ctr" else mean_of_lists
    found: PairedContrast = paired_contrast(statistic, users, labels, *scores, seed=seed, draws=draws, folds=folds)
    return {
        "metric": metric,
        "difference": found.difference,
        "lower": found.low,
        "upper": found.high,
        "p": found.p_value,
        "value": found.baseline + found.difference,
        "against_value": found.baseline,
        "folds": first["fold"].n_unique(),
        "seeds": scores[0].shape[0],
        "users": first["user_id"].n_unique(),
        "examples": first.height,
    }


def mean_of_lists(_likes: Any, values: Any) -> float:
    """Mean of a metric that each list has already."""
    return float(values.mean())
