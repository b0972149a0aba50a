"""The page: sections in order, put into one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from trackrec.report.blocks import Section
from trackrec.report.cost import cost, recipe
from trackrec.report.feedback import filters, rewards
from trackrec.report.headline import headline
from trackrec.report.journeys import journeys
from trackrec.report.learning import losses, movement
from trackrec.report.people import coverage, users
from trackrec.report.run_data import RunData
from trackrec.report.scores import gains, matrix, ranker, recommender
from trackrec.report.truth import truth
from trackrec.run import written_whole

_WORDS = (
    "G: generator, writes RecCoTs. V: validator, predicts with them. RecCoT: a short text on what a user likes, "
    "written from the history alone. Round 0: after distillation, before any feedback."
)
SECTIONS: tuple[Callable[[RunData], Section], ...] = (
    headline,
    users,
    recommender,
    gains,
    ranker,
    matrix,
    rewards,
    movement,
    losses,
    filters,
    truth,
    journeys,
    coverage,
    cost,
    recipe,
)
"""In the order of the page. Each makes do with what the run holds and says what is missing."""


def write_report(folder: Path) -> Path:
    """Write ``report/index.html``: one file that opens without a network and without scripts.

    Args:
        folder: a run folder, finished or not; it is read, and nothing but the report is written.

    Returns:
        Path of the page.

    Raises:
        RunError: there is no such folder, or its ``metrics.json`` holds something else.
    """
    facts = RunData(folder)
    return write_page(folder / "report" / "index.html", render(facts))


def write_page(path: Path, page: str) -> Path:
    """Write a page whole or not at all; gives its path."""
    with written_whole(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def render(facts: RunData) -> str:
    """The page of a run as HTML."""
    name = str(facts.setting("name", facts.folder.resolve().name))
    return render_sections(name, summary(facts), [section(facts) for section in SECTIONS], "TrackRec report", _WORDS)


def render_sections(name: str, line: str, sections: Sequence[Section], brand: str, footer: str) -> str:
    """A page as HTML. Titles, RecCoTs and settings come from outside: all is escaped but our own drawings.

    Args:
        name: what the page is about.
        line: one line below it.
        sections: in order.
        brand: what kind of page it is.
        footer: the words that need explaining.
    """
    environment = Environment(
        loader=PackageLoader("trackrec.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        name=name, summary=line, sections=list(sections), brand=brand, footer=footer
    )


def summary(facts: RunData) -> str:
    """What ran, in one line."""
    rounds = facts.done_rounds
    parts = [f"{rounds} round{'' if rounds == 1 else 's'} done of {facts.asked_rounds}"]
    if facts.kinds:
        parts.append(f"validator: {facts.kinds[0]}")
        parts.append(f"observer: {facts.kinds[1]}" if len(facts.kinds) > 1 else "no observer")
    model, seed = facts.setting("model.name"), facts.setting("seed")
    parts += [f"model: {model}"] if model else []
    parts += [f"seed: {seed}"] if seed is not None else []
    return " · ".join(parts)
