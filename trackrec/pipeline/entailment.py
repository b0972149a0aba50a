"""``trackrec grounding --judge FILE``: an engine is asked about the sentences that the checker leaves open."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from trackrec.checks.entailment import Asked, EntailmentJudge, read_entailment
from trackrec.checks.grounding import Checker, Verdict
from trackrec.checks.truth import KEY
from trackrec.errors import RunError
from trackrec.pipeline.dataset import Dataset
from trackrec.pipeline.vocabulary import vocabulary_of
from trackrec.progress import Reporter
from trackrec.prompts.domains import find_domain
from trackrec.recipe import load_recipe
from trackrec.registry import make
from trackrec.run import Run, write_table

TABLE = "entailment"
"""Its verdicts: the key of the text, ``sentence`` (its number), ``sentence_text``, ``verdict``, ``way``, ``reason``,
``events`` (numbers, 1 the oldest). No measure, reward or gate reads it."""


class Entailed(NamedTuple):
    """What an engine said of a run's open sentences."""

    table: pl.DataFrame
    counts: dict[str, int]
    """``asked``, each verdict, ``unreadable`` answers, failures by kind."""


def entail_run(folder: Path, file: Path) -> Entailed:
    """Ask an engine about the open sentences of a run's kept RecCoTs, and store what it says as ``TABLE``.

    Args:
        folder: a finished run.
        file: the judge's settings.

    Raises:
        RunError: no finished run there.
        RecipeError: the file holds no settings.
        EngineError: the engine cannot go on; what was answered is kept in its cache.
    """
    if not (folder / "reccots.parquet").is_file():
        raise RunError(f"{folder} holds no finished run (no reccots.parquet): give --run the folder of one")
    settings = read_entailment(file)
    recipe = load_recipe(folder / "recipe.yaml")
    run = Run(folder, Reporter(), recipe.seed, reading=True)
    dataset = Dataset.of(run)
    vocabulary, domain = vocabulary_of(recipe, dataset), find_domain(recipe.prompts.domain)
    judge = EntailmentJudge(make("engine", settings.engine), settings, domain, vocabulary)
    kept = run.read_output("reccots").filter(pl.col("kind") == "kept").sort(KEY)
    keys, asked = [], []
    for *key, text in kept.select(*KEY, "text").iter_rows():
        rows = dataset.history_rows[key[0]]
        keys.append(key)
        asked.append(Asked(key[0], Checker(rows, vocabulary).check(text or ""), rows))
    told: list[tuple[Any, ...]] = []
    for key, sentences in zip(keys, judge.judge(asked), strict=True):
        for number, sentence in enumerate(sentences):
            if sentence.way == "entailment" and sentence.verdict != Verdict.NOT_CHECKABLE:
                claim = sentence.claims[-1]
                events = [place + 1 for place in claim.evidence]
                told.append((*key, number, sentence.text, str(claim.verdict), sentence.way, claim.reason, events))
    schema: dict[str, Any] = {name: kept.schema[name] for name in KEY}
    schema |= {"sentence": pl.Int16, "sentence_text": pl.String, "verdict": pl.String, "way": pl.String}
    table = pl.DataFrame(told, schema=schema | {"reason": pl.String, "events": pl.List(pl.Int32)}, orient="row")
    write_table(run.table(TABLE), table)
    return Entailed(table, dict(judge.counts))
