"""Are the sentences that people are shown true? Draws them for labelling by hand, and counts the labels.

``python benchmarks/published_sentences.py draw RUN OUT [--sentences 200] [--seed 17]`` writes two files into OUT:
``sentences.jsonl`` (``id, user_id, sentence, kept``) and ``tasks.md``, which shows each sentence under its user's whole
history and the counts of it, without the checker's verdict. They come from the publishing filter's output for the
promoted round: one user after another by the seed, one sentence of each, until there are enough; where a run has fewer
users, a second one, and so on. ``kept`` is false where the filter left nothing and the profile writer's text stands.

``python benchmarks/published_sentences.py count OUT/sentences.jsonl LABELS`` reads a file of lines ``{"id": 3,
"verdict": "supported" | "contradicted" | "not_checkable"}`` and prints the share of each verdict with Wilson's 95%
interval, over all and by ``kept``, as JSON lines. A label is missing, unknown or twice: an error.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from trackrec.checks.grounding import History, Verdict, ground
from trackrec.checks.pattern_reader import split_sentences
from trackrec.checks.truth_measures import publishable
from trackrec.data.log import stable_hash
from trackrec.errors import RunError
from trackrec.metrics.probability import wilson
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import Dataset
from trackrec.pipeline.truth import Truth
from trackrec.progress import Reporter
from trackrec.recipe import load_recipe
from trackrec.run import Run


class Published(NamedTuple):
    """A sentence that a user is shown."""

    user_id: Any
    sentence: str
    kept: bool
    """Of the generator's own text; else of the profile writer's."""


def published(folder: Path) -> tuple[list[list[Published]], Truth]:
    """What the filter publishes for each user of the promoted round."""
    recipe = load_recipe(folder / "recipe.yaml")
    run = Run(folder, Reporter(), recipe.seed, reading=True)
    dataset = Dataset.of(run)
    truth = Truth(recipe, run, dataset)
    kept = pl.read_parquet(folder / "reccots.parquet").filter(pl.col("kind") == "kept")
    mine = kept.filter(pl.col("round") == truth.promoted(kept)).sort("user_id")
    components, users = Components(recipe, run, dataset), []
    for user, text in mine.select("user_id", "text").iter_rows():
        rows = dataset.history_rows[user]
        sentences = ground(text or "", rows, truth.vocabulary)
        own = any(sentence.verdict == Verdict.SUPPORTED for sentence in sentences)
        shown = publishable(sentences, partial(components.profile_text, user))
        mentions = truth.vocabulary.find(shown, [row["item_id"] for row in rows])
        users.append([Published(user, shown[low:high], own) for low, high in split_sentences(shown, mentions)])
    return [sentences for sentences in users if sentences], truth


def draw(users: Sequence[Sequence[Published]], sentences: int, seed: int) -> list[Published]:
    """One sentence of each user in turn, users and sentences in an order that the seed makes.

    Raises:
        RunError: there are fewer sentences than asked for.
    """
    if (total := sum(map(len, users))) < sentences:
        raise RunError(f"--sentences asks for {sentences}, but the run publishes {total}: ask for {total} or fewer")
    order = np.random.default_rng([seed, 3]).permutation(len(users))
    turns = {
        int(i): np.random.default_rng([seed, stable_hash(users[i][0].user_id)]).permutation(len(users[i]))
        for i in order
    }
    chosen: list[Published] = []
    for turn in count():
        for i in order:
            if turn < len(users[i]) and len(chosen) < sentences:
                chosen.append(users[i][int(turns[int(i)][turn])])
        if len(chosen) == sentences:
            return chosen
    raise AssertionError


def tasks(chosen: Sequence[Published], truth: Truth) -> Iterator[str]:
    """Each sentence under its user's history, for a labeller who sees no verdict."""
    catalogue = truth.vocabulary.catalogue
    for number, one in enumerate(chosen):
        rows = truth.dataset.history_rows[one.user_id]
        history = History(rows, catalogue)
        yield f"## {number}\n\n> {one.sentence}\n"
        yield f"Rated {len(rows)}, liked {history.liked}. Oldest first:\n"
        for row in rows:
            liked = "liked" if row["label"] else "not liked"
            yield f"- {row['rating']:g} ({liked}): {catalogue[row['item_id']].describe(', ')}"
        counts = [f"{kind} {history.count(places)} of {len(places)}" for kind, places in history.kinds.items()]
        if all(row.get("expected") is not None for row in rows):
            yield f"\nOthers would like {sum(row['expected'] for row in rows):.2f} of these {len(rows)}."
        yield f"\nLiked by kind: {'; '.join(counts)}\n"


def write_tasks(folder: Path, out: Path, sentences: int, seed: int) -> None:
    """Draw and write both files."""
    users, truth = published(folder)
    chosen = draw(users, sentences, seed)
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": i, **one._asdict()}, ensure_ascii=False) for i, one in enumerate(chosen)]
    (out / "sentences.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (out / "tasks.md").write_text("\n".join(tasks(chosen, truth)), encoding="utf-8")
    print(f"{len(chosen)} sentences of {len({one.user_id for one in chosen})} users in {out}")


def figures(sentences: Path, labels: Path) -> Iterator[dict[str, Any]]:
    """The share of each verdict.

    Raises:
        RunError: a sentence without a label, a label without a sentence or twice, or a verdict that is none.
    """
    told = {line["id"]: line for line in _lines(sentences)}
    given: dict[int, str] = {}
    for line in _lines(labels):
        if line["id"] in given or line["id"] not in told or line["verdict"] not in set(Verdict):
            raise RunError(
                f"{labels} has id {line['id']!r} with verdict {line['verdict']!r}; expected each id of {sentences} "
                f"once, with {', '.join(Verdict)}"
            )
        given[line["id"]] = line["verdict"]
    if missing := sorted(set(told) - set(given)):
        raise RunError(f"{labels} has no label for {len(missing)} sentences, the first is id {missing[0]}: label them")
    parts = {"all": list(told)} | {
        name: [i for i, line in told.items() if line["kept"] == kept]
        for name, kept in (("generator", True), ("profile writer", False))
    }
    for name, ids in parts.items():
        for verdict in Verdict if ids else ():
            found = sum(given[i] == verdict for i in ids)
            value, low, high = (round(x, 4) + 0.0 for x in wilson(found, len(ids)))
            head = {"text": name, "sentences": len(ids), "verdict": str(verdict), "count": found}
            yield head | {"share": value, "low": low, "high": high}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    drawing = parts.add_parser("draw", help="write sentences and tasks")
    drawing.add_argument("run", type=Path)
    drawing.add_argument("out", type=Path)
    drawing.add_argument("--sentences", type=int, default=200)
    drawing.add_argument("--seed", type=int, default=17)
    counting = parts.add_parser("count", help="print figures of the labels")
    counting.add_argument("sentences", type=Path)
    counting.add_argument("labels", type=Path)
    chosen = parser.parse_args()
    if chosen.part == "draw":
        write_tasks(chosen.run, chosen.out, chosen.sentences, chosen.seed)
    else:
        for figure in figures(chosen.sentences, chosen.labels):
            print(json.dumps(figure))
