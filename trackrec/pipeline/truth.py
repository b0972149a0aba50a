"""The truth of a run's RecCoTs: every claim judged, the measures by round, and what ``trackrec grounding`` prints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from trackrec.bootstrap import bootstrap_users, paired_bootstrap
from trackrec.errors import RunError
from trackrec.metric_rows import MetricRow, read_metrics, write_metrics
from trackrec.metrics import Interval, auc
from trackrec.pipeline.world import World
from trackrec.progress import Reporter
from trackrec.prompts.domains import find_domain
from trackrec.reccot.truth import (
    KEY,
    claims_table,
    counts_table,
    deletion_changes,
    distinct,
    found_among,
    truth_measures,
    word_count,
)
from trackrec.reccot.vocabulary import Vocabulary
from trackrec.recipe import Recipe, load_recipe
from trackrec.run import Run, write_table

ARM = "grounding"
SPECIFICITY_USERS = 200
"""So many users at most are sought among 20 histories, a hundredth of a second each."""


class Truth:
    """Judges the RecCoTs of a run that has written them.

    Args:
        recipe: its recipe.
        run: its folder.
        world: its tables.
    """

    def __init__(self, recipe: Recipe, run: Run, world: World) -> None:
        self.recipe, self.run, self.world = recipe, run, world
        self.vocabulary = Vocabulary(world.items, find_domain(recipe.prompts.domain), recipe.prompts.attributes)

    def collect(self) -> None:
        """Write the table ``claims`` and fill ``grounded`` in ``reccots.parquet``."""
        path = self.run.folder / "reccots.parquet"
        if not path.is_file():
            raise RunError(f"{self.run.folder} holds no finished run (no reccots.parquet): give the folder of one")
        table = pl.read_parquet(path)
        claims = claims_table(table, self.world.history_rows, self.vocabulary)
        write_table(self.run.table("claims"), claims)
        grounded = counts_table(claims).select(*KEY, "grounded")
        filled = table.drop("grounded").join(grounded, on=KEY, how="left", maintain_order="left")
        write_table(path, filled.select(table.columns))

    def rows(self) -> list[MetricRow]:
        """The measures of the kept RecCoTs, a row a round and measure."""
        table = pl.read_parquet(self.run.folder / "reccots.parquet").filter(pl.col("kind") == "kept")
        counts = counts_table(self.run.read("claims").filter(pl.col("kind") == "kept"))
        return [
            row
            for number in sorted(table["round"].unique().to_list())
            for row in self._round(number, table.filter(pl.col("round") == number), counts)
        ] + self._answers()

    def _round(self, number: int, kept: pl.DataFrame, counts: pl.DataFrame) -> list[MetricRow]:
        mine = counts.filter(pl.col("round") == number)
        seed, draws = self.recipe.seed, self.recipe.evaluation.bootstrap
        measures = truth_measures(mine, seed, draws)
        texts = {user: text for user, text in kept.select("user_id", "text").iter_rows() if text}
        chosen = list(texts)[:SPECIFICITY_USERS]
        found = found_among({user: texts[user] for user in chosen}, self.world.history_rows, self.vocabulary, seed)
        measures["specificity"] = self._mean(list(found), list(found.values()))
        changed = [
            (user, change)
            for user in chosen
            for change in deletion_changes(texts[user], self.world.history_rows[user], self.vocabulary)
        ]
        measures["deletion_test"] = self._mean([u for u, _ in changed], [float(c) for _, c in changed])
        measures["words"] = self._mean(list(texts), [float(word_count(text)) for text in texts.values()])
        for size in (1, 2):
            within = [distinct([text], size) for text in texts.values()]
            measures[f"distinct_{size}"] = self._mean(list(texts), [v for v in within if not math.isnan(v)])
        measures["diversity"] = _point(distinct(list(texts.values()), 2))
        measures["different_texts"] = _point(len(set(texts.values())) / len(texts) if texts else math.nan)
        return [self._row(name, interval, number, len(texts)) for name, interval in measures.items()]

    def _answers(self) -> list[MetricRow]:
        """Swap test and sycophancy, from the scores that the run's test arms left."""
        if not self.run.table("test-swapped").is_file():
            return []
        promoted = int(self.run.manifest("promote")["counts"]["promoted"])
        own, swapped = self.run.read(f"test-own-{promoted}"), self.run.read("test-swapped")
        both = own.join(
            swapped.select("user_id", "event_id", other="yes_probability"), on=["user_id", "event_id"], how="inner"
        )
        users, labels = both["user_id"].to_numpy(), both["label"].to_numpy()
        yes, other = both["yes_probability"].to_numpy(), both["other"].to_numpy()
        seed, draws = self.recipe.seed, self.recipe.evaluation.bootstrap
        swap = paired_bootstrap(auc, users, labels, yes, other, seed=seed, draws=draws)
        flattery = bootstrap_users(
            lambda p, y: float(np.mean(p) - np.mean(y)), users, yes, labels, seed=seed, draws=draws
        )
        count = both["user_id"].n_unique()
        notes = {
            "swap_test": "AUC with the own RecCoT less with another user's",
            "sycophancy": "mean P(Yes) less likes",
        }
        rows = {"swap_test": swap, "sycophancy": flattery}
        return [self._row(name, interval, promoted, count, notes[name], "ranker") for name, interval in rows.items()]

    def _mean(self, users: list[Any], values: list[float]) -> Interval:
        if len(values) != len(users) or len(set(users)) < 2:
            return _point(float(np.mean(values)) if values else math.nan)
        seed, draws = self.recipe.seed, self.recipe.evaluation.bootstrap
        return bootstrap_users(lambda v: float(np.mean(v)), users, values, seed=seed, draws=draws)

    def _row(
        self, name: str, interval: Interval, number: int, count: int, note: str = "", role: str = "all"
    ) -> MetricRow:
        value, low, high = interval
        more: dict[str, Any] = {"users": count, "examples": count, "seed": self.recipe.seed, "note": note}
        return MetricRow(arm=ARM, round=number, role=role, metric=name, value=value, low=low, high=high, **more)


def _point(value: float) -> Interval:
    return Interval(value, math.nan, math.nan)


def ground_run(folder: Path) -> list[MetricRow]:
    """Judge a run's RecCoTs anew and put the measures into its ``metrics.json``.

    Raises:
        RunError: no finished run there.
    """
    if not (folder / "reccots.parquet").is_file():
        raise RunError(f"{folder} holds no finished run (no reccots.parquet): give --run the folder of one")
    recipe = load_recipe(folder / "recipe.yaml")
    run = Run(folder, Reporter(), recipe.seed)
    truth = Truth(recipe, run, World.of(run))
    truth.collect()
    rows = truth.rows()
    path = folder / "metrics.json"
    before = [row for row in read_metrics(path) if row.arm != ARM] if path.is_file() else []
    write_metrics(path, [*before, *rows])
    return rows


def as_tree(rows: list[MetricRow]) -> dict[str, Any]:
    """Measures by name: the promoted or last round's, and ``by_round`` all of them."""
    last = max((row.round or 0 for row in rows), default=0)
    told = [row for row in rows if row.metric == "swap_test"]
    shown = told[0].round if told else last
    by_round: dict[str, dict[str, Any]] = {}
    for row in rows:
        values = {"value": row.value, "low": row.low, "high": row.high, "users": row.users}
        by_round.setdefault(str(row.round), {})[row.metric] = values
    return {"round": shown} | by_round.get(str(shown), {}) | {"by_round": by_round}


def print_grounding(rows: list[MetricRow], console: Console) -> None:
    """The measures as a table, a column a round."""
    rounds = sorted({row.round for row in rows if row.round is not None})
    table = Table(title="Truth of the kept RecCoTs [95% interval over users]")
    table.add_column("measure")
    for number in rounds:
        table.add_column(f"round {number}", justify="right")
    cells = {(row.metric, row.round): row for row in rows}
    for name in dict.fromkeys(row.metric for row in rows):
        table.add_row(name.replace("_", " "), *(_cell(cells.get((name, number))) for number in rounds))
    console.print(table)


def _cell(row: MetricRow | None) -> str:
    if row is None or row.value is None:
        return "–"
    return f"{row.value:.3f}" + ("" if row.low is None or row.high is None else f" \\[{row.low:.3f}, {row.high:.3f}]")
