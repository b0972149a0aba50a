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
from research.texts_of_files import texts_of_files
from trackrec.data.new_items import NEW
from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.judges.matcher import MatcherSettings
from trackrec.metrics.intervals import bootstrap_users, paired_bootstrap
from trackrec.metrics.probability import auc, gauc
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import Dataset, prepare
from trackrec.pipeline.job import open_run
from trackrec.progress import Reporter
from trackrec.recipe import Recipe
from trackrec.registry import component, short_name
from trackrec.settings import ComponentSettings, Settings
from trackrec.teachers.base import write_texts
from trackrec.teachers.template import TeacherSettings

METRICS: dict[str, Callable[..., float]] = {"auc": auc, "gauc": gauc}
TAUGHT = "as it was taught"
"""The teacher's texts with what the recipe lets it leave out, as the generator learnt from them."""
OVER = {
    "over_none": NO_TEXT,
    "over_swapped": SWAPPED,
    "over_teacher": TEACHER,
    "over_taught": TAUGHT,
    "over_distilled": round_name(0),
}
"""Paired differences of an arm, and what each is from."""


class ReadingSettings(Settings):
    """What the study does."""

    judge: Annotated[SerializeAsAny[ComponentSettings], component("judge", "matcher")] = MatcherSettings()
    """The judge; it had no part in the loop, and is fitted on texts of all origins alike."""
    seeds: int = Field(default=3, ge=1)
    """So often it is fitted; figures are means."""
    folds: int = Field(default=0, ge=0, le=20)
    """0: it learns from users in LM roles and is tested on ranker users. From 2 on: all users with a text of every
    origin, whatever their role, are cut into so many parts by chance, and each is judged by a fit on the others."""
    draws: int = Field(default=1000, ge=100)
    """Draws behind a 95% interval (users are drawn)."""
    lengths: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """The template teacher's texts also of at most so many tokens each, to see what longer texts are worth. That there
    is enough to tell is for the recipe (`profile.most_consumed`, `teacher.most_tags`)."""


def study(
    recipe: Recipe,
    folder: Path,
    settings: ReadingSettings,
    reporter: Reporter,
    files: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Fit the judge on some users, and let it judge the texts of others, none of whose labels it saw.

    Origins are the template teacher, if the recipe has it, each round whose texts the folder holds, and files; beside
    them stand another user's text (of the last origin) and none. The data stage is made where it is missing, so that
    the teacher's texts alone can be judged without a run.

    Args:
        recipe: of the run.
        folder: the run folder.
        settings: see :class:`ReadingSettings`.
        reporter: shows progress.
        files: of ``user_id, text``, by the name of the origin.

    Returns:
        A row for each set of items (``all``, and ``new`` and ``known`` where the split has new ones), arm and metric:
        ``value, low, high``; the differences named in ``OVER``, each with its interval; ``users, examples, seeds,
        words`` (of a text, in the mean).

    Raises:
        RunError: too few users have a text of every origin.
    """
    run = open_run(recipe, folder, reporter)
    dataset = prepare(recipe, run)
    components = Components(recipe, run, dataset)
    texts = origins(components, settings.lengths) | texts_of_files(files or {}, dataset.roles["user_id"])
    parts = parts_to_judge(dataset, texts, settings.folds, recipe.seed)
    tested = [user for _, part in parts for user in part]
    rows = arms(texts, tested, recipe.seed)
    names = list(rows)
    asked = pl.concat([table.with_columns(sample=pl.lit(k, dtype=pl.Int16)) for k, table in enumerate(rows.values())])
    kind = short_name(settings.judge)
    components.judges[kind] = settings.judge
    scores: dict[str, list[np.ndarray]] = {name: [] for name in names}
    with reporter.steps(f"{kind} outside the loop", "fits") as progress:
        for number in range(settings.seeds):
            found = []
            for place, (learned, part) in enumerate(parts):
                judge = components.validator(kind, number, place)
                known = pl.concat(list(texts.values())).filter(pl.col("user_id").is_in(learned))
                with tempfile.TemporaryDirectory() as scratch:
                    judge.fit(dataset.every_target(learned), known, Path(scratch) / "judge", recipe.seed + number)
                found.append(judge.score(dataset.every_target(part), asked.filter(pl.col("user_id").is_in(part))))
                progress(number * len(parts) + place + 1, settings.seeds * len(parts))
            judged = pl.concat(found).sort("sample", "user_id", "event_id")
            for (sample,), one in judged.group_by("sample", maintain_order=True):
                scores[names[int(str(sample))]].append(one["yes_probability"].to_numpy())
    examples = dataset.every_target(tested).sort("user_id", "event_id")
    if NEW in dataset.examples.columns:
        said = dataset.examples.select("user_id", "event_id", NEW)
        examples = examples.join(said, on=["user_id", "event_id"], how="left", maintain_order="left")
    stacked = {name: np.stack(fits) for name, fits in scores.items()}
    words = {name: table["text"].str.count_matches(r"\S+").mean() for name, table in rows.items()}
    return [
        row | {"words": words[row["arm"]]}
        for items, mask in parts_of(examples)
        for row in figures(items, mask, examples, stacked, settings, recipe)
    ]


def parts_to_judge(
    dataset: Dataset, texts: Mapping[str, pl.DataFrame], folds: int, seed: int
) -> list[tuple[list[Any], list[Any]]]:
    """Users to learn from and users to judge, once for each fit; see ``ReadingSettings.folds``.

    Raises:
        RunError: too few users have a text of every origin.
    """
    written = set.intersection(*(set(table["user_id"].to_list()) for table in texts.values()))
    if not folds:
        both = [(dataset.users(Role.LM, Role.LM_EXTRA), [u for u in dataset.users(Role.RANKER) if u in written])]
    else:
        everybody = [user for user in dataset.roles["user_id"].to_list() if user in written]
        place = np.random.default_rng([seed, 3]).permutation(len(everybody)) % folds
        cut = [[user for user, at in zip(everybody, place, strict=True) if at == fold] for fold in range(folds)]
        both = [([user for user in everybody if user not in set(part)], part) for part in cut]
    if any(len(part) < 2 for _, part in both):
        counted = ", ".join(f"{name} {table.height}" for name, table in texts.items())
        raise RunError(
            f"{len(written)} users have a text of every origin ({counted}), too few of them ranker users to judge: "
            "give texts of the same users; where these are users in LM roles, set reading.folds=5"
        )
    return both


def origins(components: Components, lengths: Sequence[int] = ()) -> dict[str, pl.DataFrame]:
    """``user_id, text`` of each origin: the template teacher that leaves nothing out, of each length that is asked for,
    and with what it left out for the generator; then each round's generator."""
    recipe, run, dataset = components.recipe, components.run, components.dataset
    found = {}
    if isinstance(recipe.teacher, TeacherSettings):
        whole = recipe.teacher.model_copy(update={"omit": 0.0, "omit_genres": 0.0})
        tellers = {TEACHER: whole}
        tellers |= {f"{length} tokens": whole.model_copy(update={"max_tokens": length}) for length in lengths}
        if whole != recipe.teacher:
            tellers[TAUGHT] = recipe.teacher
        everybody = dataset.roles["user_id"].to_list()
        for name, settings in tellers.items():
            teacher = components.teacher(settings)
            table = write_texts(teacher, dataset.histories, components.renderer, recipe.seed, users=everybody)
            found[name] = table.select("user_id", "text")
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
    over |= {"over teacher's": "over_teacher", "over taught": "over_taught", "over distilled": "over_distilled"}
    print_by_items(rows, say, "text", over, digits=3)
