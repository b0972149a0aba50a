"""``trackrec grounding``: judges a finished run's RecCoTs anew, and prints how true they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from trackrec.errors import RunError
from trackrec.metrics.rows import MetricRow, read_metrics, write_metrics
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import Dataset
from trackrec.pipeline.deletion import REWRITTEN, deletion_rows
from trackrec.pipeline.truth import ARM, Truth
from trackrec.progress import Reporter
from trackrec.recipe import load_recipe
from trackrec.run import Run


def ground_run(folder: Path, rewrite: int = 0) -> list[MetricRow]:
    """Judge a run's RecCoTs anew and put the measures into its ``metrics.json``.

    Args:
        folder: a finished run.
        rewrite: for so many users the generator writes again without the evidence of each claim; 0 loads no model.

    Raises:
        RunError: no finished run there, or fewer than 0 users are asked for.
    """
    if not (folder / "reccots.parquet").is_file():
        raise RunError(f"{folder} holds no finished run (no reccots.parquet): give --run the folder of one")
    if rewrite < 0:
        raise RunError(f"--deletion got {rewrite}, expected a number of users, 0 or more; 0 leaves that test out")
    recipe = load_recipe(folder / "recipe.yaml")
    run = Run(folder, Reporter(), recipe.seed, reading=True)
    dataset = Dataset.of(run)
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
