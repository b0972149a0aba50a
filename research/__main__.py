"""The command line of the studies, ``python -m research --help``: comparison, ablation, what texts tell, new items."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from trackrec.cli import Changes, Out, Trust, console, quiet_libraries, run_app
from trackrec.errors import RecipeError


class FileFormat(StrEnum):
    """How a made-up log is written."""

    parquet = "parquet"
    csv = "csv"


Texts = Annotated[
    list[str] | None,
    typer.Option("--texts", help="NAME=FILE: also the texts of a file of user_id and text (JSON lines, Parquet)."),
]

app = typer.Typer(help="Studies of the method, on runs of trackrec.", no_args_is_help=True, add_completion=False)


@app.command()
def compare(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    out: Out = None,
    quick: Annotated[bool, typer.Option("--quick", help="The short form: one model, one seed; minutes.")] = False,
    texts: Annotated[
        list[str] | None,
        typer.Option("--texts", help="NAME=FILE: an arm of any file of user_id and text (JSON lines, Parquet)."),
    ] = None,
    texts_missing: Annotated[
        str, typer.Option("--texts-missing", help="error, or leave_out: what a user without a text is.")
    ] = "error",
    changes: Changes = None,
    trust: Trust = False,
) -> None:
    """Compare rankers with RecCoTs of every origin and without, on the ranker users of a recipe's run.

    ``--set comparison.extra.scores=[ranker]`` and the like change what is compared.
    """
    from research.comparison.file_arms import file_texts
    from research.comparison.job import compare_recipe, comparison_settings
    from research.report.comparison import print_comparison, write_comparison_page
    from trackrec.progress import Reporter
    from trackrec.recipe import load_recipe

    quiet_libraries()
    prefix = "comparison."
    own = [change.removeprefix(prefix) for change in changes or () if change.startswith(prefix)]
    loaded = load_recipe(recipe, [change for change in changes or () if not change.startswith(prefix)])
    folder = out or Path("runs") / loaded.name
    settings = comparison_settings(quick, own, file_texts(texts or (), texts_missing))
    compare_recipe(loaded, folder, settings, Reporter(console))
    print_comparison(folder, console)
    console.say(f"Page: {write_comparison_page(folder)}")


@app.command()
def ablate(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    out: Out = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A variant or check by its name; all of them without it.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The short form: few users, variants of one round; 30 minutes.")
    ] = False,
    rounds: Annotated[int | None, typer.Option(help="Rounds of a variant at most, unless it varies them.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Begin no variant after so many minutes.")] = None,
    din: Annotated[bool, typer.Option("--din", help="Also try each variant's RecCoTs as a feature of DIN.")] = False,
    changes: Changes = None,
    trust: Trust = False,
) -> None:
    """Vary a recipe's loop, one thing at a time, and check the loop itself: fresh-v, length.

    A finished run in --out is taken as it is. The same command goes on where it stopped.
    """
    from research.ablation.job import ablate_recipe, ablation_settings
    from research.ablation.variants import QUICK_MINUTES, QUICK_ROUNDS, quick_recipe
    from research.report.ablation import print_ablations, write_ablation_page
    from trackrec.progress import Reporter
    from trackrec.recipe import load_recipe

    quiet_libraries()
    loaded = load_recipe(recipe, changes or ())
    folder = out or Path("runs") / (f"{loaded.name}-quick" if quick else loaded.name)
    if quick:
        loaded, rounds, minutes = quick_recipe(loaded), rounds or QUICK_ROUNDS, minutes or QUICK_MINUTES
    settings = ablation_settings(only or (), rounds, minutes, din)
    ablate_recipe(loaded, folder, settings, Reporter(console))
    print_ablations(folder, console)
    console.say(f"Page: {write_ablation_page(folder)}")


def _files(texts: list[str] | None) -> dict[str, str]:
    """Files of texts by their names; users without a text in one are left out."""
    from research.comparison.file_arms import file_texts

    return {given["name"]: given["path"] for given in file_texts(texts or (), "leave_out")}


@app.command()
def read(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    out: Out = None,
    file: Annotated[Path | None, typer.Option("--file", help="JSON file for the figures.")] = None,
    texts: Texts = None,
    changes: Changes = None,
    trust: Trust = False,
) -> None:
    """What a judge outside the loop reads in the texts of each origin, on all items and on new ones.

    ``--set reading.judge.type=ranker`` and the like change what is done; without a run, the teacher's texts are judged.
    """
    from research.reading import ReadingSettings, print_reading, study
    from trackrec.progress import Reporter
    from trackrec.recipe import load_recipe
    from trackrec.run import write_json
    from trackrec.settings import apply_change

    quiet_libraries()
    prefix = "reading."
    own: dict[str, Any] = {}
    for change in changes or ():
        if change.startswith(prefix):
            apply_change(own, change.removeprefix(prefix))
    loaded = load_recipe(recipe, [change for change in changes or () if not change.startswith(prefix)])
    settings = ReadingSettings.model_validate(own)
    rows = study(loaded, out or Path("runs") / loaded.name, settings, Reporter(console), _files(texts))
    print_reading(rows, console.print)
    if file is not None:
        about = {"recipe": loaded.name, "seed": loaded.seed, "settings": settings.model_dump(mode="json")}
        write_json(file, about | {"rows": rows})
        console.say(f"Figures: {file}")


@app.command()
def seeds(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What `read --file` left of each run.")],
    file: Annotated[Path | None, typer.Option("--file", help="JSON file for the figures.")] = None,
) -> None:
    """What `read` found, over runs with several seeds: means, with intervals over users and seeds."""
    from research.over_seeds import over_seeds
    from research.reading import print_reading
    from trackrec.run import write_json

    rows = over_seeds(files)
    print_reading(rows, console.print)
    if file is not None:
        write_json(file, {"files": [each.name for each in files], "rows": rows})
        console.say(f"Figures: {file}")


@app.command()
def check(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    out: Out = None,
    file: Annotated[Path | None, typer.Option("--file", help="JSON file for the figures.")] = None,
    texts: Texts = None,
    changes: Changes = None,
    trust: Trust = False,
) -> None:
    """How true, checkable, personal and long the texts of several origins are, on the users who have all of them.

    Origins are those of ``read``. All texts are judged alike, whoever wrote them.
    """
    from research.checked_texts import print_checked, study
    from trackrec.progress import Reporter
    from trackrec.recipe import load_recipe
    from trackrec.run import write_json

    quiet_libraries()
    loaded = load_recipe(recipe, changes or ())
    rows = study(loaded, out or Path("runs") / loaded.name, Reporter(console), _files(texts))
    print_checked(rows, console.print)
    if file is not None:
        write_json(file, {"recipe": loaded.name, "seed": loaded.seed, "rows": rows})
        console.say(f"Figures: {file}")


@app.command("new-items")
def new_items(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    out: Annotated[Path | None, typer.Option("--out", help="JSON file for the figures.")] = None,
    draws: Annotated[
        int, typer.Option(min=1, help="Draw the new items so often, and tell how the figures differ.")
    ] = 1,
    changes: Changes = None,
) -> None:
    """What genres and the tags of knowledge cards are worth by counting alone, on all items and on new ones.

    ``--set new_items.new_share=0.1`` and the like change what is compared.
    """
    from research.new_items.printing import print_spread, print_study
    from research.new_items.study import NewItemsSettings, study
    from trackrec.recipe import load_recipe
    from trackrec.run import write_json
    from trackrec.settings import apply_change

    prefix = "new_items."
    own: dict[str, Any] = {"item_draws": draws}
    for change in changes or ():
        if change.startswith(prefix):
            apply_change(own, change.removeprefix(prefix))
    loaded = load_recipe(recipe, [change for change in changes or () if not change.startswith(prefix)])
    settings = NewItemsSettings.model_validate(own)
    found = study(loaded, settings)
    print_study(found.rows, console.print)
    print_spread(found.spread, console.print)
    if out is not None:
        about = {"recipe": loaded.name, "seed": loaded.seed, "settings": settings.model_dump(mode="json")}
        write_json(out, about | found._asdict())
        console.say(f"Figures: {out}")


@app.command("show-texts")
def show_texts(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    users: Annotated[int, typer.Option("--users", help="How many users; those first who have the most texts.")] = 5,
    user: Annotated[list[str] | None, typer.Option("--user", help="Show this user, by id.")] = None,
    texts: Texts = None,
    out: Annotated[Path | None, typer.Option("--out", help="File for the table, in place of the terminal.")] = None,
) -> None:
    """Put the RecCoTs of teachers and generators beside each other for the same users, as a table in Markdown."""
    from research.show_texts import as_markdown
    from research.show_texts import show_texts as texts_of
    from trackrec.files.whole import written_whole

    table = as_markdown(texts_of(folder, users, _files(texts), user or ()))
    if out is None:
        console.say(table.rstrip("\n"))
        return
    with written_whole(out) as partial:
        partial.write_text(table, encoding="utf-8")
    console.say(f"Table: {out}")


@app.command("make-log")
def make_log(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")],
    interactions: Annotated[int, typer.Option(help="How many.")] = 1_000_000,
    items: Annotated[int, typer.Option(help="Items of the catalogue; 0: as many as fit.")] = 0,
    seed: Annotated[int, typer.Option(help="All of it follows from this.")] = 17,
    file_format: Annotated[FileFormat, typer.Option("--format", help="Of both files.")] = FileFormat.parquet,
) -> None:
    """Make up a log with the shape of MovieLens, of any size."""
    from pydantic import ValidationError

    from research.synthetic_log import SyntheticLogSettings, write_synthetic_log

    try:
        settings = SyntheticLogSettings(interactions=interactions, items=items, seed=seed)
    except ValidationError as error:
        problem = error.errors()[0]
        raise RecipeError(f"--{problem['loc'][0]}: {problem['msg']}, got {problem['input']!r}") from error
    counts = write_synthetic_log(folder, settings, file_format.value)
    console.say(f"{folder}: " + ", ".join(f"{number:,} {what}" for what, number in counts.items()))


def main() -> None:
    """Entry point of ``python -m research``."""
    run_app(app)


if __name__ == "__main__":
    main()
