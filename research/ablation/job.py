"""Ablations of the loop: variants of a recipe's run, judged on the same users, each sharing the stages that it can."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from pydantic import Field, ValidationError

from research.ablation.din import DinJudge
from research.ablation.judge import ValidatorJudge
from research.ablation.loop_checks import LoopChecks
from research.ablation.variants import CHECKS, VARIANTS, Variant, chosen_names, variant_recipe
from research.metrics.significance import holm
from trackrec.data.roles import Role
from trackrec.errors import RecipeError
from trackrec.lm.threads import use_threads
from trackrec.pipeline.components import OUTSIDE, Components
from trackrec.pipeline.dataset import Dataset, prepare
from trackrec.pipeline.evaluation import Evaluation
from trackrec.pipeline.job import open_run
from trackrec.pipeline.loop import Loop
from trackrec.pipeline.revisions import pinned
from trackrec.progress import Reporter
from trackrec.recipe import Recipe
from trackrec.run import Stage, write_json
from trackrec.settings import Settings

PREFIX = "ablation-"
"""Of the names of the stages that judge a variant."""


class AblationSettings(Settings):
    """What ``python -m research ablate`` runs."""

    only: tuple[str, ...] = ()
    """Names of variants and checks; empty: all of them."""
    rounds: int | None = Field(default=None, ge=1)
    """Rounds of a variant at most, where their number is not what it varies; it is then compared with the recipe's
    own generator after as many. None: as many as the recipe has."""
    minutes: float | None = Field(default=None, gt=0)
    """Begin no variant or check after so many minutes, the recipe's own loop included; the same command goes on. None:
    no limit."""
    din: bool = False
    """Whether each variant's RecCoTs are also tried as a feature of the ranker, which means writing for the ranker
    users: see :class:`research.ablation.din.DinJudge`."""


def ablation_settings(only: Sequence[str], rounds: int | None, minutes: float | None, din: bool) -> AblationSettings:
    """The settings of the command line.

    Raises:
        RecipeError: an unknown name of a variant, or a value out of range.
    """
    chosen_names(only)
    try:
        return AblationSettings(only=tuple(only), rounds=rounds, minutes=minutes, din=din)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(f"--{first['loc'][0]}: {first['msg']}, got {first['input']!r}") from error


class Ablation:
    """Runs variants beside a recipe's run, in ``ablations/`` of its folder, and writes ``ablations.json``.

    Args:
        recipe: of the run.
        folder: of the run; its loop has ended.
        settings: what is run.
        reporter: shows progress.
        started: monotonic time from which the minutes are counted.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, settings: AblationSettings, reporter: Reporter, started: float
    ) -> None:
        self.started = started
        self.recipe, self.folder, self.settings, self.reporter = recipe, folder, settings, reporter
        self.run = open_run(recipe, folder, reporter)
        self.dataset = Dataset.of(self.run)
        self.users = self.dataset.users(Role.LM_VALIDATION)
        self.draws = recipe.evaluation.bootstrap
        if settings.din:
            DinJudge(self.base())  # too few folds would show only after the first variant

    def base(self) -> Components:
        """The recipe's own parts, made anew for each use: a variant's language model takes their place in memory."""
        return Components(self.recipe, self.run, self.dataset)

    def work(self) -> Path:
        """Run what is chosen; the table is written anew after each."""
        variants = {variant.name: variant for variant in VARIANTS}
        path = self.collect()
        for name in chosen_names(self.settings.only):
            if self.settings.minutes is not None and time.monotonic() - self.started > 60 * self.settings.minutes:
                self.reporter.line(f"{self.settings.minutes:g} minutes are over before {name}: start again to go on")
                break
            gc.collect()  # language models hold cycles, and the memory that hangs on them is not seen by the collector
            if name in CHECKS:
                checks = LoopChecks(self.base())
                checks.fresh() if name == "fresh-v" else checks.length()
            else:
                self.variant(variants[name])
            path = self.collect()
        return path

    def variant(self, variant: Variant) -> None:
        """Run a variant's loop and let it be judged."""
        recipe = variant_recipe(self.recipe, variant, self.settings.rounds or self.recipe.loop.rounds)
        if recipe is None:
            self.reporter.line(f"{variant.name}: left out, it is what the recipe does")
            return
        rounds, own = recipe.loop.rounds, self.recipe.loop.rounds
        label = variant.name
        if not variant.sets_rounds and rounds != own:
            label += f"-after-{rounds}"
        self.reporter.line(f"{label}: {variant.question} ({', '.join(variant.changes)})", style="bold")
        against = own if variant.sets_rounds else rounds
        head = {"variant": label, "against_round": against}
        parts = self._looped(recipe, label)
        ValidatorJudge(self.base()).judge(PREFIX + label, variant, head, parts, against)
        if self.settings.din:
            DinJudge(self.base()).judge(PREFIX + label + "-din", head, parts, rounds, against)

    def _looped(self, recipe: Recipe, label: str) -> Components:
        """Run a variant's loop; its parts come back without the language model."""
        run = open_run(recipe, self.folder / "ablations" / label, self.reporter, lender=self.folder)
        components = Components(recipe, run, prepare(recipe, run))
        Loop(components).all_rounds()
        self._read_own(components, recipe.loop.rounds)
        return Components(recipe, run, components.dataset)

    def _read_own(self, components: Components, number: int) -> None:
        """The table ``own``: the variant's last validator reads the variant's last RecCoTs."""
        kind = components.kinds[0]

        def work(stage: Stage) -> None:
            texts = (
                components.kept(number).filter(pl.col("user_id").is_in(self.users)).select("user_id", "sample", "text")
            )
            stage.write(
                "own", components.loaded_validator(kind, number).score(self.dataset.targets_of(self.users), texts)
            )

        inputs = [components.validator_folder(kind, number, OUTSIDE), components.run.table(f"write-{number}")]
        components.do("own", work, [*inputs, components.run.table("targets")], {"kind": kind})

    def collect(self) -> Path:
        """Write ``ablations.json``: whatever has been judged in this folder so far."""
        abouts, rows, checks = [], [], []
        names = [variant.name for variant in VARIANTS]
        found = sorted((self.folder / "manifests").glob(f"{PREFIX}*.json"), key=lambda path: _place(path.stem, names))
        for path in found:
            counts = self.run.manifest(path.stem)["counts"]
            abouts += [counts["about"]] if "about" in counts else []
            rows += counts["rows"]
        for name in CHECKS:
            if (self.folder / "manifests" / f"check-{name}.json").is_file():
                counts = self.run.manifest(f"check-{name}")["counts"]
                checks.append({"check": name, "question": CHECKS[name]} | counts)
        family = {str(place): row["p"] for place, row in enumerate(rows) if row["judge"] != "text" and row["p"]}
        adjusted = holm(family)
        for place, row in enumerate(rows):
            row["p_holm"] = adjusted.get(str(place))
        target = self.folder / "ablations.json"
        told = {"recipe": self.recipe.name, "seed": self.recipe.seed, "rounds": self.recipe.loop.rounds}
        told |= {"validation_users": len(self.users), "draws": self.draws}
        write_json(target, told | {"variants": abouts, "rows": rows, "checks": checks})
        return target


def _place(stage: str, names: list[str]) -> tuple[int, str]:
    """Variants in the order of their table; a longer name that begins with a shorter one is not meant by it."""
    label = stage.removeprefix(PREFIX)
    fitting = [name for name in names if label == name or label.startswith(f"{name}-")]
    return (names.index(max(fitting, key=len)) if fitting else len(names), label)


def ablate_recipe(recipe: Recipe, folder: Path, settings: AblationSettings, reporter: Reporter | None = None) -> Path:
    """Run a recipe's loop unless it has ended in ``folder``, then variants of it and checks on it.

    A finished run is taken as it is, and none of it is trained again.

    Returns:
        The path of ``ablations.json``.
    """
    reporter, started = reporter or Reporter(), time.monotonic()
    recipe = pinned(recipe, folder)
    use_threads(recipe.model.threads)
    if not (folder / "metrics.json").is_file():
        _run_loop(recipe, folder, reporter)
    return Ablation(recipe, folder, settings, reporter, started).work()


def _run_loop(recipe: Recipe, folder: Path, reporter: Reporter) -> None:
    """The recipe's own loop and its matrix, all that variants are compared with."""
    run = open_run(recipe, folder, reporter)
    components = Components(recipe, run, prepare(recipe, run))
    Loop(components).all_rounds()
    Evaluation(components).matrix()
