"""The comparison that would convince a sceptic: rankers with RecCoTs of every origin, one table of differences."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import Field, ValidationError

from research.backbones import ALL
from research.comparison.arms import CORE, FINAL, NO_TEXT, SWAPPED, Arms
from research.comparison.extra_arms import ExtraArms, ExtraSettings
from research.comparison.setup import Setup, breakdown, contrasts, train_arm, where_scored
from research.metrics.significance import holm
from research.reranking.compare import INITIAL
from research.reranking.registry import RERANKERS, RerankerName
from trackrec.data.new_items import NEW
from trackrec.errors import RecipeError
from trackrec.files.tables import read_table
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import Dataset
from trackrec.pipeline.job import open_run, run_recipe
from trackrec.pipeline.revisions import pinned
from trackrec.progress import Reporter
from trackrec.rankers.arm import Inputs
from trackrec.rankers.compare import Trial
from trackrec.recipe import Recipe
from trackrec.registry import named
from trackrec.run import Stage, write_json
from trackrec.settings import NotNegative, Settings, apply_change

SEARCH = (
    Trial(),
    Trial(adaptor="linear", output=4, weight_decay=1.0, epochs=0.6),
    Trial(epochs=4.0, learning_rate=0.02, patience=6),
)
"""What is tried for each arm and fold, and chosen by the loss on validation users: the recipe's own settings, a smaller
way for the text with a shorter, stiffer training, and a longer one: few users teach too little in five epochs."""


class ComparisonSettings(Settings):
    """What ``python -m research compare`` trains. The primary contrast is fixed: the final round against no text and
    against another user's, on ``models`` with ``recent`` events in view and on ``reranker``."""

    models: tuple[Annotated[str, named("backbone")], ...] = ("din", "dcnv2")
    """CTR models with all arms."""
    recent: tuple[NotNegative, ...] = (0, 3, 10)
    """Recent events in view of them."""
    reranker: RerankerName = "prm"
    """Re-ranker with all arms."""
    list_recent: int = Field(default=0, ge=0)
    """Recent events in view of the re-rankers."""
    others: bool = True
    """Whether all other CTR models and re-rankers are trained too: three arms, one seed a fold."""
    others_recent: int = Field(default=3, ge=0)
    """Recent events in view of the other CTR models."""
    seeds: int = Field(default=3, ge=1)
    """Trainings per fold and arm of the models with all arms."""
    draws: int = Field(default=40_000, ge=100)
    """Draws behind an interval and a p value (users are resampled within folds). No p value is below 2 / (draws + 1),
    and Holm multiplies it by the size of the family: some 700 contrasts with all arms and models."""
    breakdown: bool = True
    """Whether the primary contrasts of the CTR models are broken down by how much was known of item and user."""
    search: tuple[Trial, ...] = SEARCH
    """Settings that are tried for every model and arm in each fold, the best on the fold's validation users is tested;
    empty: the recipe's settings alone."""
    zero_shot: bool = True
    """Whether the untuned model writes RecCoTs too, as an arm of its own (KAR's way): as much writing as a round's."""
    other_rounds: tuple[NotNegative, ...] | None = None
    """Rounds beside the final one whose RecCoTs are arms; null: all of them. Each writes for all ranker users."""
    extra: ExtraSettings = ExtraSettings()
    """Arms beyond the usual ones."""
    workers: int = Field(default=2, ge=0)
    """Processes that train at a time, each with one thread; 0: this process does it all."""

    def setups(self) -> list[Setup]:
        """The models in the order of their training, those of the primary contrast first."""
        setups = [Setup("ctr", model, recent, self.seeds, True) for recent, model in product(self.recent, self.models)]
        setups.append(Setup("rerank", self.reranker, self.list_recent, self.seeds, True))
        if self.others:
            more = [name for name in ALL if name not in self.models]
            setups += [Setup("ctr", name, self.others_recent, 1, False) for name in more]
            setups += [Setup("rerank", name, self.list_recent, 1, False) for name in RERANKERS if name != self.reranker]
        return [replace(setup, search=self.search) for setup in setups]


QUICK: dict[str, Any] = {
    "models": ["din"],
    "recent": [0, 10],
    "others": False,
    "seeds": 1,
    "draws": 8000,
    "zero_shot": False,
    "other_rounds": [],
}
"""The short form's settings. No language model writes in it: one round's texts would take longer than all the rest."""
FAMILIES = ("primary", "other")
"""The contrasts that are named before the run, and all others. Holm corrects within each."""
PRIMARY_METRICS = ("auc", "gauc", "ndcg_3", "ndcg_7")
"""The metrics of the primary contrast."""
PRIMARY_ITEMS = ("all", "new")
"""The items of the primary contrast."""


def comparison_settings(
    quick: bool, changes: Sequence[str], texts: Sequence[Mapping[str, str]] = ()
) -> ComparisonSettings:
    """The settings of a comparison from ``key=value`` changes (see :func:`trackrec.recipe.load_recipe`).

    Args:
        quick: the short form.
        changes: of settings.
        texts: arms of files, see :func:`research.comparison.file_arms.file_texts`.

    Raises:
        RecipeError: an unknown setting, or a value out of range.
    """
    tree: dict[str, Any] = dict(QUICK) if quick else {}
    for change in changes:
        apply_change(tree, change)
    if texts:
        tree["extra"] = {**tree.get("extra", {}), "texts": list(texts)}
    try:
        return ComparisonSettings.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(["comparison", *(str(part) for part in first["loc"])])
        known = ", ".join(ComparisonSettings.model_fields)
        raise RecipeError(f"{name}: {first['msg']}, got {first['input']!r}; comparison has {known}") from error


class Comparison:
    """Trains all setups on a finished run and writes ``compare.json`` there.

    Args:
        components: of the run.
        promoted: the round that counts as the final one.
        settings: what is trained.
    """

    def __init__(self, components: Components, promoted: int, settings: ComparisonSettings) -> None:
        self.components, self.run, self.settings, self.promoted = components, components.run, settings, promoted
        self.arms = Arms(components, promoted, settings.zero_shot, settings.other_rounds)
        self.extra = ExtraArms(self.arms, settings.extra)

    def work(self) -> Path:
        """Write what is missing, encode, train, compare; what is finished is not done again."""
        self.arms.write()
        self.arms.encode()
        self.extra.prepare()
        tables = self.arms.tables()
        setups = self.settings.setups()
        with workers(self.settings.workers) as pool:
            for setup in setups:
                names = self.arms.names if setup.primary else CORE
                self._train(f"compare-{setup.name}", setup, {name: tables[name] for name in names}, pool)
                if self._has_extra(setup):
                    extra = self.extra.inputs(setup.task, tables[FINAL])
                    self._train(f"compare-{setup.name}-extra", setup, extra, pool)
                self._contrast(setup, pool)
        rows = [row for setup in setups for row in self._rows(setup, "contrasts")]
        broken_down = [row for setup in setups if self._breaks_down(setup) for row in self._rows(setup, "breakdown")]
        path = self.run.folder / "compare.json"
        write_json(path, self._described(rows) | {"breakdown": broken_down})
        return path

    def _train(self, name: str, setup: Setup, arms: Mapping[str, Inputs], pool: Executor) -> None:
        recipe = self.components.recipe

        def work(stage: Stage) -> None:
            jobs = [pool.submit(train_arm, self.run.folder, recipe, setup, arm, given) for arm, given in arms.items()]
            parts = []
            with self.run.reporter.bar(name, len(jobs), "arms") as advance:
                for job in jobs:
                    parts.append(job.result())
                    advance(1, True)
            table = pl.concat(parts).unique(maintain_order=True)  # every arm of a re-ranker brings the initial order
            stage.write(name, table)
            stage.counts = {"rows": table.height, "arms": list(arms)}

        inputs = [self.run.table(table) for table in ("compare-vectors", "examples", "roles")]
        settings: dict[str, Any] = {"ranking": recipe.ranking, "seeds": setup.seeds, "arms": list(arms)}
        settings["search"] = [trial.model_dump() for trial in setup.search]
        settings["numbers"] = self.arms.numbers.digest
        if name.endswith("-extra"):
            inputs += self.extra.tables(setup.task)
            settings["item_components"] = self.settings.extra.item_components
        self.components.do(name, work, inputs, settings)

    def _predicted(self, setup: Setup) -> list[Path]:
        """The tables of a setup's predictions."""
        names = [f"compare-{setup.name}", *([f"compare-{setup.name}-extra"] if self._has_extra(setup) else [])]
        return [self.run.table(name) for name in names]

    def _has_extra(self, setup: Setup) -> bool:
        """Whether the arms beyond the usual ones are trained with this model."""
        recent = self.settings.extra.recent
        wanted = setup.task == "rerank" or recent is None or setup.recent in recent
        return setup.primary and wanted and bool(self.extra.names(setup.task))

    def _breaks_down(self, setup: Setup) -> bool:
        return self.settings.breakdown and setup.primary and setup.task == "ctr"

    def _contrast(self, setup: Setup, pool: Executor) -> None:
        """The final round against every other arm; beside it another user's against no text, and the extra pairs."""
        recipe, draws, name = self.components.recipe, self.settings.draws, f"compare-{setup.name}"
        extra = self.extra.pairs(setup.task) if self._has_extra(setup) else []
        primary = [(FINAL, NO_TEXT), (FINAL, SWAPPED)]
        thinly = self.extra.thinly_scored() if self._breaks_down(setup) and extra else []

        def work(stage: Stage) -> None:
            paths = self._predicted(setup)
            arms = [*(self.arms.names if setup.primary else CORE), *([INITIAL] if setup.task == "rerank" else [])]
            pairs = [*((FINAL, arm) for arm in arms if arm != FINAL), (SWAPPED, NO_TEXT), *extra]
            wanted = dict.fromkeys(setup.metrics, pairs)
            if "calibration_error" in wanted:  # it sorts anew in each draw: minutes a contrast
                wanted["calibration_error"] = primary
            jobs = [
                (mine, items, pool.submit(contrasts, setup, metric, paths, mine, recipe.seed, draws, counted))
                for metric, mine in wanted.items()
                for items, counted in self._by_items(setup, metric).items()
            ]
            parts = [
                (pair, pool.submit(breakdown, self.run.folder, recipe, setup, paths, pair, draws))
                for pair in (primary if self._breaks_down(setup) else [])
            ]
            parts += [
                (pair, pool.submit(where_scored, paths, pair, scores, recipe.seed, draws)) for pair, scores in thinly
            ]
            rows, broken_down = [], []
            with self.run.reporter.bar(f"intervals of {setup.name}", len(jobs) + len(parts), "metrics") as advance:
                for mine, items, job in jobs:
                    for pair, figures in zip(mine, job.result(), strict=True):
                        judged = setup.primary and pair in primary and figures["metric"] in PRIMARY_METRICS
                        judged = judged and items in PRIMARY_ITEMS
                        rows.append(_head(setup, pair) | {"items": items, "primary": judged} | figures)
                    advance(1, True)
                for pair, more in parts:
                    broken_down += [_head(setup, pair) | row for row in more.result()]
                    advance(1, True)
            stage.write(f"{name}-contrasts", pl.DataFrame(rows, infer_schema_length=None))
            if broken_down:
                stage.write(f"{name}-breakdown", pl.DataFrame(broken_down, infer_schema_length=None))
            stage.counts = {"contrasts": len(rows)}

        settings: dict[str, Any] = {
            "draws": draws,
            "extra": extra,
            "metrics": setup.metrics,
            "breakdown": self._breaks_down(setup),
        }
        if setup.task == "ctr" and NEW in self.components.dataset.examples.columns:
            settings["items"] = True
        if thinly:
            settings["where_scored"] = [pair for pair, _ in thinly]
        inputs = [*self._predicted(setup), *(self.run.table(table) for table in ("examples", "histories", "roles"))]
        self.components.do(f"{name}-contrasts", work, inputs, settings | {"primary": setup.primary})

    def _by_items(self, setup: Setup, metric: str) -> dict[str, pl.DataFrame | None]:
        """The examples that a contrast reads: all (None); where some items are new, of new and of known ones."""
        examples = self.components.dataset.examples
        if setup.task != "ctr" or metric not in PRIMARY_METRICS or NEW not in examples.columns:
            return {"all": None}
        keys = ("user_id", "event_id")
        parts = {"new": examples.filter(pl.col(NEW)), "known": examples.filter(~pl.col(NEW))}
        return {"all": None} | {name: part.select(keys) for name, part in parts.items()}

    def _chosen(self) -> dict[str, dict[str, list[int]]]:
        """For each model and arm, fold by fold, which of ``settings.search`` the validation users chose."""
        chosen: dict[str, dict[str, list[int]]] = {}
        for setup in self.settings.setups():
            table = pl.concat([read_table(path) for path in self._predicted(setup)])
            by_fold = table.filter(pl.col("arm") != INITIAL).unique(["arm", "fold"], maintain_order=True).sort("fold")
            chosen[setup.name] = dict(by_fold.group_by("arm", maintain_order=True).agg("trial").iter_rows())
        return chosen

    def _rows(self, setup: Setup, kind: str) -> list[dict[str, Any]]:
        return self.run.read(f"compare-{setup.name}-{kind}").to_dicts()

    def _described(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """The rows with Holm's correction, the primary contrasts and all others each a family of its own."""
        families = {}
        for family in FAMILIES:
            mine = {str(number): row for number, row in enumerate(rows) if row["primary"] == (family == "primary")}
            adjusted = holm({number: row["p"] for number, row in mine.items() if row["p"] is not None})
            for number, row in mine.items():
                row["family"], row["p_holm"] = family, adjusted.get(number)
            smallest = min(1.0, 2 / (self.settings.draws + 1) * len(adjusted))
            families[family] = {"contrasts": len(adjusted), "smallest_p_holm": smallest}
        for row in rows:
            del row["primary"]
        recipe = self.components.recipe
        return {
            "recipe": recipe.name,
            "seed": recipe.seed,
            "final_round": self.promoted,
            "primary": f"{FINAL} against {NO_TEXT} and {SWAPPED}",
            "families": families,
            "settings": self.settings.model_dump(mode="json"),
            "ranking": recipe.ranking.model_dump(mode="json"),
            "chosen": self._chosen(),
            "coverage": self.run.manifest("compare-vectors")["counts"] | self.extra.coverage(),
            "rows": rows,
        }


def _head(setup: Setup, pair: tuple[str, str]) -> dict[str, Any]:
    return {"task": setup.task, "model": setup.model, "recent": setup.recent, "arm": pair[0], "against": pair[1]}


class _Here(Executor):
    """Runs each job as it is handed in, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def workers(number: int) -> Executor:
    """So many processes that each start anew, as threads and locks do not survive a fork; 0: this process."""
    if not number:
        return _Here()
    return ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"))


def compare_recipe(
    recipe: Recipe, folder: Path, settings: ComparisonSettings, reporter: Reporter | None = None
) -> Path:
    """Run a recipe unless it is finished in ``folder``, then compare rankers on it.

    A finished run is taken as it is: its language models are trained once, and a later version of this package does
    not train them again.

    Returns:
        The path of ``compare.json``.
    """
    reporter, recipe = reporter or Reporter(), pinned(recipe, folder)
    if not (folder / "metrics.json").is_file():
        run_recipe(recipe, folder, reporter)
    run = open_run(recipe, folder, reporter)
    components = Components(recipe, run, Dataset.of(run))
    promoted = int(run.manifest("promote")["counts"]["promoted"])
    return Comparison(components, promoted, settings).work()
