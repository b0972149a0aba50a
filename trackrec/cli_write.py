"""The command line's part for everybody's texts: ``trackrec plan``, ``write``, ``status`` and ``rollback``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from trackrec.errors import RecipeError
from trackrec.terminal import Terminal

if TYPE_CHECKING:
    from pydantic import BaseModel

    from trackrec.writing.usefulness import TextJudge

PANEL = "Write and keep"
console = Terminal()

RunFolder = Annotated[Path, typer.Option("--run", help="Folder of the run whose generator and recipe are used.")]
LogPath = Annotated[
    str, typer.Option("--log", help="The log as it is now: a file, folder, pattern, Delta or Iceberg table, a URL.")
]
Items = Annotated[str, typer.Option("--items", help="The catalogue as it is now; else that of the run.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting: shard_users=2000, refresh.new_items=3, gates.coverage=0.95, ..."),
]
Writer = Annotated[str, typer.Option("--engine", help="template, torch, or a YAML file of engines; else by the run.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines on standard output, for a scheduler.")]
Target = Annotated[str, typer.Argument(metavar="PLACE", help="Folder or URL of the publication.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (plan, write, status, rollback):
        app.command(rich_help_panel=PANEL)(command)


def plan(
    run: Annotated[Path | None, typer.Option("--run", help="Run to write from: plan the writing.")] = None,
    recipe: Annotated[str, typer.Option("--recipe", help="A recipe's name or file: plan its training instead.")] = "",
    log: LogPath = "own",
    items: Items = "",
    engine: Writer = "auto",
    share: Annotated[float, typer.Option(help="Share of the users who are written for, such as 0.05 a day.")] = 1.0,
    price: Annotated[list[str] | None, typer.Option(help="Prices to count with; all of the list if left out.")] = None,
    card: Annotated[str, typer.Option(help="Of a recipe's training: h100, h200, a100 or a YAML file.")] = "h100",
    cards: Annotated[int, typer.Option(min=1, help="How many of them train together.")] = 1,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Say what writing or training will take.

    Writing (--run): users, tokens, hours, money. Training (--recipe): memory, tokens, hours.
    """
    if (run is None) == (not recipe):
        raise typer.BadParameter("expected --run (what writing takes) or --recipe (what training takes), one of them")
    found = (
        _plan_writing(run, log, items, engine, share, price, changes)
        if run
        else _plan_training(recipe, card, cards, changes)
    )
    if as_json:
        _line("plan", found)
        return
    for title, part in found.items():
        if part:
            console.print(_table_of(title.replace("_", " "), part), markup=False)


def _table_of(title: str, part: dict[str, Any]) -> Table:
    """A part of a plan: what and how much, or where everything has several figures a column for each of them."""
    nested = [value for value in part.values() if isinstance(value, dict)]
    if len(nested) < len(part):
        table = Table(title=title, title_justify="left", show_header=False)
        for key, value in part.items():
            table.add_row(key.replace("_", " "), _shown(value))
        return table
    columns = list(dict.fromkeys(name for value in nested for name in value))
    table = Table("", *(name.replace("_", " ") for name in columns), title=title, title_justify="left")
    for key, value in part.items():
        table.add_row(key, *(_shown(value.get(name)) for name in columns))
    return table


def _plan_writing(
    run: Path, log: str, items: str, engine: str, share: float, price: list[str] | None, changes: list[str] | None
) -> dict[str, Any]:
    from trackrec.writing.estimate import estimate
    from trackrec.writing.source import LogSettings

    settings, _, _ = _settings(changes, engine)
    return estimate(run, LogSettings(path=log, items=items), settings, share, price or [])


def _plan_training(recipe: str, card: str, cards: int, changes: list[str] | None) -> dict[str, Any]:
    from trackrec.pipeline.training_plan import plan_training
    from trackrec.recipe import load_recipe

    return plan_training(load_recipe(recipe, changes or ()), card, cards)


def write(
    run: RunFolder,
    to: Annotated[str, typer.Option("--to", help="Folder or URL of the publication.")],
    log: LogPath = "own",
    items: Items = "",
    engine: Writer = "auto",
    only: Annotated[str, typer.Option("--only", help="changed: only users whose history changed enough.")] = "all",
    executor: Annotated[
        str, typer.Option(help="local (processes of this machine), ray (a cluster), or an import path.")
    ] = "local",
    workers: Annotated[int | None, typer.Option(help="Processes or actors; else one a CPU. 0: this process.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished version as it was begun.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Do shards once more in which users failed.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait while another job writes there.")] = 0.0,
    until: Annotated[int | None, typer.Option(help="Leave out events after this second (since 1970).")] = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Write texts and vectors for everybody in a log.

    They are checked and published as a new version.

    Killed at any moment, the same command goes on. Exit codes: 0 published, 1 it cannot be done as asked, 3 written but
    refused by a gate, 4 too many users failed, 5 another job writes there.
    """
    from trackrec.writing.executor import make_executor
    from trackrec.writing.job import Job
    from trackrec.writing.place import Place
    from trackrec.writing.source import LogSettings

    if only not in ("all", "changed"):
        raise RecipeError(f"--only got {only!r}, expected all or changed")
    settings, gates, more = _settings(changes, engine)
    if workers is not None:
        more["workers"] = workers
    job = Job(
        run_folder=run,
        place=Place(to),
        log=LogSettings(path=log, items=items),
        settings=settings,
        gates=gates,
        only_changed=only == "changed",
        resume=resume,
        again=again,
        now=until,
        wait=wait,
        open_judge=_ranker_of,
    )
    manifest = job.run(make_executor({"type": executor} | more), _line if as_json else _tell)
    if not as_json:
        _show_version(manifest)


def _ranker_of(run: Path) -> TextJudge:
    """The ranker that ``trackrec publish --run`` fitted for the service."""
    from trackrec.errors import RunError

    if not (run / "ranker").is_dir():
        raise RunError(f"{run} has no ranker yet: trackrec publish --run fits one")
    from trackrec.serving.ranker import ServingRanker

    return ServingRanker(run / "ranker")


def status(place: Target, as_json: AsJson = False) -> None:
    """Show the versions of a publication.

    Which is the current one, and how far an unfinished one has come.
    """
    from trackrec.writing.place import Place
    from trackrec.writing.versions import publication_status

    found = publication_status(Place(place))
    if as_json:
        _line("status", found)
        return
    table = Table("version", "state", "texts", "rejected", "shards", "written for", "says", title=Text(place))
    for row in found["versions"]:
        cells = [row[name] for name in ("version", "state", "texts", "rejected", "shards", "only", "says")]
        table.add_row(*(_shown(cell) for cell in cells))
    console.print(table, markup=False)
    console.say(f"Current: {found['current'] or 'nothing is published'}")


def rollback(
    place: Target,
    to: Annotated[str | None, typer.Option("--to", help="The version; else the whole one before the current.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also to a version that a gate refused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make another version the current one.

    It is, at once, for all readers.
    """
    from trackrec.writing.lock import only_writer
    from trackrec.writing.place import Place
    from trackrec.writing.versions import Versions

    target = Place(place)
    with only_writer(target):
        name = Versions(target).rollback(to, force)
    if as_json:
        _line("rolled_back", {"version": name})
    else:
        console.say(f"Current: {name}")


def _settings(changes: list[str] | None, engine: str) -> tuple[Any, Any, dict[str, Any]]:
    """Settings of writing, of the gates, and the tree of the executor's, with ``key=value`` changes."""
    from trackrec.settings import apply_change
    from trackrec.writing.gates import GateSettings
    from trackrec.writing.version_plan import WritingSettings

    tree: dict[str, Any] = {"writer": engine} if engine != "auto" else {}
    for change in changes or []:
        apply_change(tree, change)
    gates, executor = tree.pop("gates", {}), tree.pop("executor", {})
    return _made(WritingSettings, tree, ""), _made(GateSettings, gates, "gates."), executor


def _made(kind: type[BaseModel], tree: Any, prefix: str) -> BaseModel:
    from pydantic import ValidationError

    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        problem = error.errors()[0]
        name = prefix + ".".join(map(str, problem["loc"]))
        known = ", ".join(prefix + field for field in kind.model_fields)
        raise RecipeError(f"--set {name}: {problem['msg']}, got {problem['input']!r}; known: {known}") from error


def _line(event: str, what: dict[str, Any]) -> None:
    """One JSON line."""
    sys.stdout.write(json.dumps({"event": event} | what, default=str) + "\n")
    sys.stdout.flush()


def _tell(event: str, what: dict[str, Any]) -> None:
    """An event in words."""
    if event == "shard":
        say = f"shard {what['name']}: {what['rows']:,} texts, {what['rejected']:,} rejected; {what['shards_left']} left"
    else:
        plain = {key: value for key, value in what.items() if not isinstance(value, (dict, list)) and value is not None}
        say = f"{event.replace('_', ' ')}: " + ", ".join(f"{key} {value}" for key, value in plain.items())
    console.print(say, highlight=False, markup=False, soft_wrap=True)


def _show_version(manifest: dict[str, Any]) -> None:
    table = Table("what", "figure", title=Text(f"Version {manifest['version']}"), title_justify="left")
    for name, value in manifest["counts"].items():
        table.add_row(name.replace("_", " "), _shown(value))
    for gate in manifest["gates"]["gates"]:
        table.add_row(
            f"gate: {gate['name'].replace('_', ' ')}", ("passed: " if gate["passed"] else "FAILED: ") + gate["says"]
        )
    console.print(table, markup=False)
    if manifest["projection_note"]:
        console.print(f"Mind: {manifest['projection_note']}.", style="yellow", markup=False, highlight=False)


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
    if isinstance(value, dict):
        return ", ".join(f"{str(key).replace('_', ' ')} {_shown(part)}" for key, part in value.items())
    return value if isinstance(value, str) else ", ".join(map(_shown, value))
