"""``trackrec grounding``: judges a finished run's RecCoTs anew, by the checker or also by an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from rich.console import Console
from rich.table import Table

from trackrec.checks.entailment import Asked, EntailmentJudge, read_entailment
from trackrec.checks.grounding import Checker, Verdict
from trackrec.checks.truth_measures import KEY
from trackrec.errors import RunError
from trackrec.metrics.rows import MetricRow, read_metrics, write_metrics
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import finished_run
from trackrec.pipeline.deletion import REWRITTEN, deletion_rows
from trackrec.pipeline.truth import ARM, Truth, vocabulary_of
from trackrec.prompts.domains import find_domain
from trackrec.registry import make
from trackrec.run import write_table


def ground_run(folder: Path, rewrite: int = 0) -> list[MetricRow]:
    """Judge a run's RecCoTs anew and put the measures into its ``metrics.json``.

    Args:
        folder: a finished run.
        rewrite: for so many users the generator writes again without the evidence of each claim; 0 loads no model.

    Raises:
        RunError: no finished run there, or fewer than 0 users are asked for.
    """
    if rewrite < 0:
        raise RunError(f"--deletion got {rewrite}, expected a number of users, 0 or more; 0 leaves that test out")
    recipe, run, dataset = finished_run(folder)
    truth = Truth(recipe, run, dataset)
    truth.collect()
    path = folder / "metrics.json"
    before = read_metrics(path) if path.is_file() else []
    old = [row for row in before if row.arm == ARM and row.metric in REWRITTEN]
    again = deletion_rows(Components(recipe, run, dataset), truth, rewrite) if rewrite else old
    rows = [*truth.rows(), *again]
    with run.changing([path]):
        write_metrics(path, [*(row for row in before if row.arm != ARM), *rows])
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


TABLE = "entailment"
"""Its verdicts: the key of the text, ``sentence`` (its number), ``sentence_text``, ``verdict``, ``way``, ``reason``,
``events`` (numbers, 1 the oldest). No measure, reward or gate reads it."""


class Entailed(NamedTuple):
    """What an engine said of a run's open sentences."""

    table: pl.DataFrame
    counts: dict[str, int]
    """``asked``, each verdict, ``unreadable`` answers, failures by kind."""


def ask_engine_about_run(folder: Path, file: Path) -> Entailed:
    """Ask an engine about the open sentences of a run's kept RecCoTs, and store what it says as ``TABLE``.

    Args:
        folder: a finished run.
        file: the judge's settings.

    Raises:
        RunError: no finished run there.
        RecipeError: the file holds no settings.
        EngineError: the engine cannot go on; what was answered is kept in its cache.
    """
    settings = read_entailment(file)
    recipe, run, dataset = finished_run(folder)
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
