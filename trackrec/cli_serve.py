"""Commands that use what was written: publish, serve, monitor, forget, and what is asked of a store by hand."""

from __future__ import annotations

import gc
import json
import logging
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from trackrec.errors import StoreError
from trackrec.terminal import Terminal

console = Terminal()
store_app = typer.Typer(help="Look into a store, switch its versions, answer a person.", no_args_is_help=True)

StorePlace = Annotated[
    str, typer.Option("--store", help="A file, sqlite:PATH, lmdb:FOLDER, redis://HOST:PORT/DATABASE or unix://SOCKET.")
]
RunFolder = Annotated[Path | None, typer.Option("--run", help="Folder of a run: items and ranker.")]
Cards = Annotated[
    str | None,
    typer.Option("--cards", help="A file of knowledge cards for a run's items, or movielens-100k: those that ship."),
]


def publish(
    place: Annotated[
        str, typer.Argument(help="Folder or URL that trackrec write wrote to; or a finished run: its own texts.")
    ],
    to: Annotated[str, typer.Option("--to", help="The store: a file, sqlite:, lmdb:, redis:// or unix://.")],
    version: Annotated[str | None, typer.Option(help="Which version; the place's current one if not given.")] = None,
    run: RunFolder = None,
    switch: Annotated[bool, typer.Option(help="Serve it at once.")] = True,
    keep: Annotated[int, typer.Option(help="Versions that stay in the store.", min=2)] = 2,
) -> None:
    """Load a written version into a store, and serve it.

    It is checked, and takes the place of the one before.

    With --run, a ranker on the published vectors is fitted into RUN/ranker if there is none yet. Where PLACE is itself
    the folder of a run, that run's own texts are published, of the users that it wrote for.
    """
    from trackrec.serving.run_texts import RunTexts
    from trackrec.store.opening import open_store
    from trackrec.store.publication import Publication, Published
    from trackrec.store.publication import publish as load

    source: Published = Publication(place)
    if RunTexts.is_run(place):
        source, run = RunTexts(Path(place)), run or Path(place)
    store = open_store(to)
    name, loaded = load(source, store, version, switch, keep)
    served = f"serves {name!r}" if switch else f"holds {name!r} beside {store.state().current!r}"
    console.say(f"{to} {served}: {loaded.records:,} people.")
    if run is not None and not (run / "ranker").is_dir():
        from trackrec.serving.fitting import fit_for_store

        figures = fit_for_store(run, store, name)
        console.say(
            f"Ranker in {run / 'ranker'!s}: AUC {figures['auc_with_text']:.4f} with the text, "
            f"{figures['auc_without_text']:.4f} without, on {figures['held_out_examples']:,} examples held out."
        )
    console.say(f"Look at it: {_serve_line(to, run)}")


def _serve_line(store: str, run: Path | None) -> str:
    """The command that serves a store, to be copied into this very shell."""
    from trackrec.serving.cards import Cards

    words = [_program(), "serve", "--store", store]
    if run is not None:
        cards = Cards.shipped_for(run) if (run / "recipe.yaml").is_file() else None
        words += ["--run", str(run), *(["--cards", cards] if cards else [])]
    return shlex.join(words)


def publish_line(run: Path, store: Path) -> str:
    """The command that puts a run's own texts into a store."""
    return shlex.join([_program(), "publish", str(run), "--to", str(store)])


def _program() -> str:
    """What this command line was called by: its name where the shell finds it by that, else its path."""
    called = Path(sys.argv[0])
    found = shutil.which("trackrec")
    if called.stem != "trackrec" or (found is not None and Path(found).resolve() == called.resolve()):
        return "trackrec"
    return os.path.relpath(called) if called.is_relative_to(Path.cwd()) else str(called)


def serve(
    store: StorePlace,
    run: RunFolder = None,
    cards: Cards = None,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback a token is needed.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    token_variable: Annotated[str, typer.Option(help="Environment variable that holds the token.")] = "TRACKREC_TOKEN",
    read_only: Annotated[bool, typer.Option("--read-only", help="Change nothing in the store.")] = False,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: key=value, such as rate=0 or max_ids=100.")
    ] = None,
) -> None:
    """Serve texts, vectors, rankings and the page from a store."""
    import torch

    try:
        import uvicorn

        from trackrec.serving.app import build_app
        from trackrec.serving.guard import LOOPBACK
        from trackrec.serving.service import Service
    except ModuleNotFoundError as error:
        raise StoreError(f"serving needs the package {error.name}: pip install 'trackrec[serve]'") from error
    from trackrec.serving.settings import read_settings
    from trackrec.store.opening import open_store

    settings = read_settings(changes or ())
    token = os.environ.get(token_variable) or None
    if host not in LOOPBACK and token is None:
        raise StoreError(
            f"the service would listen on {host}, where others can reach it, but {token_variable} holds no token: set "
            "one, or leave --host at 127.0.0.1"
        )
    torch.set_num_threads(1)
    service = Service.of(open_store(store, read_only, settings.seconds), settings, run, cards)
    service.warm_up()
    if not settings.log_ids:
        logging.getLogger("httpx").setLevel(logging.WARNING)
    console.say(f"Page: http://{'localhost' if host in LOOPBACK else host}:{port}/")
    app = build_app(service, token)
    # What is there now stays: to look through it for garbage would hold all requests up for a tenth of a second.
    gc.collect()
    gc.freeze()
    uvicorn.run(app, host=host, port=port, access_log=False, log_level="warning")


def monitor(
    store: StorePlace,
    run: RunFolder = None,
    against: Annotated[str | None, typer.Option(help="Version to compare with; the one before if not given.")] = None,
    prometheus: Annotated[
        Path | None, typer.Option(help="Also write the figures to this file for Prometheus' textfile collector.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a limit: key=value, such as min_coverage=0.9.")
    ] = None,
) -> None:
    """Watch the served version.

    Coverage, ages, lengths, truth, drift, use. Exit code 2 if a limit is passed.
    """
    from trackrec.serving.monitor import exposition, print_findings, read_limits, watch
    from trackrec.store.opening import open_store

    opened = open_store(store)
    findings = watch(opened, read_limits(changes or ()), against, run)
    opened.keep_monitored(findings)
    if prometheus is not None:
        exposition(findings, prometheus)
    if as_json:
        console.say(json.dumps(findings, indent=1))
    else:
        print_findings(findings, console)
    if findings["alerts"]:
        raise typer.Exit(2)


def forget_person(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    folder: RunFolder = None,
    places: Annotated[
        list[str] | None, typer.Option("--place", help="Publications of trackrec write to clean; may be given twice.")
    ] = None,
    stores: Annotated[list[str] | None, typer.Option("--store", help="A store to clean; may be given twice.")] = None,
    caches: Annotated[
        list[Path] | None, typer.Option("--cache", help="Kept answers (an engine's `cache`); may be given twice.")
    ] = None,
    batches: Annotated[
        list[Path] | None,
        typer.Option("--batch", help="A batch file, or a folder of them; needs their --cache; may be given twice."),
    ] = None,
) -> None:
    """Remove a person from everything, for good.

    From a run, publications, stores, kept answers and batch files.
    """
    from trackrec.forgetting import forget_everywhere
    from trackrec.serving.run_texts import OWN_STORE

    own = [str(folder / OWN_STORE)] if folder is not None and (folder / OWN_STORE).is_file() else []
    everywhere = [*dict.fromkeys([*(stores or ()), *own])]
    forget_everywhere(user, folder, places or (), everywhere, caches or (), batches or (), console.say)


@store_app.command()
def versions(store: StorePlace) -> None:
    """The versions in a store."""
    from trackrec.store.opening import open_store

    state = open_store(store, read_only=not store.startswith(("redis", "unix"))).state()
    table = Table()
    for column in ("version", "state", "people", "served"):
        table.add_column(column, justify="right" if column == "people" else "left")
    for name, one in state.versions.items():
        served = "now" if name == state.current else "before" if name == state.previous else ""
        table.add_row(Text(name), one.state, f"{one.records:,}", served)
    console.print(table)


@store_app.command()
def switch(version: Annotated[str, typer.Argument(help="A version of the store.")], store: StorePlace) -> None:
    """Serve another version."""
    from trackrec.store.opening import open_store

    opened = open_store(store)
    opened.check(version)
    opened.switch(version)
    console.say(f"Version {version} is served.")


@store_app.command()
def rollback(store: StorePlace) -> None:
    """Serve the version before the present one again."""
    from trackrec.store.opening import open_store

    console.say(f"Version {open_store(store).rollback()} is served again.")


@store_app.command()
def forget(user: Annotated[str, typer.Argument(help="The person's id.")], store: StorePlace) -> None:
    """Take a person out of every version and out of the feedback; no older text brings the person back."""
    from trackrec.store.opening import open_store

    gone = open_store(store).forget(user)
    console.say(f"Removed {gone} entries. Runs and kept answers and publications are cleaned by trackrec forget.")


@store_app.command()
def person(
    user: Annotated[str, typer.Argument(help="The person's id.")],
    store: StorePlace,
    out: Annotated[Path | None, typer.Option(help="File to write; printed if not given.")] = None,
) -> None:
    """All that is held about a person, as JSON."""
    from trackrec.store.opening import open_store

    told = open_store(store, read_only=not store.startswith(("redis", "unix"))).held(user)
    if not told["versions"] and not told["feedback"]:
        raise StoreError("nothing is held about a person of that id")
    text = json.dumps(told, indent=1, ensure_ascii=False)
    if out is None:
        console.say(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")


@store_app.command()
def feast(
    store: StorePlace,
    out: Annotated[Path, typer.Option(help="New folder for the feature repository.")],
    version: Annotated[str | None, typer.Option(help="Which version; the one that is served if not given.")] = None,
) -> None:
    """Write a version as a Feast feature repository, with an example that reads a vector online."""
    from trackrec.export.feast import export_feast
    from trackrec.store.opening import open_store

    people = export_feast(open_store(store, read_only=not store.startswith(("redis", "unix"))), out, version)
    console.say(f"{people:,} people in {out!s}: cd there, feast apply, python example.py")


def add_commands(app: typer.Typer) -> None:
    """Put the commands into the command line."""
    for command in (publish, serve, monitor):
        app.command(rich_help_panel="Use")(command)
    app.command("forget", rich_help_panel="Write and keep")(forget_person)
    app.add_typer(store_app, name="store", rich_help_panel="Use")
