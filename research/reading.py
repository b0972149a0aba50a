"""What a judge outside the loop reads in texts of each origin, on all items and on items that nobody has seen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field, SerializeAsAny

from research.comparison.arms import NO_TEXT, SWAPPED, TEACHER, round_name
from research.printing import print_by_items
from trackrec.data.new_items import NEW
from trackrec.data.roles import Role
from trackrec.judges.matcher import MatcherSettings
from trackrec.metrics.intervals import bootstrap_users, paired_bootstrap
from trackrec.metrics.probability import auc, gauc
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.progress import Reporter
from trackrec.recipe import Recipe
from trackrec.registry import component, short_name
from trackrec.settings import ComponentSettings, Settings
from trackrec.teachers.base import write_texts
from trackrec.teachers.template import TeacherSettings

METRICS: dict[str, Callable[..., float]] = {"auc": auc, "gauc": gauc}
OVER = {"over_none": NO_TEXT, "over_swapped": SWAPPED, "over_teacher": TEACHER, "over_distilled": round_name(0)}
"""Paired differences of an arm, and what each is from."""


class ReadingSettings(Settings):
    """What the study does."""

    judge: Annotated[SerializeAsAny[ComponentSettings], component("judge", "matcher")] = MatcherSettings()
    """The judge; it had no part in the loop, and is fitted on texts of all origins alike."""
    seeds: int = Field(default=3, ge=1)
    """So often it is fitted; figures are means."""
    draws: int = Field(default=1000, ge=100)
    """Draws behind a 95% interval (users are drawn)."""


def study(recipe: Recipe, folder: Path, settings: ReadingSettings, reporter: Reporter) -> list[dict[str, Any]]:
    """Fit the judge on users in LM roles, and let it judge the texts of ranker users, none of whose labels it saw.

    Origins are the template teacher, if the recipe has it, and each round whose texts the folder holds; beside them
    stand another user's text (of the last origin) and none. The data stage is made where it is missing, so that the
    teacher's texts alone can be judged without a run.

    Args:
        recipe: of the run.
        folder: the run folder.
        settings: see :class:`ReadingSettings`.
        reporter: shows progress.

    Returns:
        A row for each set of items (``all``, and ``new`` and ``known`` where the split has new ones), arm and metric:
        ``value, low, high``; the differences named in ``OVER``, each with its interval; ``users, examples, seeds``.
    """
    run = open_run(recipe, folder, reporter)
    dataset = prepare(recipe, run)
    components = Components(recipe, run, dataset)
    texts = origins(components)
    learned = dataset.users(Role.LM, Role.LM_EXTRA)
    written = set.intersection(*(set(table["user_id"].to_list()) for table in texts.values()))
    tested = [user for user in dataset.users(Role.RANKER) if user in written]
    targets = dataset.every_target(tested)
    rows = arms(texts, tested, recipe.seed)
    names = list(rows)
    asked = pl.concat([table.with_columns(sample=pl.lit(k, dtype=pl.Int16)) for k, table in enumerate(rows.values())])
    kind = short_name(settings.judge)
    components.judges[kind] = settings.judge
    scores: dict[str, list[np.ndarray]] = {name: [] for name in names}
    with reporter.steps(f"{kind} outside the loop", "fits") as progress:
        for number in range(settings.seeds):
            judge = components.validator(kind, number, 0)
            known = pl.concat(list(texts.values())).filter(pl.col("user_id").is_in(learned))
            with tempfile.TemporaryDirectory() as scratch:
                judge.fit(dataset.every_target(learned), known, Path(scratch) / "judge", recipe.seed + number)
            judged = judge.score(targets, asked).sort("sample", "user_id", "event_id")
            for (sample,), part in judged.group_by("sample", maintain_order=True):
                scores[names[int(str(sample))]].append(part["yes_probability"].to_numpy())
            progress(number + 1, settings.seeds)
    examples = targets.sort("user_id", "event_id")
    if NEW in dataset.examples.columns:
        said = dataset.examples.select("user_id", "event_id", NEW)
        examples = examples.join(said, on=["user_id", "event_id"], how="left", maintain_order="left")
    stacked = {name: np.stack(parts) for name, parts in scores.items()}
    return [
        row for items, mask in parts_of(examples) for row in figures(items, mask, examples, stacked, settings, recipe)
    ]


def origins(components: Components) -> dict[str, pl.DataFrame]:
    """``user_id, text`` of each origin: the template teacher that leaves nothing out, then each round's generator."""
    recipe, run, dataset = components.recipe, components.run, components.dataset
    found = {}
    if isinstance(recipe.teacher, TeacherSettings):
        teacher = components.teacher(recipe.teacher.model_copy(update={"omit": 0.0, "omit_genres": 0.0}))
        everybody = dataset.roles["user_id"].to_list()
        table = write_texts(teacher, dataset.histories, components.renderer, recipe.seed, users=everybody)
        found[TEACHER] = table.select("user_id", "text")
    for number in components.rounds:
        if run.table(f"write-{number}").is_file():
            found[round_name(number)] = run.read(f"write-{number}").select("user_id", "text")
    return found


def arms(texts: Mapping[str, pl.DataFrame], users: Sequence[Any], seed: int) -> dict[str, pl.DataFrame]:
    """``user_id, text`` of each arm, in the order of the users."""
    order = pl.DataFrame({"user_id": users}, schema={"user_id": next(iter(texts.values())).schema["user_id"]})
    own = {name: order.join(table, on="user_id", how="left", maintain_order="left") for name, table in texts.items()}
    last = list(own.values())[-1]
    places = np.random.default_rng([seed, 2]).permutation(len(users))
    giver = np.empty_like(places)
    giver[places] = np.roll(places, 1)
    swapped = last.with_columns(text=last["text"].gather(giver))
    return {NO_TEXT: last.with_columns(text=pl.lit(None, dtype=pl.String)), SWAPPED: swapped} | own


def parts_of(examples: pl.DataFrame) -> list[tuple[str, np.ndarray]]:
    """All examples; with new items, those of new and of other items apart."""
    found = [("all", np.ones(examples.height, dtype=bool))]
    if NEW in examples.columns:
        new = examples[NEW].to_numpy()
        found += [("new", new), ("known", ~new)]
    return found


def figures(
    items: str,
    mask: np.ndarray,
    examples: pl.DataFrame,
    scores: Mapping[str, np.ndarray],
    settings: ReadingSettings,
    recipe: Recipe,
) -> list[dict[str, Any]]:
    """The rows of one set of items; see :func:`study`."""
    users, labels = examples["user_id"].to_numpy()[mask], examples["label"].to_numpy()[mask]
    common: dict[str, Any] = {"seed": recipe.seed, "draws": settings.draws}
    rows = []
    for metric, statistic in METRICS.items():
        for name, values in scores.items():
            told = bootstrap_users(statistic, users, labels, values[:, mask], **common)
            row = {"items": items, "arm": name, "metric": metric, **told._asdict()}
            for key, other in OVER.items():
                if other in scores and name not in (NO_TEXT, SWAPPED, other):
                    pair = (values[:, mask], scores[other][:, mask])
                    row[key] = list(paired_bootstrap(statistic, users, labels, *pair, **common))
            sizes = {"users": len(np.unique(users)), "examples": int(mask.sum()), "seeds": settings.seeds}
            rows.append(row | sizes)
    return rows


def print_reading(rows: Sequence[dict[str, Any]], say: Any) -> None:
    """The study as tables in the terminal, one for each set of items."""
    over = {"over none": "over_none", "over another user's": "over_swapped"}
    over |= {"over teacher's": "over_teacher", "over distilled": "over_distilled"}
    print_by_items(rows, say, "text", over, digits=3)
