"""The command line's part for logs: ``trackrec data check`` and ``update``."""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from trackrec.errors import LogError, RecipeError
from trackrec.terminal import Terminal

data = typer.Typer(help="Logs of your own: check one, find what an update changes.", no_args_is_help=True)
console = Terminal()

Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="What a column is: ROLE=NAME, such as user=customer; ROLE=- if there is none."),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting of the recipe: key=value, such as split.min_history=3."),
]


class Form(StrEnum):
    """How long the run is that the recipe describes."""

    short = "short"
    long = "long"


@data.command()
def check(
    interactions: Annotated[str, typer.Argument(help="Who did what when: CSV, JSON lines or Parquet; a path or URL.")],
    items: Annotated[str, typer.Option("--items", help="The catalogue: titles, categories and so on.")] = "",
    users: Annotated[str, typer.Option("--users", help="What is known of the users.")] = "",
    source: Annotated[
        str, typer.Option("--source", help="INTERACTIONS is a folder of this source, such as movielens-25m.")
    ] = "tables",
    columns: Columns = None,
    changes: Changes = None,
    form: Annotated[
        Form, typer.Option("--form", help="Of the recipe: minutes, or a run that can tell something.")
    ] = Form.short,
    out: Annotated[Path, typer.Option("--out", help="Folder for card and recipe.")] = Path(),
) -> None:
    """Say what a log holds, what becomes of it, and whether a run on it can mean anything; write a recipe for it."""
    from trackrec.pipeline.log_check import check_log, recipe_path
    from trackrec.pipeline.own_recipe import write_recipe
    from trackrec.report.data_card import card_page
    from trackrec.run import write_json, written_whole

    name = _name(interactions)
    tree = _changes(columns, changes)
    told: dict[str, Any] = {"source": source, "folder": _place(interactions)}
    if source == "tables":
        files = {"interactions": interactions, "items": items, "users": users}
        told = {"source": source, "tables": {table: {"path": _place(file)} for table, file in files.items() if file}}
    logging.getLogger("trackrec.data").setLevel(logging.ERROR)  # the card says it all, in order
    try:
        card = check_log(name, told, tree, form.value)
    except LogError as error:
        raise LogError(f"{error}{_on_the_command_line(str(error))}") from error
    recipe = recipe_path(out, name)
    command = f"{_program()} run {shlex.quote(str(recipe))}" if card.recipe else ""
    page = out / f"{name}.card.html"
    write_json(out / f"{name}.card.json", card.as_json())
    with written_whole(page) as partial:
        partial.write_text(card_page(card.as_json(), command), encoding="utf-8")
    if card.recipe:
        text = write_recipe(card.recipe, f"trackrec data check {shlex.quote(interactions)}")
        if recipe.is_file() and recipe.read_text(encoding="utf-8") != text:
            shutil.copyfile(recipe, recipe.with_suffix(".yaml.old"))
        with written_whole(recipe) as partial:
            partial.write_text(text, encoding="utf-8")
    _show(card.as_json())
    console.say(f"Card: {page} (with plots), {out / f'{name}.card.json'}")
    if card.problems:
        raise LogError("a run on this log would be meaningless: " + "; ".join(card.problems))
    console.say(f"Recipe: {recipe} ({'the short form: minutes' if form is Form.short else 'the long form: hours'})")
    console.say(f"Next:\n  {command}")


@data.command()
def update(
    interactions: Annotated[str, typer.Argument(help="New interactions, in the same form as those of the run.")],
    folder: Annotated[Path, typer.Option("--run", help="Folder of the run whose RecCoTs may be out of date.")],
    items: Annotated[str, typer.Option("--items", help="The catalogue as it is now; else that of the run.")] = "",
    columns: Columns = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change what is enough: new_items=3, share=0.1, max_age_days=90.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="List of users; else refresh.parquet in the run.")] = None,
) -> None:
    """List the users whose history changed so much that their RecCoT should be written anew."""
    from trackrec.pipeline.update import find_updates, refresh_settings
    from trackrec.run import write_table

    settings = refresh_settings(changes or [])
    found = find_updates(folder, interactions, items, _changes(columns, None), settings)
    path = out or folder / "refresh.parquet"
    write_table(path, found.refresh)
    table = Table("what", "number", title="Update")
    for what, number in found.counts.items():
        table.add_row(what.replace("_", " "), f"{number:,}")
    console.print(table)
    console.say(f"To refresh: {found.refresh.height} users, listed in {path}")


def _show(card: dict[str, Any]) -> None:
    from trackrec.report.data_card import COLUMNS, column_rows, finding_rows, size_rows

    for title, head, rows in (
        ("Columns", COLUMNS, column_rows(card)),
        ("The log", ("what", "how much"), size_rows(card)),
        ("What was found, and what becomes of it", ("what", "number", "becomes"), finding_rows(card)),
    ):
        if rows:
            table = Table(*head, title=title, title_justify="left")
            for row in rows:
                table.add_row(*row)
            console.print(table, markup=False)
    for part in card["columns"]:
        if part["not_used"]:
            console.print(f"{part['table']}: not used: {', '.join(part['not_used'])}", markup=False, highlight=False)
    if card["columns"]:
        console.print("A wrong guess is overruled with --column ROLE=NAME (ROLE=- if there is none).", highlight=False)
    console.print(f"Likes: {card['liking']['reason']}.", markup=False, highlight=False)
    console.print(f"Prompts speak of: {card['domain']} (--set prompts.domain=...)", markup=False, highlight=False)
    for note in card["unsure"]:
        console.print(f"Unsure: {note}.", style="cyan", markup=False, highlight=False, soft_wrap=True)
    for warning in card["warnings"]:
        console.print(f"Mind: {warning}.", style="yellow", markup=False, highlight=False, soft_wrap=True)


def _changes(columns: list[str] | None, changes: list[str] | None) -> dict[str, Any]:
    """What the options ask for, as a tree of recipe settings."""
    from trackrec.settings import apply_change

    tree: dict[str, Any] = {}
    for change in columns or []:
        role, equals, name = change.partition("=")
        if not equals:
            raise RecipeError(f"--column got {change!r}, expected ROLE=NAME such as user=customer")
        mapping = tree.setdefault("source", {}).setdefault("tables", {}).setdefault("columns", {})
        mapping[role] = name.split(",") if role.endswith("attributes") or role == "no_rating" else name
    for change in changes or []:
        apply_change(tree, change)
    return tree


def _on_the_command_line(message: str) -> str:
    """How the settings that a message names are given here."""
    if "columns." in message:
        order = ", and --column row_order_as_time=true" if "row_order_as_time" in message else ""
        return f". Here: --column ROLE=NAME, such as --column user=NAME for columns.user{order}"
    if "set quote to" in message:
        return ". Here: --set source.tables.interactions.quote=none (source.tables.items.quote for the catalogue)"
    if any(words in message for words in ("encoding", "column_names", "with the separator", "set separator")):
        return ". Here: --set source.tables.interactions.encoding=latin-1, and so with separator and column_names"
    return ""


def _place(file: str) -> str:
    """A path that holds wherever the recipe is run from; URLs stay."""
    return file if "://" in file else str(Path(file).resolve())


_ENDINGS = (".gz", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".dat", ".inter")


def _name(file: str) -> str:
    """A name for the log: that of its file without endings, or of its folder, also where that is called "." or so."""
    place = file.split("://", 1)[-1].split("?", 1)[0].split("#", 1)[0] if "://" in file else str(Path(file).resolve())
    parts = [part for part in place.split("/") if part]
    while len(parts) > 1 and "*" in parts[-1] and not Path(file).exists():
        parts.pop()  # of a pattern, the folder
    name = parts[-1] if parts else ""
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return re.sub(r"[^\w\-.\[\]() +=,@*?]", "_", name).strip(". ~") or "log"


def _program() -> str:
    """The command as it was called, so that the next one can be copied."""
    called = Path(sys.argv[0])
    found = shutil.which("trackrec")
    if found and Path(found).resolve() == called.resolve():
        return "trackrec"
    if called.name != "trackrec" or not called.exists():
        return "trackrec"
    near = os.path.relpath(called)
    return shlex.quote(str(called.absolute()) if near.startswith("..") else near)
