"""The check of a log: read it, split it, judge it, and write the card and a recipe that is ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.data.card import Figures, describe_log, describe_split, first_values
from trackrec.data.columns import Columns
from trackrec.data.feedback import FeedbackSettings, Liking, add_negatives, guess_liking
from trackrec.data.filters import filter_log
from trackrec.data.findings import Finding, describe_findings
from trackrec.data.log import Log
from trackrec.data.log_problems import find_problems, find_warnings
from trackrec.data.rating_scale import as_amount, rating_warnings
from trackrec.data.sources import TABLES, find_source, read_log
from trackrec.data.split import Split, SplitSettings, split_log
from trackrec.data.tabular import read_shown
from trackrec.errors import LogError
from trackrec.pipeline.log_settings import LogSettings, log_settings
from trackrec.pipeline.own_recipe import (
    Form,
    choose_attributes,
    fit_recipe,
    guess_domain,
    merged,
    users_needed,
)  # fmt: skip
from trackrec.prompts.domains import find_domain


@dataclass(frozen=True)
class DataCard:
    """What was found of a log."""

    name: str
    columns: list[Columns]
    liking: Liking
    domain: str
    log: Figures
    split: Figures | None
    """None if no user can have a history and examples."""
    findings: list[Finding]
    problems: list[str]
    """Why a run would be meaningless; empty if it is not."""
    warnings: list[str]
    recipe: dict[str, Any] | None
    """A recipe that is ready to run; None if there are problems."""
    notes: tuple[str, ...] = ()
    """What reading the log had to decide and was not sure of."""
    first_values: Mapping[str, str] = field(default_factory=dict)
    """Role to the value of the first interaction, as it was read."""

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        tables = [
            {"table": part.table, "roles": dict(part.roles), "guessed": sorted(part.guessed),
             "kept": list(part.attributes), "not_used": list(part.unused)}
            for part in self.columns
        ]  # fmt: skip
        return {
            "name": self.name,
            "verdict": "meaningless" if self.problems else "ready",
            "problems": self.problems,
            "warnings": self.warnings,
            "unsure": list(self.notes),
            "columns": tables,
            "first_values": dict(self.first_values),
            "liking": self.liking._asdict(),
            "domain": self.domain,
            "log": self.log,
            "split": self.split,
            "findings": [finding._asdict() for finding in self.findings],
        }


def check_log(name: str, source: Mapping[str, Any], changes: Mapping[str, Any], form: Form) -> DataCard:
    """Read a log as a run would, and say what it is and what would become of it.

    Args:
        name: of the log, and of the recipe for it.
        source: the tree of ``Recipe.source``.
        changes: settings of a recipe that the user asks for, as a tree.
        form: of the recipe that is made ready.

    Raises:
        LogError: the log cannot be read at all.
        RecipeError: a setting is unknown.
    """
    source = merged(source, changes.get("source", {}))
    asked = log_settings({**changes, "source": source})
    log, columns = _read(asked)
    log = filter_log(log, asked.filters)
    known = None if asked.source.source == TABLES else find_source(asked.source.source)
    if known is None:
        rated = "rating" in columns[0].roles
    else:
        rated = known.feedback == "graded" or (
            known.feedback == "unknown" and log.interactions["rating"].n_unique() > 1
        )
    ratings = log.interactions["rating"]
    impressions = known.impressions if known else columns[0].impressions
    named = columns[0].roles.get("rating", "") if columns else ""
    guessed = guess_liking(ratings, rated, impressions, named)
    if known and known.like_threshold is not None:
        guessed = Liking("threshold", known.like_threshold, f"{known.name}: {known.like_threshold:g} or more is a like")
    liking = _asked_liking(guessed, changes)
    weight = {} if liking.like_weight is None else {"like_weight": liking.like_weight}
    feedback = asked.feedback.model_copy(update={"kind": liking.kind, **weight})
    settings = asked.split.model_copy(update={"like_threshold": liking.like_threshold})
    split, error = _split(log, settings, feedback, asked.seed)
    figures = describe_log(log)
    cut = None if split is None else describe_split(log, split, settings, feedback)
    problems = find_problems(figures, cut, error, users_needed(form))
    if problems and figures["size"]["users"] >= users_needed(form):
        problems += _with_shorter_histories(log, settings, feedback, users_needed(form))
    guess = known.domain if known else guess_domain(columns)
    domain = str(changes.get("prompts", {}).get("domain") or guess)
    find_domain(domain)
    recipe = None
    if not problems and cut is not None:
        users = cut["users"]["with_history_and_examples"]
        attributes = choose_attributes(log.items)
        recipe = fit_recipe(form, name, source, users, liking, domain, attributes, changes)
    counts = log.counts | ({} if split is None else split.counts)
    warnings = find_warnings(figures, cut, counts)
    if rated and not impressions:
        column = named or ("the weights of events" if columns else "the rating")
        warnings += rating_warnings(ratings, as_amount(ratings, named), column)
    findings = describe_findings(counts)
    return DataCard(
        name, columns, liking, domain, figures, cut, findings, problems, warnings, recipe, log.notes, first_values(log)
    )


def _read(settings: LogSettings) -> tuple[Log, list[Columns]]:
    if settings.source.source == TABLES:
        return read_shown(settings.source.tables)
    return read_log(settings.source), []


def _asked_liking(guess: Liking, changes: Mapping[str, Any]) -> Liking:
    """The guess, but for what the user says."""
    kind = changes.get("feedback", {}).get("kind")
    threshold = changes.get("split", {}).get("like_threshold")
    if kind is None and threshold is None:
        return guess
    asked = {"feedback.kind": kind, "split.like_threshold": threshold}
    said = " and ".join(f"{key}={value}" for key, value in asked.items() if value is not None)
    return Liking(
        kind or "threshold",
        guess.like_threshold if threshold is None else float(threshold),
        f"as asked: {said}",
        guess.like_weight if kind == guess.kind else None,
    )


def _split(log: Log, settings: SplitSettings, feedback: FeedbackSettings, seed: int) -> tuple[Split | None, str]:
    try:
        split = split_log(log, settings, feedback)
    except LogError as error:
        return None, str(error)
    if feedback.kind == "implicit":
        split = add_negatives(split, log.interactions, log.interactions, feedback, seed)
        # What is counted as drawn is told among the findings; labels are those that a run would learn from.
        split = replace(split, examples=split.examples.with_columns(pl.col("label").cast(pl.Int8)))
    return split, ""


def _with_shorter_histories(log: Log, settings: SplitSettings, feedback: FeedbackSettings, needed: int) -> list[str]:
    """What would help, if shorter histories do."""
    for shortest in range(settings.min_history - 1, 0, -1):
        shorter = settings.model_copy(update={"min_history": shortest, "recent": 0})
        try:
            users = len(split_log(log, shorter, feedback).users)
        except LogError:
            continue
        if users >= needed:
            return [f"with --set split.min_history={shortest} there would be {users} users with a history and examples"]
    return []


def recipe_path(folder: Path, name: str) -> Path:
    """Where the recipe for a log is written."""
    return folder / f"{name}.recipe.yaml"
