"""The command line, its commands grouped by what a user wants."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from trackrec.cli_data import data
from trackrec.cli_serve import add_commands, publish, publish_line
from trackrec.cli_write import register as register_writing
from trackrec.errors import RunError, TrackRecError, in_one_line
from trackrec.terminal import Terminal, log_harmlessly, print_error

app = typer.Typer(no_args_is_help=True)
HELP = "Recommendation that reasons, and whose reasoning is checked. Studies of it: python -m research, in a checkout."


def _say_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        console.say(f"trackrec {version('trackrec')}")
        raise typer.Exit


@app.callback(help=HELP)
def _every_command(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    from trackrec.lm.processes import only_one

    if context.invoked_subcommand not in ("run", "demo"):
        only_one(f"trackrec {context.invoked_subcommand}")


app.add_typer(data, name="data", rich_help_panel="Prepare")
register_writing(app)
console = Terminal()

Out = Annotated[Path | None, typer.Option("--out", help="Run folder; a run that stopped there is gone on with.")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="Change a setting: key=value, such as loop.rounds=1.")]


def _trust(given: bool) -> bool:
    from trackrec.lm.settings import trust_remote_code

    trust_remote_code(given)
    return given


Trust = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code", callback=_trust, help="Let code that comes with the language model run. Read it first."
    ),
]
RunFolder = Annotated[Path, typer.Option("--run", help="Folder of a run.")]


@app.command(rich_help_panel="Train", short_help="Try the whole method on MovieLens-100K.")
def demo(
    out: Out = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The short form: minutes, and nothing is learnt well.")
    ] = False,
    changes: Changes = None,
    trust: Trust = False,
) -> None:
    """Run the whole method on MovieLens-100K with the embedded model, and publish its texts to be looked at."""
    from trackrec.serving.run_texts import OWN_STORE

    folder = _run("quick" if quick else "demo", out, changes)
    publish(str(folder), str(folder / OWN_STORE))


@app.command(rich_help_panel="Train")
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    out: Out = None,
    changes: Changes = None,
    trust: Trust = False,
) -> None:
    """Run a recipe; start it again to go on where it stopped."""
    from trackrec.serving.run_texts import OWN_STORE

    folder = _run(recipe, out, changes)
    console.say(f"Look at its texts: {publish_line(folder, folder / OWN_STORE)}")


@app.command(rich_help_panel="Check", short_help="Show a user's history, RecCoT, predictions and reasons.")
def explain(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    folder: RunFolder,
    items: Annotated[int, typer.Option(help="How many of the user's later items to predict.")] = 6,
    item: Annotated[str | None, typer.Option("--item", help="An item's id: why this one?")] = None,
    trust: Trust = False,
) -> None:
    """Show a user's history, the RecCoT, what V predicts with and without it, and reasons for items."""
    from trackrec.pipeline.explain import explain_user

    quiet_libraries()
    explain_user(user, folder, items, console, item)


@app.command(rich_help_panel="Check", short_help="Say how true a run's RecCoTs are, claim by claim.")
def grounding(
    folder: RunFolder,
    deletion: Annotated[
        int, typer.Option("--deletion", help="So many users' texts are written again without a claim's evidence.")
    ] = 0,
    judge: Annotated[
        Path | None, typer.Option("--judge", help="YAML file of an engine that is asked about what is left open.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    trust: Trust = False,
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
    if judge is not None:
        from trackrec.pipeline.grounding import ask_engine_about_run

        told = ", ".join(f"{count} {name}" for name, count in ask_engine_about_run(folder, judge).counts.items())
        Terminal(stderr=True).print(
            f"The engine on what was left open: {told or 'nothing'}. No measure counts its verdicts."
        )


@app.command(rich_help_panel="Check", short_help="Find out how often the checker is right.")
def check_the_checker(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    sentences: Annotated[int, typer.Option(help="How many sentences to draw for labelling.")] = 100,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Labels that the page saved: read them, and open or close the gate.")
    ] = None,
) -> None:
    """Draw sentences for labelling; from the labels, say how often the checker is right."""
    from trackrec.pipeline.check_the_checker import draw_sentences, print_measures, read_labels

    quiet_libraries()
    if labels is None:
        page = draw_sentences(folder, sentences)
        console.say(f"Open {page} in a browser, label by the keys J and F, and save; then give --labels.")
        return
    if not labels.is_file():
        raise RunError(f"--labels got {labels}, where there is no file; the page saves one")
    print_measures(*read_labels(folder, labels), console)


@app.command(rich_help_panel="Check", short_help="Say what each sentence of a run is worth.")
def ledger(
    folder: RunFolder,
    users: Annotated[int | None, typer.Option("--users", help="How many users; all on whom nothing was tuned.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    trust: Trust = False,
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


@app.command(rich_help_panel="Check")
def report(folder: RunFolder) -> None:
    """Write the HTML report of a run anew."""
    from trackrec.report import write_report

    console.say(f"Report: {write_report(folder)}")


@app.command(rich_help_panel="Export", short_help="Write a run's features for another library.")
def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option("--out", help="New folder, or one with an earlier export, which is replaced.")],
    form: Annotated[str, typer.Option("--format", help="parquet, fuxictr, recbole, huggingface or vllm.")] = "parquet",
    fold: Annotated[int, typer.Option(help="Fold of ranker users that is the test set; the next is validation.")] = 0,
    item_vectors: Annotated[bool, typer.Option(help="Also encode title and attributes of all items.")] = True,
) -> None:
    """Write the ranker users' examples with the RecCoT vectors for another library, or G and V for a vLLM server."""
    from trackrec.export import export_run

    quiet_libraries()
    written = export_run(folder, form, out, fold, item_vectors)
    console.say(f"{form} in {out}: " + ", ".join(f"{name} {n:,}" for name, n in written["counts"].items()))


@app.command(rich_help_panel="Prepare", short_help="Have an engine write a knowledge card for each item.")
def knowledge(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    out: Annotated[Path, typer.Option("--out", help="File of cards (JSON lines); an earlier one is gone on with.")],
    changes: Changes = None,
) -> None:
    """Have an engine write a knowledge card for each item (knowledge.writer); the same command goes on."""
    from trackrec.pipeline.knowledge import write_knowledge
    from trackrec.recipe import load_recipe

    done = write_knowledge(load_recipe(recipe, changes or ()), out)
    console.say(
        f"{out}: {done.cards:,} cards, {done.kept:,} of them from before; {done.not_known:,} items are not known. "
        f"A recipe reads them by knowledge.cards={out}"
    )
    if done.wrong:
        console.say("Left out: " + ", ".join(f"{number:,} {reason}" for reason, number in done.wrong.items()))


@app.command(rich_help_panel="Prepare", short_help="Write the exact prompts, to be answered elsewhere.")
def prompts(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    out: Annotated[Path, typer.Option("--out", help="File of prompts (JSON lines: user_id, messages).")],
    everybody: Annotated[
        bool, typer.Option("--all", help="For all users, not only those whom a teacher writes for.")
    ] = (False),
    changes: Changes = None,
) -> None:
    """Write the exact prompts as messages, to have them answered elsewhere (teacher.type=texts reads the answers)."""
    from trackrec.pipeline.prompts import write_prompts
    from trackrec.recipe import load_recipe

    quiet_libraries()
    number = write_prompts(load_recipe(recipe, changes or ()), out, "all" if everybody else "taught")
    console.say(f"{out}: {number:,} prompts")


@app.command(rich_help_panel="Prepare")
def settings(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")], changes: Changes = None
) -> None:
    """Print a recipe with every setting written out."""
    from trackrec.recipe import dump_recipe, load_recipe

    console.print(dump_recipe(load_recipe(recipe, changes or ())), highlight=False, markup=False, end="")


@app.command(rich_help_panel="Prepare", short_help="Say what is installed and what runs here.")
def doctor(
    base_url: Annotated[
        str,
        typer.Option("--base-url", help="Ask this OpenAI-compatible endpoint for its models; no data is sent."),
    ] = "",
    key_variable: Annotated[
        str, typer.Option("--key-variable", help="Environment variable with the endpoint's key; else none is sent.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say what is installed and what runs here. Exit code 1 if something that is needed is wrong."""
    from trackrec.doctor import examine, print_findings

    found = examine(base_url, key_variable)
    print_findings(found, console, as_json)
    if any(one.state == "wrong" for one in found):
        raise typer.Exit(1)


add_commands(app)
_PANELS = ("Prepare", "Train", "Check", "Write and keep", "Use", "Export")
app.registered_commands.sort(key=lambda command: _PANELS.index(str(command.rich_help_panel)))  # as help shows them


def _run(name: str, out: Path | None, changes: list[str] | None) -> Path:
    from trackrec.lm import processes
    from trackrec.pipeline.job import run_recipe
    from trackrec.pipeline.summary import print_summary
    from trackrec.progress import Reporter
    from trackrec.recipe import load_recipe
    from trackrec.report import write_report

    quiet_libraries()
    recipe = load_recipe(name, changes or ())
    folder = out or Path("runs") / recipe.name
    if not processes.is_first():  # it takes part in training; the first process says and writes everything
        run_recipe(recipe, folder)
        return folder
    console.say(f"Recipe {recipe.name}, run folder {folder}. Stop it when you like; the same command goes on.")
    run_recipe(recipe, folder, Reporter(console))
    print_summary(folder, console)
    console.say(f"Report: {write_report(folder)}")
    return folder


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
    log_harmlessly()
    logging.getLogger("trackrec").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", module=r"(transformers|peft|torch)\b.*")
    errors = Terminal(stderr=True)
    try:
        application()
    except TrackRecError as error:
        errors.error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        errors.say("Stopped. The same command goes on with what is finished.")
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        told = in_one_line(error)
        if told is None:
            sys.excepthook = print_error
            raise
        errors.error(told)
        sys.exit(1)


if __name__ == "__main__":
    main()
