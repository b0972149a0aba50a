"""``trackrec explain``: a user's history, the RecCoT, and what the validator predicts with and without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.pipeline.parts import OUTSIDE, Parts
from trackrec.pipeline.world import World
from trackrec.progress import Reporter
from trackrec.reccot.grounding import ground
from trackrec.reccot.rewards import PLACEHOLDER
from trackrec.reccot.teacher import ProfileTeacher
from trackrec.reccot.truth import publishable
from trackrec.reccot.vocabulary import Vocabulary
from trackrec.recipe import load_recipe
from trackrec.run import Run


def explain_user(user: str, folder: Path, items: int, console: Console) -> None:
    """Print what a run says of a user.

    Args:
        user: the id as text.
        folder: a finished run.
        items: how many of the interactions after the history are predicted.
        console: where it goes.

    Raises:
        RunError: no run there, or it wrote nothing for this user (the message names some for whom it did).
    """
    if not (folder / "reccots.parquet").is_file():
        raise RunError(f"{folder} holds no finished run (no reccots.parquet): give --run the folder of one")
    recipe = load_recipe(folder / "recipe.yaml")
    run = Run(folder, Reporter(), recipe.seed)
    world = World.of(run)
    promoted = int(run.manifest("promote")["counts"]["promoted"])
    table = pl.read_parquet(folder / "reccots.parquet")
    kept = table.filter((pl.col("kind") == "kept") & (pl.col("round") == promoted))
    mine = kept.filter(pl.col("user_id").cast(pl.String) == user)
    if not mine.height:
        known = ", ".join(str(name) for name in kept["user_id"].head(5).to_list())
        raise RunError(
            f"the run {folder} wrote no RecCoT for user {user!r}; it did for {known} and {kept.height - 5} more"
        )
    row = mine.row(0, named=True)
    name = row["user_id"]
    parts = Parts(recipe, run, world)
    shown = parts.renderer.visible_history(world.history_rows[name])
    _print_history(shown, len(world.history_rows[name]), world, console)
    if recipe.prompts.digest:
        console.print(f"Counted over all of them: {escape(parts.renderer.digest(world.history_rows[name]).strip())}")
    console.print(Panel(escape(row["text"]), title=f"RecCoT of user {escape(str(name))}, round {promoted}"))
    _print_verdicts(row["text"], parts, name, console)
    _print_predictions(name, row["text"], items, parts, promoted, console)


def _titles(world: World) -> dict[Any, str]:
    return dict(world.items.select("item_id", "title").iter_rows())


def _print_history(shown: list[Any], total: int, world: World, console: Console) -> None:
    titles = _titles(world)
    console.print(f"History that the generator reads ({len(shown)} of {total} events, oldest first)")
    table = Table()
    table.add_column("rating", justify="right")
    table.add_column("title")
    for row in shown:
        table.add_row(f"{row['rating']:g}", escape(titles[row["item_id"]]))
    console.print(table)


def _print_verdicts(text: str, parts: Parts, name: Any, console: Console) -> None:
    """Each sentence with its verdict, and the claims in it with what decides them; then what may be published."""
    recipe, world = parts.recipe, parts.world
    vocabulary = Vocabulary(world.items, parts.renderer.domain, recipe.prompts.attributes)
    rows = world.history_rows[name]
    titles = _titles(world)
    sentences = ground(text, rows, vocabulary)
    table = Table(title="Is it true?")
    for column in ("sentence, and its claims", "verdict", "why", "decided by"):
        table.add_column(column)
    for sentence in sentences:
        table.add_row(escape(sentence.text), str(sentence.verdict).replace("_", " "), "", "")
        for one in sentence.claims:
            deciders = [titles[rows[place]["item_id"]] for place in one.evidence[:3]]
            more = f" and {len(one.evidence) - 3} more" if len(one.evidence) > 3 else ""
            told = str(one.verdict).replace("_", " ")
            claim = f"  {one.claim.kind}: {one.claim.subject.name}"
            table.add_row(escape(claim), told, escape(one.reason), escape(", ".join(deciders) + more))
    console.print(table)

    def profile() -> str:
        teacher = ProfileTeacher(world.items, parts.renderer.domain, parts.renderer.count_tokens, recipe.teacher)
        return teacher.write(name, rows, recipe.seed)

    console.print(f"Fit to be published: {escape(publishable(sentences, profile))}")


def _print_predictions(name: Any, text: str, items: int, parts: Parts, promoted: int, console: Console) -> None:
    world = parts.world
    kind = parts.kinds[0]
    fold = dict(world.roles.filter(pl.col("role") == Role.LM).select("user_id", "fold").iter_rows()).get(name, OUTSIDE)
    targets = world.every_target([name]).head(items)
    texts = pl.DataFrame(
        {"user_id": [name, name], "sample": [0, PLACEHOLDER], "text": [text, None]},
        schema={"user_id": world.roles.schema["user_id"], "sample": pl.Int16, "text": pl.String},
    )
    scores = parts.loaded_validator(kind, promoted, fold).score(targets, texts)
    titles, item_of = _titles(world), dict(targets.select("event_id", "item_id").iter_rows())
    console.print("What V predicts, P(Yes)")
    table = Table()
    for column in ("later item", "with the RecCoT", "without", "was it liked?"):
        table.add_column(column, justify="left" if column == "later item" else "right")
    for event, part in scores.group_by("event_id", maintain_order=True):
        value = {row["sample"]: row["yes_probability"] for row in part.iter_rows(named=True)}
        table.add_row(
            escape(titles[item_of[event[0]]]),
            f"{value[0]:.2f}",
            f"{value[PLACEHOLDER]:.2f}",
            "yes" if part["label"][0] else "no",
        )
    console.print(table)
