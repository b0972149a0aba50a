"""What a run works on: the log's split, every user's role, and the targets that they are judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from trackrec.data.feedback import add_negatives, label_events
from trackrec.data.filters import filter_log
from trackrec.data.log import Log
from trackrec.data.new_items import draw_new_items, to_learn_from, without_new_items
from trackrec.data.roles import Role, assign_roles
from trackrec.data.sources import read_log
from trackrec.data.sources.settings import source_files
from trackrec.data.split import count_cold_start, split_log
from trackrec.data.statistics import ItemStatistics
from trackrec.data.targets import choose_targets
from trackrec.errors import RunError
from trackrec.files.forgotten import Forgotten
from trackrec.files.hashes import file_hash
from trackrec.knowledge.catalogue import add_knowledge, load_cards
from trackrec.progress import Reporter
from trackrec.recipe import Recipe, load_recipe
from trackrec.run import Run, Stage, text_hash
from trackrec.settings import recorded
from trackrec.users.catalogue import TOUCHED
from trackrec.users.histories import Histories

TABLES = ("items", "histories", "examples", "roles", "targets", "baselines")


@dataclass(frozen=True)
class Dataset:
    """The tables of the data stage.

    ``items`` also has ``touched``: how many LM users' histories hold each; with cards also ``tags, gist, known``
    (see :mod:`trackrec.knowledge.catalogue`).
    ``roles`` has ``user_id, role, fold, turn, evaluated`` (the last two: a ranker user's turn when only some are
    needed, and whether generator and validator are tested on this one). ``targets`` has ``user_id, role, slot,
    event_id, item_id, label, raters, likes``. ``histories`` also has ``expected``: the smoothed share of other LM
    users who liked the item. ``baselines`` has, for each target, ``item_user_mean``, ``item_mean``
    and ``user_share`` as probabilities.
    """

    items: pl.DataFrame
    histories: pl.DataFrame
    examples: pl.DataFrame
    roles: pl.DataFrame
    targets: pl.DataFrame
    baselines: pl.DataFrame

    @classmethod
    def of(cls, run: Run) -> Dataset:
        """Read what the data stage wrote."""
        return cls(**{name: run.read(name) for name in TABLES})

    @cached_property
    def history_rows(self) -> Histories:
        """Each user's history, oldest first."""
        return Histories(self.histories)

    @cached_property
    def role_of(self) -> dict[Any, str]:
        """Each user's role."""
        return dict(self.roles.select("user_id", "role").iter_rows())

    def users(self, *roles: Role, fold: int | None = None) -> list[Any]:
        """Users of some roles (of one fold), in the order of the roles table."""
        rows = self.roles.filter(pl.col("role").is_in([str(role) for role in roles]))
        return (rows if fold is None else rows.filter(pl.col("fold") == fold))["user_id"].to_list()

    @cached_property
    def evaluated(self) -> list[Any]:
        """The ranker users on whom generator and validator are tested together."""
        return self.roles.filter("evaluated")["user_id"].to_list()

    def ranker_users(self, number: Literal["all"] | int) -> pl.DataFrame:
        """The roles of so many ranker users, the tested ones first."""
        ranker = self.roles.filter(pl.col("role") == Role.RANKER)
        return ranker if number == "all" else ranker.filter((pl.col("turn") < number) | pl.col("evaluated"))

    def targets_of(self, users: Sequence[Any]) -> pl.DataFrame:
        """The targets of some users."""
        return self.targets.filter(pl.col("user_id").is_in(list(users)))

    def every_target(self, users: Sequence[Any]) -> pl.DataFrame:
        """All examples of some users as targets, with the counts of their items among LM users, their own left out."""
        examples = self.examples.filter(pl.col("user_id").is_in(list(users)))
        return examples.select("user_id", "event_id", "item_id", "label", "raters", "likes")


def with_turns(roles: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Give every ranker user a ``turn`` (0, 1, ...; null for others), drawn by a seed and going round the folds.

    Whoever needs only so many ranker users takes those with the lowest turns: each fold then has its share of them.
    """
    ranker = roles.filter(pl.col("role") == Role.RANKER)
    draw = pl.Series("draw", np.random.default_rng([seed, 1]).permutation(ranker.height))
    turns = (
        ranker.with_columns(draw)
        .with_columns(round=pl.col("draw").rank("ordinal").over("fold"))
        .sort("round", "fold")
        .with_row_index("turn")
    )
    return roles.join(
        turns.select("user_id", pl.col("turn").cast(pl.Int32)), on="user_id", how="left", maintain_order="left"
    )


def with_touched(items: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
    """The items with ``touched`` Int64: how many of these histories hold each. Nothing after a history counts."""
    counts = histories.unique(["user_id", "item_id"]).group_by("item_id").agg(pl.len().cast(pl.Int64).alias(TOUCHED))
    told = items.join(counts, on="item_id", how="left", maintain_order="left")
    return told.with_columns(pl.col(TOUCHED).fill_null(0))


def log_without(log: Log, forgotten: Forgotten) -> Log:
    """The log without the people whom a run was told to forget."""
    if not forgotten:
        return log
    return replace(log, interactions=forgotten.left_out(log.interactions), users=forgotten.left_out(log.users))


def finished_run(folder: Path) -> tuple[Recipe, Run, Dataset]:
    """A finished run, opened for reading: its recipe, its tables, and what its data stage wrote.

    Raises:
        RunError: no finished run there.
    """
    if not (folder / "reccots.parquet").is_file():
        raise RunError(f"{folder} holds no finished run (no reccots.parquet): give --run the folder of one")
    recipe = load_recipe(folder / "recipe.yaml")
    run = Run(folder, Reporter(), recipe.seed, reading=True)
    return recipe, run, Dataset.of(run)


def prepare(recipe: Recipe, run: Run) -> Dataset:
    """The data stage: log, split, roles, targets and item statistics, written as tables."""

    cards = load_cards(recipe.knowledge, recipe.source.source)

    def work(stage: Stage) -> None:
        source, feedback = log_without(read_log(recipe.source), run.forgotten), recipe.feedback
        log = filter_log(source, recipe.filters)
        split = split_log(log, recipe.split, feedback)
        if feedback.kind == "implicit":
            split = add_negatives(split, log.interactions, source.interactions, feedback, recipe.seed)
        new = draw_new_items(log.items["item_id"], recipe.split.new_items, recipe.seed)
        split = without_new_items(split, new) if recipe.split.new_items else split
        roles = assign_roles(split, recipe.roles, recipe.seed)
        roles = with_turns(roles, recipe.seed)
        ranker = int((roles["role"] == Role.RANKER).sum())
        count = ranker if recipe.evaluation.users is None else min(recipe.evaluation.users, ranker)
        roles = roles.with_columns(evaluated=(pl.col("turn") < count).fill_null(False))
        lm_users = roles.filter(pl.col("role").is_in([Role.LM, Role.LM_EXTRA]))["user_id"]
        of_lm_users = pl.col("user_id").is_in(lm_users.implode())
        known = log.interactions.filter(of_lm_users & ~pl.col("item_id").is_in(new.implode()))
        known = label_events(known, split.histories, feedback, recipe.split.like_threshold)
        if feedback.kind == "implicit":  # without them every item would be liked by all who touched it
            columns = ("user_id", "event_id", "item_id", "rating", "timestamp", "label")
            negatives = to_learn_from(split.examples, roles).filter("sampled", of_lm_users)
            known = pl.concat([known.select(columns), negatives.select(columns)])
        if split.cutoff is not None:
            known = known.filter(pl.col("timestamp") < split.cutoff)
        statistics = ItemStatistics.from_interactions(
            known, recipe.split.like_threshold, recipe.statistics.prior_strength
        )
        per_user = {
            Role.LM: recipe.loop.targets_per_user,
            Role.LM_EXTRA: recipe.loop.targets_per_user,
            Role.LM_VALIDATION: recipe.evaluation.validation_targets_per_user,
            Role.RANKER: recipe.evaluation.targets_per_user,
        }
        examples, parts = to_learn_from(split.examples, roles), []
        for role, number in per_user.items():
            users = roles.filter((pl.col("role") == role) & ((pl.col("role") != Role.RANKER) | pl.col("evaluated")))
            chosen = choose_targets(examples, users["user_id"].to_list(), number, recipe.seed)
            parts.append(chosen.with_columns(role=pl.lit(str(role))))
        targets = statistics.lookup(pl.concat(parts))
        means = statistics.baseline(targets.select("user_id", "event_id", "item_id", "label"), split.histories)
        shares = statistics.history_share(split.histories)
        baselines = means.select("user_id", "event_id", targets["like_share_smoothed"], item_user_mean="probability")
        baselines = baselines.rename({"like_share_smoothed": "item_mean"}).join(
            shares.select("user_id", user_share="history_share"), on="user_id", how="left", maintain_order="left"
        )
        items = with_touched(log.items, split.histories.filter(of_lm_users))
        if cards is not None:
            items, knowledge = add_knowledge(items, cards, recipe.knowledge)
        stage.write("items", items)
        expected = statistics.lookup(split.histories)["like_share_smoothed"].alias("expected")
        stage.write("histories", split.histories.with_columns(expected))
        stage.write("examples", statistics.lookup(examples).drop("mean_rating", "like_share_smoothed"))
        stage.write("roles", roles)
        stage.write(
            "targets", targets.select("user_id", "role", "slot", "event_id", "item_id", "label", "raters", "likes")
        )
        stage.write("baselines", baselines)
        stage.counts = {
            "log": log.counts,
            "split": split.counts | count_cold_start(log.interactions, split.histories, split.examples),
            "roles": dict(roles.group_by("role").len().sort("role").iter_rows()),
            "evaluated": count,
            "statistics_from_users": len(lm_users),
        }
        stage.counts |= {} if cards is None else {"knowledge": knowledge}

    settings: dict[str, Any] = {
        name: recorded(getattr(recipe, name))
        for name in ("source", "filters", "feedback", "split", "roles", "statistics", "evaluation")
    }
    if cards is not None:  # the cards themselves, so that a corrected file is read anew
        told = recorded(recipe.knowledge)
        told.pop("writer")  # no run reads it
        settings |= {"knowledge": told, "cards": text_hash(cards.table)}
    log_files = {name: file_hash(path) for name, path in source_files(recipe.source).items()}
    settings |= {"targets": recipe.loop.targets_per_user} | ({"log": log_files} if log_files else {})
    run.do("data", work, [], settings)
    return Dataset.of(run)
