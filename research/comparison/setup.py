"""One setup of a comparison: a model that sees so many events, trained with each arm's vectors, in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from research.metrics.calibration import equal_mass_calibration_error
from research.metrics.cold_start import break_down, seen_counts
from research.metrics.significance import paired_contrasts, seed_spread
from research.reranking.compare import INITIAL, RerankingSettings, compare_rerankers
from trackrec.data.roles import Role
from trackrec.data.statistics import ItemStatistics
from trackrec.files.tables import read_table
from trackrec.metrics.intervals import mean_of_lists
from trackrec.metrics.probability import auc, gauc, log_loss
from trackrec.pipeline.dataset import Dataset
from trackrec.progress import Reporter
from trackrec.rankers.arm import Inputs
from trackrec.rankers.compare import RankingSettings, Trial, compare_arms
from trackrec.recipe import Recipe
from trackrec.run import Run

CTR_METRICS: dict[str, Callable[..., float]] = {
    "auc": auc,
    "gauc": gauc,
    "log_loss": log_loss,
    "calibration_error": equal_mass_calibration_error,
}
BREAKDOWN_METRICS: dict[str, Callable[..., float]] = {"auc": auc, "gauc": gauc}
CALIBRATION_DRAWS = 200
"""Most draws of the calibration error, which has to sort anew in each: its interval is rougher."""
BREAKDOWN_DRAWS = 2000
LIST_METRICS = ("ndcg_3", "ndcg_7", "map_3", "map_7")


@dataclass(frozen=True)
class Setup:
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
def _dataset(folder: Path, seed: int) -> Dataset:
    return Dataset.of(Run(folder, Reporter(), seed, reading=True))


def train_arm(folder: Path, recipe: Recipe, setup: Setup, arm: str, inputs: Inputs) -> pl.DataFrame:
    """Train a setup's model with one arm, in all folds and with all seeds.

    Args:
        folder: of the run.
        recipe: of the run.
        setup: what is trained.
        arm: its name.
        inputs: what its rankers are given.

    Returns:
        What :func:`compare_arms` (or :func:`compare_rerankers`) returns for this arm.
    """
    dataset = _dataset(folder, recipe.seed)
    roles = dataset.ranker_users(recipe.write_for)
    if setup.task == "ctr":
        return compare_arms(dataset, roles, dataset.items, {arm: inputs}, _ranking(setup, recipe), recipe.seed)
    settings = RerankingSettings.model_validate(
        {
            "name": setup.model,
            "recent": setup.recent,
            "seeds": setup.seeds,
            "components": recipe.ranking.components,
            "folds": recipe.ranking.folds,
            "search": setup.search,
            "lists": {"sampling": recipe.feedback.negative_sampling},
        }
    )
    events = pl.concat([dataset.histories.select("user_id", "item_id"), dataset.examples.select("user_id", "item_id")])
    return compare_rerankers(
        dataset, roles, dataset.items, events, {arm: inputs}, settings, recipe.seed, _statistics(dataset, recipe)
    )


def _ranking(setup: Setup, recipe: Recipe) -> RankingSettings:
    changes = {"backbone": setup.model, "recent": setup.recent, "seeds": setup.seeds, "search": setup.search}
    return RankingSettings.model_validate(recipe.ranking.model_dump() | changes)


def _statistics(dataset: Dataset, recipe: Recipe) -> ItemStatistics:
    """What LM users' events say of the items; no ranker user is among them.

    Under the temporal split all examples lie after the cut-off: only the histories may be counted.
    """
    columns = ("user_id", "event_id", "item_id", "rating", "timestamp", "label")
    users = dataset.users(Role.LM, Role.LM_EXTRA)
    tables = [dataset.histories] if recipe.split.kind == "temporal" else [dataset.histories, dataset.examples]
    known = pl.concat([table.select(columns) for table in tables])
    known = known.filter(pl.col("user_id").is_in(users))
    return ItemStatistics.from_interactions(known, recipe.split.like_threshold, recipe.statistics.prior_strength)


def read_arms(paths: Sequence[Path]) -> dict[str, pl.DataFrame]:
    """The rows of :func:`train_arm` by arm, from the tables of a setup.

    The initial order of a re-ranker, which no seed changes, is repeated for each seed of the others.
    """
    return by_arm(pl.concat([read_table(path) for path in paths]))


def by_arm(table: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The rows of :func:`train_arm` of several arms, by arm; see :func:`read_arms`."""
    arms = {str(arm): part for (arm,), part in table.group_by("arm", maintain_order=True)}
    if INITIAL in arms:  # each table holds it
        once = arms[INITIAL].unique(maintain_order=True)
        seeds = table["seed"].unique().sort()
        arms[INITIAL] = pl.concat([once.with_columns(seed=pl.lit(seed, dtype=pl.Int64)) for seed in seeds])
    return arms


def contrasts(
    setup: Setup,
    metric: str,
    arms: Mapping[str, pl.DataFrame] | Sequence[Path],
    pairs: Sequence[tuple[str, str]],
    seed: int,
    draws: int,
    counted: pl.DataFrame | None = None,
) -> list[dict[str, Any]]:
    """Differences between arms in one metric, paired over users within folds, on the mean over seeds.

    Args:
        setup: what was trained.
        metric: one of the setup's.
        arms: what :func:`by_arm` makes of :func:`train_arm`'s rows, all of the same examples or lists; or the tables
            that hold them.
        pairs: an arm, and the one that it is the difference from.
        seed, draws: of the bootstrap.
        counted: ``user_id, event_id`` of the examples that count; None: all.

    Returns:
        For each pair, in order, among others ``value, against_value``, the metric of either, and ``deviation,
        against_deviation``, its standard deviation over the seeds of training (None with one seed).
    """
    tables = arms if isinstance(arms, Mapping) else read_arms(arms)
    column = "probability" if setup.task == "ctr" else metric
    keys = ["user_id", "event_id"] if setup.task == "ctr" else ["user_id", "list"]
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    scores: dict[str, Any] = {}
    for name in names:
        table = tables[name] if counted is None else tables[name].join(counted, on=keys, how="semi")
        table = table.sort("seed", "fold", *keys)
        table = table if setup.task == "ctr" else table.filter(pl.col(metric).is_not_nan())
        first = table.filter(pl.col("seed") == table["seed"][0])
        scores[name] = table[column].to_numpy().reshape(-1, first.height)
    users, folds = first["user_id"].to_numpy(), first["fold"].to_numpy()
    labels = first["label"].to_numpy() if setup.task == "ctr" else first["likes"].to_numpy()
    statistic = CTR_METRICS[metric] if setup.task == "ctr" else mean_of_lists
    if metric == "calibration_error":
        draws = min(draws, CALIBRATION_DRAWS)
    found = paired_contrasts(statistic, users, labels, scores, pairs, seed=seed, draws=draws, folds=folds)
    spread = {name: seed_spread(statistic, users, labels, part, folds).deviation for name, part in scores.items()}
    deviations = {name: None if np.isnan(value) else value for name, value in spread.items()}
    return [
        {"metric": metric}
        | one.as_row()
        | {"deviation": deviations[arm], "against_deviation": deviations[against]}
        | {"folds": first["fold"].n_unique(), "seeds": scores[arm].shape[0]}
        | {"users": first["user_id"].n_unique(), "examples": first.height}
        for one, (arm, against) in zip(found, pairs, strict=True)
    ]


def breakdown(
    folder: Path, recipe: Recipe, setup: Setup, arms: Sequence[Path], pair: tuple[str, str], draws: int
) -> list[dict[str, Any]]:
    """The difference of an arm from another by how often the fold's training met the item, and by the user's history.

    Args:
        folder, recipe: of the run.
        setup: a CTR model.
        arms: the setup's tables of what :func:`train_arm` gave.
        pair: the arm, and the one that it is the difference from.
        draws: of the bootstrap, `BREAKDOWN_DRAWS` at most: there are intervals, and no p values.

    Returns:
        For each bucket and metric ``by, bucket, metric, difference, lower, upper, users, examples``, see
        :func:`research.metrics.cold_start.break_down`; a difference is None where it is undefined.
    """
    dataset = _dataset(folder, recipe.seed)
    seen = seen_counts(dataset, dataset.ranker_users(recipe.write_for), _ranking(setup, recipe), recipe.seed)
    return _broken_down(read_arms(arms), pair, seen, recipe.seed, draws)


def where_scored(
    arms: Sequence[Path], pair: tuple[str, str], scores: Path, seed: int, draws: int
) -> list[dict[str, Any]]:
    """The difference of an arm from another on the examples that a validator scored, and on the others.

    Args:
        arms, pair, draws: as in :func:`breakdown`.
        scores: the table of scores, a row a scored example.
        seed: of the bootstrap.

    Returns:
        As :func:`breakdown`, with "scored" as ``by`` and "yes" or "no" as ``bucket``.
    """
    predicted = read_arms(arms)
    first = predicted[pair[0]].select("user_id", "event_id").unique(maintain_order=True)
    given = read_table(scores, columns=["user_id", "event_id"]).with_columns(scored=pl.lit(1, dtype=pl.Int64))
    seen = first.join(given, on=["user_id", "event_id"], how="left", maintain_order="left").fill_null(0)
    rows = _broken_down(predicted, pair, seen, seed, draws, edges=(0, 1), by=("scored",))
    return [row | {"bucket": "no" if row["bucket"] == "0" else "yes"} for row in rows]


def _broken_down(
    predicted: Mapping[str, pl.DataFrame],
    pair: tuple[str, str],
    seen: pl.DataFrame,
    seed: int,
    draws: int,
    **how: Any,
) -> list[dict[str, Any]]:
    both = pl.concat([predicted[name] for name in pair])
    draws = min(draws, BREAKDOWN_DRAWS)
    table = break_down(both, seen, BREAKDOWN_METRICS, *pair, seed=seed, draws=draws, **how)
    return table.rename({"value": "difference", "low": "lower", "high": "upper"}).to_dicts()
