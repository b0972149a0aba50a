"""The command line, its commands grouped by what a user wants."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trackrec.cli_data import data
from trackrec.cli_write import register as register_writing
from trackrec.errors import TrackRecError

app = typer.Typer(
    help="Recommendation that reasons, and whose reasoning is checked.", no_args_is_help=True, add_completion=False
)
app.add_typer(data, name="data", rich_help_panel="Prepare")
register_writing(app)
console = Console()

Out = Annotated[Path | None, typer.Option("--out", help="Run folder; a run that stopped there is gone on with.")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="Change a setting: key=value, such as loop.rounds=1.")]
RunFolder = Annotated[Path, typer.Option("--run", help="Folder of a run.")]


@app.command(rich_help_panel="Train")
def demo(
    out: Out = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The short form: minutes, and nothing is learnt well.")
    ] = False,
    changes: Changes = None,
) -> None:
    """Run the whole method on MovieLens-100K with the embedded model."""
    _run("quick" if quick else "demo", out, changes)


@app.command(rich_help_panel="Train")
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    out: Out = None,
    changes: Changes = None,
) -> None:
    """Run a recipe; start it again to go on where it stopped."""
    _run(recipe, out, changes)


@app.command(rich_help_panel="Check")
def explain(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    folder: RunFolder,
    items: Annotated[int, typer.Option(help="How many of the user's later items to predict.")] = 6,
    item: Annotated[str | None, typer.Option("--item", help="An item's id: why this one?")] = None,
) -> None:
    """Show a user's history, the RecCoT, what V predicts with and without it, and reasons for items."""
    from trackrec.pipeline.explain import explain_user

    quiet_libraries()
    explain_user(user, folder, items, console, item)


@app.command(rich_help_panel="Check")
def grounding(
    folder: RunFolder,
    deletion: Annotated[
        int, typer.Option("--deletion", help="So many users' texts are written again without a claim's evidence.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Judge every claim of a run's RecCoTs by its user's history, and print how true they are."""
    import json

    from trackrec.pipeline.grounding import as_tree, ground_run, print_grounding

    quiet_libraries()
    rows = ground_run(folder, deletion)
    if as_json:
        console.print(json.dumps(as_tree(rows), indent=1), highlight=False, markup=False, soft_wrap=True)
    else:
        print_grounding(rows, console)


@app.command(rich_help_panel="Check")
def ledger(
    folder: RunFolder,
    users: Annotated[int | None, typer.Option("--users", help="How many users; all on whom nothing was tuned.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """For every sentence of a run's promoted RecCoTs: is it true, and what does V lose without it?"""
    import json

    from trackrec.pipeline.ledger import make_ledger, print_ledger

    quiet_libraries()
    made = make_ledger(folder, users)
    if as_json:
        console.print(json.dumps(made.as_tree(), indent=1), highlight=False, markup=False, soft_wrap=True)
    else:
        print_ledger(made, console)


@app.command(rich_help_panel="Write and keep")
def forget(user: Annotated[str, typer.Argument(help="The user's id.")], folder: RunFolder) -> None:
    """Remove a user from every table, shard, manifest and report of a run."""
    from trackrec.pipeline.forget import forget_user

    console.print(forget_user(user, folder))


@app.command(rich_help_panel="Check")
def report(folder: RunFolder) -> None:
    """Write the HTML report of a run anew."""
    from trackrec.report import write_report

    console.print(f"Report: {write_report(folder)}")


@app.command(rich_help_panel="Export")
def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option("--out", help="New folder, or one with an earlier export, which is replaced.")],
    form: Annotated[str, typer.Option("--format", help="parquet, fuxictr, recbole or huggingface.")] = "parquet",
    fold: Annotated[int, typer.Option(help="Fold of ranker users that is the test set; the next is validation.")] = 0,
    item_vectors: Annotated[bool, typer.Option(help="Also encode title and attributes of all items.")] = True,
) -> None:
    """Write the ranker users' examples with the RecCoT vectors for another library."""
    from trackrec.export import export_run

    quiet_libraries()
    written = export_run(folder, form, out, fold, item_vectors)
    console.print(f"{form} in {out}: " + ", ".join(f"{name} {n:,}" for name, n in written["counts"].items()))


@app.command(rich_help_panel="Prepare")
def settings(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")], changes: Changes = None
) -> None:
    """Print a recipe with every setting written out."""
    from trackrec.recipe import dump_recipe, load_recipe

    console.print(dump_recipe(load_recipe(recipe, changes or ())), highlight=False, markup=False, end="")


def _run(name: str, out: Path | None, changes: list[str] | None) -> None:
    from trackrec.pipeline.job import run_recipe
    from trackrec.pipeline.summary import print_summary
    from trackrec.progress import Reporter
    from trackrec.recipe import load_recipe
    from trackrec.report import write_report

    quiet_libraries()
    recipe = load_recipe(name, changes or ())
    folder = out or Path("runs") / recipe.name
    console.print(
        f"Recipe [bold]{recipe.name}[/bold], run folder {folder}. Stop it when you like; the same command goes on."
    )
    run_recipe(recipe, folder, Reporter(console))
    print_summary(folder, console)
    console.print(f"Report: {write_report(folder)}")


def quiet_libraries() -> None:
    """Keep the libraries' own bars and advice out of ours; their errors still come through."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()


def main() -> None:
    """Entry point of ``trackrec``."""
    run_app(app)


def run_app(application: typer.Typer) -> None:
    """Run a command line: errors made for users are one line, without a traceback."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("trackrec").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", module=r"(transformers|peft|torch)\b.*")
    try:
        application()
    except TrackRecError as error:
        Console(stderr=True).print(f"[bold red]Error:[/bold red] {error}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped. The same command goes on with what is finished.")
        sys.exit(130)


if __name__ == "__main__":
    main()
