"""``trackrec ledger``: for every sentence of a run's promoted RecCoTs, is it true and is it useful?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trackrec.checks.ledger import ledger_by_target, ledger_measures, ledger_table
from trackrec.errors import RunError
from trackrec.metrics.probability import Interval
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import finished_run
from trackrec.pipeline.truth import vocabulary_of
from trackrec.run import write_table

SHOWN = 12
"""Sentences that the console shows; the table has all."""


class Ledger:
    """The ledger of a run, made.

    Attributes:
        round: whose RecCoTs and validator.
        table: a row a sentence, see `ledger_table`; also written as ``tables/ledger.parquet``, with ``round``.
        measures: see `ledger_measures`.
    """

    def __init__(self, number: int, table: pl.DataFrame, measures: dict[str, Interval]) -> None:
        self.round, self.table, self.measures = number, table, measures

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        users = self.table["user_id"].n_unique()
        head: dict[str, Any] = {"round": self.round, "users": users, "sentences": self.table.height}
        values = {
            name: {"value": found.value, "low": found.low, "high": found.high} for name, found in self.measures.items()
        }
        return head | {"measures": values, "ledger": self.table.to_dicts()}


def make_ledger(folder: Path, users: int | None = None) -> Ledger:
    """Judge and weigh every sentence of a run's promoted RecCoTs.

    Users are those on whom no weights were tuned: the LM validation users, then the tested ranker users.

    Args:
        folder: a finished run.
        users: how many of them; None: all.

    Raises:
        RunError: no finished run there, or fewer than one user is asked for.
    """
    if users is not None and users < 1:
        raise RunError(f"--users got {users}, expected 1 or more; leave it out for all users on whom nothing was tuned")
    recipe, run, dataset = finished_run(folder)
    components = Components(recipe, run, dataset)
    number = int(run.manifest("promote")["counts"]["promoted"])
    chosen = components.everybody_tested[:users]
    kept = run.read_output("reccots").filter(
        (pl.col("kind") == "kept") & (pl.col("round") == number) & pl.col("user_id").is_in(chosen)
    )
    by_target = ledger_by_target(
        kept.sort("user_id").select("user_id", "text"),
        dataset.targets_of(chosen),
        dataset.history_rows,
        vocabulary_of(recipe, dataset),
        components.loaded_validator(components.kinds[0], number),
        components.reward,
    )
    table = ledger_table(by_target)
    write_table(run.table("ledger"), table.with_columns(round=pl.lit(number, dtype=pl.Int16)))
    return Ledger(number, table, ledger_measures(by_target, recipe.seed, recipe.evaluation.bootstrap))


def print_ledger(ledger: Ledger, console: Console) -> None:
    """The measures, then the sentences that help most and least."""
    console.print(
        f"{ledger.table.height} sentences of {ledger.table['user_id'].n_unique()} users, round {ledger.round}"
    )
    measures = Table(title="What V loses without a sentence, reward a target [95% interval over users]")
    measures.add_column("measure")
    measures.add_column("value", justify="right")
    for name, (value, low, high) in ledger.measures.items():
        measures.add_row(name.replace("_", " "), f"{value:+.4f} \\[{low:+.4f}, {high:+.4f}]")
    console.print(measures)
    ranked = ledger.table.sort("use", "user_id", "sentence", descending=[True, False, False])
    half = SHOWN // 2
    shown = ranked if ranked.height <= SHOWN else pl.concat([ranked.head(half), ranked.tail(half)])
    rows = Table(title="The most and the least useful sentences")
    for column in ("use", "user", "true?", "sentence"):
        rows.add_column(column, justify="right" if column == "use" else "left")
    for row in shown.iter_rows(named=True):
        verdict = row["verdict"].replace("_", " ")
        rows.add_row(f"{row['use']:+.3f}", escape(str(row["user_id"])), verdict, escape(row["sentence_text"]))
    console.print(rows)
