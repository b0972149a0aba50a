"""One cell of a comparison: a model that sees so many events, trained with each arm's vectors, in worker processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from trackrec.calibration import equal_mass_calibration_error
from trackrec.cold_start import break_down
from trackrec.data.roles import Role
from trackrec.data.statistics import ItemStatistics
from trackrec.list_metrics import mean_of_lists
from trackrec.metrics import auc, gauc, log_loss
from trackrec.pipeline.world import World
from trackrec.progress import Reporter
from trackrec.ranking.arm import Inputs
from trackrec.ranking.compare import RankingSettings, compare_arms, seen_counts
from trackrec.ranking.rerank import RerankingSettings, compare_rerankers
from trackrec.ranking.search import Trial
from trackrec.recipe import Recipe
from trackrec.run import Run
from trackrec.significance import PairedContrast, paired_contrast, seed_spread

CTR_METRICS: dict[str, Callable[..., float]] = {
    "auc": auc,
    "gauc": gauc,
    "log_loss": log_loss,
    "calibration_error": equal_mass_calibration_error,
}
BREAKDOWN_METRICS: dict[str, Callable[..., float]] = {"auc": auc, "gauc": gauc}
CALIBRATION_DRAWS = 200
"""Most draws of the calibration error, which has to sort anew in each: its interval is rougher."""
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
    search: tuple[Trial, ...] = ()
    """What is tried on validation users, for every arm alike."""

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


def train_arm(folder: Path, recipe: Recipe, cell: Cell, arm: str, inputs: Inputs) -> pl.DataFrame:
    """Train a cell's model with one arm, in all folds and with all seeds.

    Args:
        folder: of the run.
        recipe: of the run.
        cell: what is trained.
        arm: its name.
        inputs: what its rankers are given.

    Returns:
        What :func:`compare_arms` (or :func:`compare_rerankers`) returns for this arm.
    """
    world = _world(folder, recipe.seed)
    roles = world.ranker_users(recipe.write_for)
    if cell.task == "ctr":
        return compare_arms(world, roles, world.items, {arm: inputs}, _ranking(cell, recipe), recipe.seed)
    settings = RerankingSettings.model_validate(
        {
            "name": cell.model,
            "recent": cell.recent,
            "seeds": cell.seeds,
            "components": recipe.ranking.components,
            "folds": recipe.ranking.folds,
            "search": cell.search,
            "lists": {"sampling": recipe.feedback.negative_sampling},
        }
    )
    events = pl.concat([world.histories.select("user_id", "item_id"), world.examples.select("user_id", "item_id")])
    return compare_rerankers(
        world, roles, world.items, events, {arm: inputs}, settings, recipe.seed, _statistics(world, recipe)
    )


def _ranking(cell: Cell, recipe: Recipe) -> RankingSettings:
    changes = {"backbone": cell.model, "recent": cell.recent, "seeds": cell.seeds, "search": cell.search}
    return RankingSettings.model_validate(recipe.ranking.model_dump() | changes)


def _statistics(world: World, recipe: Recipe) -> ItemStatistics:
    """What LM users' events say of the items; no ranker user is among them.

    Under the temporal split all examples lie after the cut-off: only the histories may be counted.
    """
    columns = ("user_id", "event_id", "item_id", "rating", "timestamp", "label")
    users = world.users(Role.LM, Role.LM_EXTRA)
    tables = [world.histories] if recipe.split.kind == "temporal" else [world.histories, world.examples]
    known = pl.concat([table.select(columns) for table in tables])
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

    Returns:
        Among others ``value, against_value``, the metric of either, and ``deviation, against_deviation``, its standard
        deviation over the seeds of training (None with one seed).
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
    if metric == "calibration_error":
        draws = min(draws, CALIBRATION_DRAWS)
    found: PairedContrast = paired_contrast(statistic, users, labels, *scores, seed=seed, draws=draws, folds=folds)
    deviations = [seed_spread(statistic, users, labels, part, folds).deviation for part in scores]
    spread = [None if np.isnan(value) else value for value in deviations]
    return {
        "metric": metric,
        "difference": found.difference,
        "lower": found.low,
        "upper": found.high,
        "p": found.p_value,
        "value": found.baseline + found.difference,
        "against_value": found.baseline,
        "deviation": spread[0],
        "against_deviation": spread[1],
        "folds": first["fold"].n_unique(),
        "seeds": scores[0].shape[0],
        "users": first["user_id"].n_unique(),
        "examples": first.height,
    }


def breakdown(
    folder: Path, recipe: Recipe, cell: Cell, arm: pl.DataFrame, against: pl.DataFrame, draws: int
) -> list[dict[str, Any]]:
    """The difference of an arm from another by how often the fold's training met the item, and by the user's history.

    Args:
        folder, recipe: of the run.
        cell: a CTR model.
        arm, against: rows of :func:`train_arm`.
        draws: of the bootstrap.

    Returns:
        For each bucket and metric ``by, bucket, metric, difference, lower, upper, users, examples``, see
        :func:`trackrec.cold_start.break_down`; a difference is None where it is undefined.
    """
    world = _world(folder, recipe.seed)
    seen = seen_counts(world, world.ranker_users(recipe.write_for), _ranking(cell, recipe), recipe.seed)
    names = (str(arm["arm"][0]), str(against["arm"][0]))
    both = pl.concat([arm, against])
    table = break_down(both, seen, BREAKDOWN_METRICS, *names, seed=recipe.seed, draws=draws)
    return table.rename({"value": "difference", "low": "lower", "high": "upper"}).to_dicts()
