"""The rows of a committed result about truth, made anew from its texts by the present checker.

``python benchmarks/truth_again.py RESULT``

RESULT holds ``reccots.parquet``, ``recipe.yaml``, ``manifests/promote.json`` and ``metrics.json``. The log is read
again by the recipe, the texts are judged, and the rows of the arm ``grounding`` that follow from them take the place of
those of the same name and round; what needs other tables (swap test, sycophancy, the test of the generator) stays.
Prints what changed.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import typer
from rewards import read_recipe

from trackrec.metrics.rows import read_metrics, write_metrics
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.truth import ARM, Truth
from trackrec.progress import Reporter
from trackrec.run import Run


def main(result: Path) -> None:
    """Judge the result's texts anew and put the rows into its ``metrics.json``."""
    recipe, path = read_recipe(result), result / "metrics.json"
    with tempfile.TemporaryDirectory() as other:
        run = Run(Path(other), Reporter(), recipe.seed)
        dataset = prepare(recipe, run)
        shutil.copy(result / "reccots.parquet", run.folder)
        shutil.copy(result / "manifests" / "promote.json", run.folder / "manifests")
        truth = Truth(recipe, run, dataset)
        truth.collect()
        made = {(row.metric, row.round): row for row in truth.rows()}
    rows = []
    for row in read_metrics(path):
        again = made.pop((row.metric, row.round), None) if row.arm == ARM else None
        rows.append(again or row)
        if again is not None and again != row:
            print(f"{row.metric}, round {row.round}: {row.value} of {row.users} users in {row.role}", end=" -> ")
            print(f"{again.value} [{again.low}, {again.high}] of {again.users} users in {again.role}")
    write_metrics(path, [*rows, *made.values()])
    print("new:", *(f"{name} of round {number}: {row.value}" for (name, number), row in made.items()))


if __name__ == "__main__":
    typer.run(main)
