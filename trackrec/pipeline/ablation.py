"""Ablations of the loop: variants of a recipe's run, judged on the same users, each sharing the stages that it can."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field, ValidationError

from trackrec.data.roles import Role
from trackrec.errors import RecipeError
from trackrec.metrics import auc, log_likelihood
from trackrec.pipeline.ablation_din import DinJudge
from trackrec.pipeline.evaluation import Evaluation
from trackrec.pipeline.job import open_run
from trackrec.pipeline.loop import Loop
from trackrec.pipeline.loop_checks import LoopChecks
from trackrec.pipeline.parts import OUTSIDE, Parts
from trackrec.pipeline.variants import CHECKS, VARIANTS, Variant, chosen_names, variant_recipe
from trackrec.pipeline.world import World, prepare
from trackrec.progress import Reporter
from trackrec.prompts.domains import find_domain
from trackrec.reccot.rewards import grounding_penalty
from trackrec.reccot.truth import sample_counts
from trackrec.reccot.vocabulary import Vocabulary
from trackrec.recipe import Recipe
from trackrec.run import Stage, write_json
from trackrec.settings import Settings
from trackrec.significance import holm, paired_contrast
from trackrec.threads import use_threads

Row = dict[str, Any]
METRICS = {"auc": auc, "log_likelihood": log_likelihood}
PREFIX = "ablation-"
"""Of the names of the stages that judge a variant."""


class AblationSettings(Settings):
    """What ``trackrec ablate`` runs."""

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
    users: see :class:`trackrec.pipeline.ablation_din.DinJudge`."""


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
        self.world = World.of(self.run)
        self.users = self.world.users(Role.LM_VALIDATION)
        self.draws = recipe.evaluation.bootstrap
        if settings.din:
            DinJudge(self.base())  # too few folds would show only after the first variant

    def base(self) -> Parts:
        """The recipe's own parts, made anew for each use: a variant's language model takes their place in memory."""
        return Parts(self.recipe, self.run, self.world)

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
        self.reporter.line(f"[bold]{label}[/bold]: {variant.question} ({', '.join(variant.changes)})")
        against = own if variant.sets_rounds else rounds
        parts = self._looped(recipe, label)
        self._judge(variant, label, parts, against)
        if self.settings.din:
            DinJudge(self.base()).judge(PREFIX + label + "-din", self._head(label, against), parts, rounds, against)

    def _looped(self, recipe: Recipe, label: str) -> Parts:
        """Run a variant's loop; its parts come back without the language model."""
        run = open_run(recipe, self.folder / "ablations" / label, self.reporter, lender=self.folder)
        parts = Parts(recipe, run, prepare(recipe, run))
        Loop(parts).all_rounds()
        self._read_own(parts, recipe.loop.rounds)
        return Parts(recipe, run, parts.world)

    def _read_own(self, parts: Parts, number: int) -> None:
        """The table ``own``: the variant's last validator reads the variant's last RecCoTs."""
        kind = parts.kinds[0]

        def work(stage: Stage) -> None:
            texts = parts.kept(number).filter(pl.col("user_id").is_in(self.users)).select("user_id", "sample", "text")
            stage.write("own", parts.loaded_validator(kind, number).score(self.world.targets_of(self.users), texts))

        inputs = [parts.validator_folder(kind, number, OUTSIDE), parts.run.table(f"write-{number}")]
        parts.do("own", work, [*inputs, parts.run.table("targets")], {"kind": kind})

    def _judge(self, variant: Variant, label: str, parts: Parts, against: int) -> None:
        """All the rows of a variant, with what it cost, in the manifest of a stage of the recipe's run."""
        number, base = parts.recipe.loop.rounds, self.base()

        def work(stage: Stage) -> None:
            written = self._written(parts, number)
            table = pl.concat([self._scores(base, kind, written) for kind in base.kinds])
            stage.write(PREFIX + label, table)
            rows = []
            for kind in base.kinds:
                other = self._matrix(base, kind).filter(pl.col("sample") == against)
                rows += self._contrasts(kind, table.filter(pl.col("validator").str.starts_with(f"{kind}-")), other)
            name = f"{base.kinds[0]}-{against}"
            own = self._matrix(base, base.kinds[0]).filter(
                (pl.col("sample") == against) & (pl.col("validator") == name)
            )
            rows += self._contrasts("own", parts.run.read("own").with_columns(validator=pl.lit(name)), own)
            rows += self._of_texts(written, self._written(base, against))
            head = self._head(label, against)
            stage.counts = {
                "about": head
                | {"question": variant.question, "changes": list(variant.changes), "rounds": number}
                | _cost(parts)
                | {"unfinished": float((~written["finished"]).sum() / max(1, written.height))},
                "rows": [head | row for row in rows],
            }

        kinds = [(kind, judge) for kind in base.kinds for judge in base.rounds]
        inputs = [parts.run.table(f"write-{number}"), parts.run.table("own"), self.run.table("targets")]
        inputs += [self.run.table(f"write-{judge}") for judge in base.rounds]
        inputs += [self.run.table(f"matrix-{kind}-{judge}") for kind, judge in kinds]
        settings = {"draws": self.draws, "changes": list(variant.changes), "against": against}
        base.do(PREFIX + label, work, inputs, settings)

    def _head(self, label: str, against: int) -> Row:
        return {"variant": label, "against_round": against}

    def _written(self, parts: Parts, number: int) -> pl.DataFrame:
        """A round's RecCoTs of LM validation users."""
        return parts.kept(number).filter(pl.col("user_id").is_in(self.users)).sort("user_id")

    def _matrix(self, base: Parts, kind: Any) -> pl.DataFrame:
        return pl.concat([self.run.read(f"matrix-{kind}-{judge}") for judge in base.rounds])

    def _scores(self, base: Parts, kind: Any, written: pl.DataFrame) -> pl.DataFrame:
        """The RecCoTs under each validator of the recipe's run; what one of its own rounds wrote is read off."""
        before = pl.concat(
            [
                base.kept(number).select("user_id", "text", round=pl.lit(number, dtype=pl.Int16))
                for number in base.rounds
            ]
        ).unique(["user_id", "text"], keep="first", maintain_order=True)
        texts = written.select("user_id", "text").join(
            before, on=["user_id", "text"], how="left", maintain_order="left"
        )
        known = texts.drop_nulls("round").select("user_id", sample="round")
        new = texts.filter(pl.col("round").is_null()).select(
            "user_id", pl.lit(0, dtype=pl.Int16).alias("sample"), "text"
        )
        tables = []
        with self.reporter.bar(f"judged by {kind}", len(base.rounds), "validators") as advance:
            for number in base.rounds:
                matrix = self.run.read(f"matrix-{kind}-{number}")
                tables.append(matrix.join(known, on=["user_id", "sample"], how="semi"))
                if new.height:
                    scores = base.loaded_validator(kind, number).score(
                        self.world.targets_of(new["user_id"].to_list()), new
                    )
                    tables.append(scores.with_columns(validator=pl.lit(f"{kind}-{number}")).select(matrix.columns))
                advance(1, True)
        return pl.concat(tables)

    def _contrasts(self, judge: str, table: pl.DataFrame, other: pl.DataFrame) -> list[Row]:
        """A variant less the recipe, paired over users; with several validators, on the mean over them."""
        order = ["validator", "user_id", "event_id"]
        mine, theirs = table.sort(order), other.sort(order)
        judges = mine["validator"].n_unique()
        first = mine.head(mine.height // judges)
        users, labels = first["user_id"].to_numpy(), first["label"].to_numpy()
        scores = [part["yes_probability"].to_numpy().reshape(judges, -1) for part in (mine, theirs)]
        rows = []
        for name, statistic in METRICS.items():
            found = paired_contrast(statistic, users, labels, *scores, seed=self.recipe.seed, draws=self.draws)
            rows.append(
                {"judge": judge, "judges": judges, "metric": name} | found.as_row() | _size(users, first.height)
            )
        return rows

    def _of_texts(self, mine: pl.DataFrame, theirs: pl.DataFrame) -> list[Row]:
        """How long the RecCoTs are, and which share of their checkable claims the history contradicts."""
        prompts = self.recipe.prompts
        vocabulary = Vocabulary(self.world.items, find_domain(prompts.domain), prompts.attributes)
        values: dict[str, list[Any]] = {"tokens": [], "contradicted_share": []}
        for table in (mine, theirs):
            values["tokens"].append(table["token_ids"].list.len().cast(pl.Float64).to_numpy())
            counts = sample_counts(table, self.world.history_rows, vocabulary)
            values["contradicted_share"].append(grounding_penalty(counts["contradicted"], counts["checkable"], 1.0))
        users, rows = mine["user_id"].to_numpy(), []
        for name, both in values.items():
            found = paired_contrast(
                lambda _, value: float(np.mean(value)),
                users, np.zeros(len(users)), *both, seed=self.recipe.seed, draws=self.draws,
            )  # fmt: skip
            rows.append({"judge": "text", "judges": 1, "metric": name} | found.as_row() | _size(users, len(users)))
        return rows

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


def _size(users: Iterable[Any], examples: int) -> Row:
    return {"users": len(set(users)), "examples": examples}


def _place(stage: str, names: list[str]) -> tuple[int, str]:
    """Variants in the order of their table; a longer name that begins with a shorter one is not meant by it."""
    label = stage.removeprefix(PREFIX)
    fitting = [name for name in names if label == name or label.startswith(f"{name}-")]
    return (names.index(max(fitting, key=len)) if fitting else len(names), label)


def _cost(parts: Parts) -> Row:
    """Seconds that a variant took, and that it did not take since the recipe's run had done the stage."""
    manifests = [parts.run.manifest(path.stem) for path in sorted((parts.run.folder / "manifests").glob("*.json"))]
    shared = [manifest for manifest in manifests if "borrowed_from" in manifest]
    spent = sum(manifest["seconds"] for manifest in manifests) - sum(manifest["seconds"] for manifest in shared)
    saved = sum(manifest["seconds"] for manifest in shared)
    return {"seconds": round(spent, 1), "shared_seconds": round(saved, 1), "shared_stages": len(shared)}


def ablate_recipe(recipe: Recipe, folder: Path, settings: AblationSettings, reporter: Reporter | None = None) -> Path:
    """Run a recipe's loop unless it has ended in ``folder``, then variants of it and checks on it.

    A finished run is taken as it is, and none of it is trained again.

    Returns:
        The path of ``ablations.json``.
    """
    reporter, started = reporter or Reporter(), time.monotonic()
    use_threads(recipe.model.threads)
    if not (folder / "metrics.json").is_file():
        _run_loop(recipe, folder, reporter)
    return Ablation(recipe, folder, settings, reporter, started).work()


def _run_loop(recipe: Recipe, folder: Path, reporter: Reporter) -> None:
    """The recipe's own loop and its matrix, all that variants are compared with."""
    run = open_run(recipe, folder, reporter)
    parts = Parts(recipe, run, prepare(recipe, run))
    Loop(parts).all_rounds()
    Evaluation(parts).matrix()
