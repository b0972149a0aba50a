"""The comparison that would convince a sceptic: rankers with RecCoTs of every origin, one table of differences."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from trackrec.pipeline.arms import CORE, FINAL, NO_TEXT, SWAPPED, Arms
from trackrec.pipeline.cells import Cell, contrast, train_arm
from trackrec.pipeline.job import open_run, run_recipe
from trackrec.pipeline.parts import Parts
from trackrec.pipeline.world import World
from trackrec.progress import Reporter
from trackrec.ranking.backbones import BACKBONES, Backbone
from trackrec.ranking.rerankers import RERANKERS, RerankerName
from trackrec.recipe import Recipe
from trackrec.run import Stage, write_json
from trackrec.settings import Settings
from trackrec.significance import holm


class ComparisonSettings(Settings):
    """What ``trackrec compare`` trains. The primary contrast is fixed: the final round against no text and against
    another user's, on ``models`` with ``recent`` events in view and on ``reranker``."""

    models: list[Backbone] = ["din", "dcnv2"]
    """CTR models with all arms."""
    recent: list[int] = [0, 3, 10]
    """Recent events in view of them."""
    reranker: RerankerName = "prm"
    """Re-ranker with all arms."""
    list_recent: int = 0
    """Recent events in view of the re-rankers."""
    others: bool = True
    """Whether all other CTR models and re-rankers are trained too: three arms, one seed a fold."""
    others_recent: int = 3
    """Recent events in view of the other CTR models."""
    seeds: int = Field(default=3, ge=1)
    """Trainings per fold and arm of the models with all arms."""
    draws: int = Field(default=1000, ge=100)
    """Draws behind a 95% interval (users are resampled within folds)."""
    workers: int = Field(default=2, ge=1)
    """Processes that train at a time, each with one thread."""

    def cells(self) -> list[Cell]:
        """The models in the order of their training, those of the primary contrast first."""
        cells = [Cell("ctr", model, recent, self.seeds, True) for recent, model in product(self.recent, self.models)]
        cells.append(Cell("rerank", self.reranker, self.list_recent, self.seeds, True))
        if self.others:
            more = [name for name in BACKBONES if name not in self.models]
            cells += [Cell("ctr", name, self.others_recent, 1, False) for name in more]
            cells += [Cell("rerank", name, self.list_recent, 1, False) for name in RERANKERS if name != self.reranker]
        return cells


QUICK = {"models": ["din"], "recent": [0, 10], "others": False, "seeds": 1, "draws": 200}
"""The short form's settings."""


class Comparison:
    """Trains all cells on a finished run and writes ``compare.json`` there.

    Args:
        parts: of the run.
        promoted: the round that counts as the final one.
        settings: what is trained.
    """

    def __init__(self, parts: Parts, promoted: int, settings: ComparisonSettings) -> None:
        self.parts, self.run, self.settings, self.promoted = parts, parts.run, settings, promoted
        self.arms = Arms(parts, promoted)

    def work(self) -> Path:
        """Write what is missing, encode, train, compare; what is finished is not done again."""
        self.arms.write()
        self.arms.encode()
        tables = self.arms.tables()
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.settings.workers, mp_context=spawn) as pool:
            rows: list[dict[str, Any]] = []
            for cell in self.settings.cells():
                self._train(cell, tables, pool)
                rows += self._contrasts(cell, pool)
        path = self.run.folder / "compare.json"
        write_json(path, self._described(rows))
        return path

    def _arms_of(self, cell: Cell) -> Sequence[str]:
        return self.arms.names if cell.primary else CORE

    def _train(self, cell: Cell, tables: dict[str, pl.DataFrame | None], pool: ProcessPoolExecutor) -> None:
        recipe, name = self.parts.recipe, f"compare-{cell.name}"

        def work(stage: Stage) -> None:
            names = list(self._arms_of(cell))
            jobs = [pool.submit(train_arm, self.run.folder, recipe, cell, arm, tables[arm]) for arm in names]
            parts = []
            with self.run.reporter.bar(name, len(jobs), "arms") as advance:
                for job in jobs:
                    parts.append(job.result())
                    advance(1, True)
            table = pl.concat(parts).unique(maintain_order=True)  # every arm of a re-ranker brings the initial order
            stage.write(name, table)
            stage.counts = {"rows": table.height, "arms": names}

        inputs = [self.run.table(table) for table in ("compare-vectors", "examples", "roles")]
        settings = {"ranking": recipe.ranking, "seeds": cell.seeds, "arms": list(self._arms_of(cell))}
        self.parts.do(name, work, inputs, settings)

    def _contrasts(self, cell: Cell, pool: ProcessPoolExecutor) -> list[dict[str, Any]]:
        """The final round against every other arm; beside it another user's against no text."""
        table = self.run.read(f"compare-{cell.name}")
        arms = {str(arm): part for (arm,), part in table.group_by("arm", maintain_order=True)}
        pairs = [(FINAL, arm) for arm in arms if arm not in (FINAL, "initial")] + [(SWAPPED, NO_TEXT)]
        if "initial" in arms:
            repeated = [arms["initial"].with_columns(seed=pl.lit(seed)) for seed in arms[FINAL]["seed"].unique()]
            arms["initial"] = pl.concat(repeated)
            pairs.append((FINAL, "initial"))
        seed, draws = self.parts.recipe.seed, self.settings.draws
        jobs = [
            (arm, against, pool.submit(contrast, cell, metric, arms[arm], arms[against], seed, draws))
            for metric in cell.metrics
            for arm, against in pairs
        ]
        rows = []
        with self.run.reporter.bar(f"intervals of {cell.name}", len(jobs), "contrasts") as advance:
            for arm, against, job in jobs:
                figures = job.result()
                primary = cell.primary and arm == FINAL and against in (NO_TEXT, SWAPPED)
                primary = primary and figures["metric"] in ("auc", "gauc", "ndcg_3", "ndcg_7")
                head = {"task": cell.task, "model": cell.model, "recent": cell.recent, "arm": arm, "against": against}
                rows.append(head | {"primary": primary} | figures)
                advance(1, True)
        return rows

    def _described(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """The rows with Holm's correction over all but the primary contrast, and what they are of."""
        others = {str(number): row["p"] for number, row in enumerate(rows) if not row["primary"]}
        adjusted = holm(others)
        for number, row in enumerate(rows):
            row["p_holm"] = adjusted.get(str(number))
        recipe = self.parts.recipe
        return {
            "recipe": recipe.name,
            "seed": recipe.seed,
            "final_round": self.promoted,
            "primary": f"{FINAL} against {NO_TEXT} and {SWAPPED}",
            "settings": self.settings.model_dump(mode="json"),
            "ranking": recipe.ranking.model_dump(mode="json"),
            "coverage": self.run.manifest("compare-vectors")["counts"],
            "rows": rows,
        }


def compare_recipe(
    recipe: Recipe, folder: Path, settings: ComparisonSettings, reporter: Reporter | None = None
) -> Path:
    """Run a recipe unless it is finished in ``folder``, then compare rankers on it.

    A finished run is taken as it is: its language models are trained once, and a later version of this package does
    not train them again.

    Returns:
        The path of ``compare.json``.
    """
    reporter = reporter or Reporter()
    if not (folder / "metrics.json").is_file():
        run_recipe(recipe, folder, reporter)
    run = open_run(recipe, folder, reporter)
    parts = Parts(recipe, run, World.of(run))
    promoted = int(run.manifest("promote")["counts"]["promoted"])
    return Comparison(parts, promoted, settings).work()
