"""``trackrec check-the-checker``: draws sentences of a run for labelling, and says how often the checker is right."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from trackrec.checks.gate import NEEDED, Labelled, Measure, measure, write_gate
from trackrec.checks.grounding import ground
from trackrec.checks.label_page import history_lines, label_page
from trackrec.checks.rules import Verdict
from trackrec.checks.vocabulary import Vocabulary
from trackrec.errors import RunError
from trackrec.files.forgotten import Forgotten
from trackrec.files.tables import read_table
from trackrec.files.whole import write_table
from trackrec.metrics.probability import Interval
from trackrec.pipeline.dataset import Dataset, finished_run
from trackrec.pipeline.truth import vocabulary_of

FOLDER, DRAWN, PAGE, LABELS = "checker", "drawn.parquet", "label.html", "labels.jsonl"
"""In the run folder: what was drawn with its verdicts, the page, and the labels that it saves."""
VERDICTS = tuple(str(verdict) for verdict in Verdict)


def draw_sentences(folder: Path, sentences: int) -> Path:
    """Draw sentences of a run's kept RecCoTs, a third of each verdict, and write a page for labelling them.

    Args:
        folder: a finished run.
        sentences: how many; fewer if the run has no more.

    Returns:
        The page. Verdicts are not in it; they stand in a table beside it.

    Raises:
        RunError: no finished run there, fewer than one sentence is asked for, or none has been written.
    """
    if sentences < 1:
        raise RunError(f"--sentences got {sentences}, expected 1 or more")
    recipe, run, dataset = finished_run(folder)
    vocabulary = vocabulary_of(recipe, dataset)
    judged = _judged(run.read_output("reccots"), dataset, vocabulary)
    if judged.is_empty():
        raise RunError(f"the RecCoTs of {folder} hold no sentence")
    drawn = draw_by_verdict(judged, sentences, recipe.seed)
    (folder / FOLDER).mkdir(exist_ok=True)
    write_table(folder / FOLDER / DRAWN, drawn)
    shuffled = drawn.sample(fraction=1.0, shuffle=True, seed=recipe.seed)
    tasks = [
        {"id": number, "sentence": text, "history": history_lines(dataset.history_rows[user], vocabulary)}
        for number, user, text in shuffled.select("id", "user_id", "sentence").iter_rows()
    ]
    page = folder / FOLDER / PAGE
    page.write_text(label_page(f"{recipe.name}: {drawn.height} sentences", tasks), encoding="utf-8")
    return page


def _judged(reccots: pl.DataFrame, dataset: Dataset, vocabulary: Vocabulary) -> pl.DataFrame:
    """``user_id, sentence, verdict, way``: each different sentence of a user's kept RecCoTs."""
    kept = reccots.filter(pl.col("kind") == "kept").select("user_id", "text").unique(maintain_order=True)
    rows = [
        (user, sentence.text, str(sentence.verdict), sentence.way)
        for user, text in kept.iter_rows()
        for sentence in ground(text or "", dataset.history_rows[user], vocabulary)
    ]
    schema: dict[str, Any] = {"user_id": reccots.schema["user_id"], "sentence": pl.String}
    schema |= {"verdict": pl.String, "way": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").unique(["user_id", "sentence"], maintain_order=True)


def draw_by_verdict(judged: pl.DataFrame, sentences: int, seed: int) -> pl.DataFrame:
    """As many of each verdict as there are, up to a third; what one verdict lacks the others give.

    Args:
        judged: ``user_id, sentence, verdict, way``.
        sentences: how many in all.
        seed: of the draw.

    Returns:
        Its columns, ``id`` (from 0), ``weight`` (how many sentences it stands for) and ``of_verdict`` (how many have
        its verdict).
    """
    parts = {verdict: judged.filter(pl.col("verdict") == verdict) for verdict in VERDICTS}
    wanted = dict.fromkeys(VERDICTS, 0)
    while (left := sentences - sum(wanted.values())) > 0:
        open_ones = [verdict for verdict in VERDICTS if wanted[verdict] < parts[verdict].height]
        if not open_ones:
            break
        for verdict in open_ones[:left]:
            wanted[verdict] += 1
    rng, drawn = np.random.default_rng(seed), []
    for verdict, part in parts.items():
        places = np.sort(rng.permutation(part.height)[: wanted[verdict]])
        weight = part.height / max(1, wanted[verdict])
        drawn.append(part[places].with_columns(weight=pl.lit(weight), of_verdict=pl.lit(part.height, dtype=pl.Int32)))
    return pl.concat(drawn).with_row_index("id")


def read_labels(folder: Path, labels: Path) -> tuple[list[Measure], bool]:
    """Hold labels against the checker's verdicts, and open or close the run's gate.

    Args:
        folder: the run from which `draw_sentences` has drawn.
        labels: JSON lines ``id, label``, as the page saves them.

    Raises:
        RunError: nothing was drawn, or a line is none of what the page saves.
    """
    path = folder / FOLDER / DRAWN
    if not path.is_file():
        raise RunError(f"nothing was drawn from {folder} yet: run `trackrec check-the-checker {folder}` first")
    drawn = {row["id"]: row for row in read_table(path).iter_rows(named=True)}
    found: dict[int, str] = {}
    for number, line in enumerate(labels.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            key, label = _label(line, f"{labels}, line {number}")
            if key not in drawn and Forgotten.of(folder):
                continue  # a sentence on somebody who was forgotten since
            if key not in drawn:
                raise RunError(
                    f"{labels}, line {number}: no sentence {key} was drawn; are these labels of another run?"
                )
            found[key] = label
    if not found:
        raise RunError(f"{labels} holds no labels: label on the page {folder / FOLDER / PAGE} and save")
    told = [
        Labelled(drawn[key]["verdict"], label, drawn[key]["weight"], drawn[key]["way"]) for key, label in found.items()
    ]
    accusations = max(
        (row["of_verdict"] for row in drawn.values() if row["verdict"] == Verdict.CONTRADICTED), default=0
    )
    measures = measure(told)
    return measures, bool(write_gate(folder, measures, accusations)["open"])


def _label(line: str, place: str) -> tuple[int, str]:
    try:
        told = json.loads(line)
        key, label = int(told["id"]), str(told["label"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f'{place}: expected {{"id": 3, "label": "supported"}}, found {line[:60]!r}') from error
    if label not in VERDICTS:
        raise RunError(f"{place}: found label {label!r}, expected one of {', '.join(VERDICTS)}")
    return key, label


def print_measures(measures: Sequence[Measure], is_open: bool, console: Console) -> None:
    """The figures as a table, and whether the gate is open."""
    table = Table(title="How often the checker is right [95% interval]")
    for name in ("verdict", "precision", "given", "recall", "true"):
        table.add_column(name, justify="left" if name == "verdict" else "right")
    for one in measures:
        table.add_row(one.verdict, _cell(one.precision), str(one.given), _cell(one.recall), str(one.true))
    console.print(table)
    console.print(
        f"The gate is open: the precision of accusations lies above {NEEDED:g}."
        if is_open
        else f"The gate stays closed: accusations must be right more often than {NEEDED:g}, of enough of them. "
        "Nothing is taken off a reward or withheld on the checker's word."
    )


def _cell(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "–"
    return f"{interval.value:.3f} \\[{interval.low:.3f}, {interval.high:.3f}]"
