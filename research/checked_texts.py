"""How true, checkable, personal and long texts of several origins are: the checker's word on the same users' texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from research.reading import origins
from research.texts_of_files import texts_of_files
from trackrec.checks.grounding import ground
from trackrec.checks.horoscope import Horoscopes
from trackrec.checks.rules import Verdict
from trackrec.checks.truth_measures import ratio, word_count
from trackrec.checks.vocabulary import Vocabulary
from trackrec.errors import RunError
from trackrec.metrics.intervals import bootstrap_users
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.progress import Reporter
from trackrec.prompts.domains import find_domain
from trackrec.recipe import Recipe
from trackrec.users.citations import without_citations
from trackrec.users.histories import Histories

MEASURES = {
    "supported": ("supported", "on_user"),
    "contradicted": ("contradicted", "on_user"),
    "not checkable": ("open", "on_user"),
    "cite events": ("cited", "on_user"),
    "contradicted of those that cite": ("cited_wrong", "cited"),
    "horoscopes": ("horoscopes", "on_user"),
    "words a text": ("words", "texts"),
    "sentences on the user": ("on_user", "texts"),
}
"""Sums over users, one by another. Where nothing else is said, shares of the sentences on the user."""


def study(
    recipe: Recipe, folder: Path, reporter: Reporter, files: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Judge every text against the history of the recipe's split.

    Each text is judged as anybody's: that the checker knows the template's own sentences counts for nobody.

    Args:
        recipe: the log, its split and the template teacher's settings.
        folder: the run folder; rounds whose texts it holds are origins. The data stage is made where it is missing.
        reporter: shows progress.
        files: of ``user_id, text``, by the name of the origin.

    Returns:
        A row for each origin and measure of ``MEASURES``: ``value, low, high`` (95%, users are drawn), ``over_first``
        (the difference to the first origin's, with its interval; not in the first origin's own rows), ``users``.

    Raises:
        RunError: fewer than two users have a text of every origin.
    """
    run = open_run(recipe, folder, reporter)
    dataset = prepare(recipe, run)
    texts = origins(Components(recipe, run, dataset)) | texts_of_files(files or {}, dataset.roles["user_id"])
    written = set.intersection(*(set(table.drop_nulls("text")["user_id"].to_list()) for table in texts.values()))
    users = [user for user in dataset.roles["user_id"].to_list() if user in written]
    if len(users) < 2:
        counted = ", ".join(f"{name} {table.height}" for name, table in texts.items())
        raise RunError(f"{len(users)} users have a text of every origin ({counted}): give texts of the same users")
    prompts = recipe.prompts
    vocabulary = Vocabulary(dataset.items, find_domain(prompts.domain), prompts.attributes, recipe.profile, False)
    counts = {}
    with reporter.steps("check", "origins") as progress:
        for number, (name, table) in enumerate(texts.items(), 1):
            counts[name] = counted_texts(dict(table.select("user_id", "text").iter_rows()), users, dataset.history_rows,
                                         vocabulary, recipe.seed)  # fmt: skip
            progress(number, len(texts))
    return figures(counts, users, recipe.seed, recipe.evaluation.bootstrap)


def counted_texts(
    texts: Mapping[Any, str], users: Sequence[Any], histories: Histories, vocabulary: Vocabulary, seed: int
) -> pl.DataFrame:
    """A row a user: ``on_user`` (sentences on the user), of these ``supported, contradicted, open``, ``cited`` (cite an
    event), ``cited_wrong`` (and are contradicted) and ``horoscopes``; ``words``, ``texts`` (1)."""
    horoscopes = Horoscopes(histories, vocabulary, seed)
    rows = []
    for user in users:
        told = [one for one in ground(texts[user], histories[user], vocabulary) if one.about_user]
        verdicts = [one.verdict for one in told]
        rows.append(
            {
                "on_user": len(told),
                "supported": verdicts.count(Verdict.SUPPORTED),
                "contradicted": verdicts.count(Verdict.CONTRADICTED),
                "open": verdicts.count(Verdict.NOT_CHECKABLE),
                "cited": sum(bool(one.cited) for one in told),
                "cited_wrong": sum(bool(one.cited) and one.verdict == Verdict.CONTRADICTED for one in told),
                "horoscopes": horoscopes.count(user, texts[user])[0],
                "words": word_count(without_citations(texts[user])),
                "texts": 1,
            }
        )
    return pl.DataFrame(rows)


def figures(counts: Mapping[str, pl.DataFrame], users: Sequence[Any], seed: int, draws: int) -> list[dict[str, Any]]:
    """The rows of :func:`study`. A measure that has nothing under it (no sentence cites) is left out."""
    first = next(iter(counts.values()))
    rows = []
    for name, table in counts.items():
        for measure, (over, under) in MEASURES.items():
            own = [table[over].to_numpy(), table[under].to_numpy()]
            if not own[1].sum():
                continue
            row = {"origin": name, "measure": measure, "users": len(users)}
            row |= bootstrap_users(ratio, np.array(users), *own, seed=seed, draws=draws)._asdict()
            if table is not first and first[under].sum():
                both = [*own, first[over].to_numpy(), first[under].to_numpy()]
                row["over_first"] = list(bootstrap_users(_apart, np.array(users), *both, seed=seed, draws=draws))
            rows.append(row)
    return rows


def _apart(over: Any, under: Any, first_over: Any, first_under: Any) -> float:
    return ratio(over, under) - ratio(first_over, first_under)


def print_checked(rows: Sequence[dict[str, Any]], say: Callable[[Any], Any]) -> None:
    """The study as a table in the terminal."""
    from rich.table import Table

    table = Table("origin", "measure", "value [95%]", "over the first", title=f"{rows[0]['users']} users")
    for row in rows:
        apart = row.get("over_first")
        difference = "" if apart is None else f"{apart[0]:+.3f} [{apart[1]:.3f}, {apart[2]:.3f}]"
        value = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        table.add_row(row["origin"], row["measure"], value, difference)
    say(table)
