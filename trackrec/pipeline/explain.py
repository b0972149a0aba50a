"""``trackrec explain``: a user's history, the RecCoT, and what the validator predicts with and without it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from trackrec.checks.gate import may_accuse
from trackrec.checks.grounding import GroundedSentence, History, ground
from trackrec.checks.reasons import Reason, reason_text, reasons_for
from trackrec.checks.truth_measures import publishable
from trackrec.checks.vocabulary import Vocabulary
from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.judges.rewards import PLACEHOLDER
from trackrec.pipeline.components import OUTSIDE, Components
from trackrec.pipeline.dataset import Dataset, finished_run
from trackrec.pipeline.truth import vocabulary_of
from trackrec.users.catalogue import Row


def explain_user(user: str, folder: Path, items: int, console: Console, item: str | None = None) -> None:
    """Print what a run says of a user.

    Args:
        user: the id as text.
        folder: a finished run.
        items: how many of the interactions after the history are predicted.
        console: where it goes.
        item: the id as text of an item to give reasons for; None: of the later items alone.

    Raises:
        RunError: no run there, it wrote nothing for this user (the message names some for whom it did), or there is
            no such item.
    """
    recipe, run, dataset = finished_run(folder)
    promoted = int(run.manifest("promote")["counts"]["promoted"])
    table = run.read_output("reccots")
    kept = table.filter((pl.col("kind") == "kept") & (pl.col("round") == promoted))
    mine = kept.filter(pl.col("user_id").cast(pl.String) == user)
    if not mine.height:
        known = ", ".join(str(name) for name in kept["user_id"].head(5).to_list())
        raise RunError(
            f"the run {folder} wrote no RecCoT for user {user!r}; it did for {known} and {kept.height - 5} more"
        )
    row = mine.row(0, named=True)
    name = row["user_id"]
    asked = None if item is None else _find_item(item, dataset)
    components = Components(recipe, run, dataset)
    shown = components.renderer.visible_history(dataset.history_rows[name])
    _print_history(shown, len(dataset.history_rows[name]), dataset, console)
    if recipe.prompts.digest:
        console.print(
            f"Counted over all of them: {escape(components.renderer.digest(dataset.history_rows[name]).strip())}"
        )
    console.print(Panel(escape(row["text"]), title=f"RecCoT of user {escape(str(name))}, round {promoted}"))
    vocabulary = vocabulary_of(recipe, dataset)
    sentences = ground(row["text"] or "", dataset.history_rows[name], vocabulary)
    _print_verdicts(sentences, components, name, console)
    may = may_accuse(folder, recipe.teacher.type, recipe.loop.distils)
    published = publishable(sentences, lambda: components.profile_text(name), may)
    console.print(f"Fit to be published: {escape(published)}")
    why = _Why(published, dataset.history_rows[name], vocabulary)
    _print_predictions(name, row["text"], items, components, promoted, why, console)
    if asked is not None:
        _print_why(name, row["text"], asked, components, promoted, why, console)


def _titles(dataset: Dataset) -> dict[Any, str]:
    return dict(dataset.items.select("item_id", "title").iter_rows())


def _print_history(shown: list[Any], total: int, dataset: Dataset, console: Console) -> None:
    titles = _titles(dataset)
    console.print(f"History that the generator reads ({len(shown)} of {total} events, oldest first)")
    table = Table()
    table.add_column("rating", justify="right")
    table.add_column("title")
    for row in shown:
        table.add_row(f"{row['rating']:g}", escape(titles[row["item_id"]]))
    console.print(table)


def _find_item(item: str, dataset: Dataset) -> Any:
    """The id as the catalogue has it."""
    found = dataset.items.filter(pl.col("item_id").cast(pl.String) == item)
    if not found.height:
        some = ", ".join(str(name) for name in dataset.items["item_id"].head(5).to_list())
        raise RunError(f"--item got {item!r}, which the items of this run do not have; they have {some} and others")
    return found["item_id"][0]


class _Why:
    """Gives reasons from the published text alone."""

    def __init__(self, published: str, rows: Sequence[Row], vocabulary: Vocabulary) -> None:
        self.vocabulary, self.history = vocabulary, History(rows, vocabulary.catalogue, vocabulary.profile)
        self.sentences = ground(published, rows, vocabulary)

    def of(self, item_id: Any) -> list[Reason]:
        return reasons_for(item_id, self.sentences, self.history, self.vocabulary)


def _print_verdicts(sentences: list[GroundedSentence], components: Components, name: Any, console: Console) -> None:
    """Each sentence with its verdict, and the claims in it with what decides them."""
    titles, rows = _titles(components.dataset), components.dataset.history_rows[name]
    table = Table(title="Is it true?")
    for column in ("sentence, and its claims", "verdict", "why", "decided by"):
        table.add_column(column)
    for sentence in sentences:
        table.add_row(escape(sentence.text), str(sentence.verdict).replace("_", " "), "", "")
        for one in sentence.claims:
            told = str(one.verdict).replace("_", " ")
            claim = f"  {one.claim.kind}: {one.claim.subject.name}"
            table.add_row(escape(claim), told, escape(one.reason), escape(_events(one.evidence, rows, titles)))
    console.print(table)


def _events(evidence: Sequence[int], rows: Sequence[Row], titles: dict[Any, str], most: int = 3) -> str:
    named = [f"{titles[rows[place]['item_id']]} ({rows[place]['rating']:g})" for place in evidence[:most]]
    return ", ".join(named) + (f" and {len(evidence) - most} more" if len(evidence) > most else "")


def _predict(name: Any, text: str, targets: pl.DataFrame, components: Components, promoted: int) -> pl.DataFrame:
    """V's scores of some targets, with the RecCoT and with the placeholder."""
    roles = components.dataset.roles
    fold = dict(roles.filter(pl.col("role") == Role.LM).select("user_id", "fold").iter_rows()).get(name, OUTSIDE)
    texts = pl.DataFrame(
        {"user_id": [name, name], "sample": [0, PLACEHOLDER], "text": [text, None]},
        schema={"user_id": roles.schema["user_id"], "sample": pl.Int16, "text": pl.String},
    )
    return components.loaded_validator(components.kinds[0], promoted, fold).score(targets, texts)


def _print_predictions(
    name: Any, text: str, items: int, components: Components, promoted: int, why: _Why, console: Console
) -> None:
    dataset = components.dataset
    targets = dataset.every_target([name]).head(items)
    scores = _predict(name, text, targets, components, promoted)
    titles, item_of = _titles(dataset), dict(targets.select("event_id", "item_id").iter_rows())
    console.print("What V predicts, P(Yes)")
    table = Table()
    for column in ("later item", "with the RecCoT", "without", "was it liked?", "what the published text says"):
        table.add_column(
            column, justify="left" if column in ("later item", "what the published text says") else "right"
        )
    for event, part in scores.group_by("event_id", maintain_order=True):
        value = {row["sample"]: row["yes_probability"] for row in part.iter_rows(named=True)}
        reasons = [reason_text(reason) for reason in why.of(item_of[event[0]])]
        table.add_row(
            escape(titles[item_of[event[0]]]),
            f"{value[0]:.2f}",
            f"{value[PLACEHOLDER]:.2f}",
            "yes" if part["label"][0] else "no",
            escape("\n".join(reasons) or "nothing"),
        )
    console.print(table)


def _print_why(
    name: Any, text: str, item: Any, components: Components, promoted: int, why: _Why, console: Console
) -> None:
    """One item: what V predicts, and the supported claims that bear on it with their events."""
    dataset = components.dataset
    rows, titles = dataset.history_rows[name], _titles(dataset)
    console.print(f"Why {escape(titles[item])}?")
    later = dataset.every_target([name]).filter(pl.col("item_id") == item).head(1)
    if any(row["item_id"] == item for row in rows):
        console.print("It is in the history already.")
    elif later.height:
        value = dict(_predict(name, text, later, components, promoted).select("sample", "yes_probability").iter_rows())
        console.print(f"V's P(Yes): {value[0]:.2f} with the RecCoT, {value[PLACEHOLDER]:.2f} without.")
    else:
        console.print("It is not among the user's later items, so V was not asked about it.")
    reasons = why.of(item)
    if not reasons:
        console.print("No claim of the published text bears on it.")
        return
    table = Table()
    for column in ("", "because", "sentence", "decided by"):
        table.add_column(column)
    for reason in reasons:
        told = f"it {reason.link}: {reason.judged.reason}"
        events = _events(reason.evidence, rows, titles, most=6)
        table.add_row("for" if reason.speaks_for else "against", escape(told), escape(reason.sentence), escape(events))
    console.print(table)
