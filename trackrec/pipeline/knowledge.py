"""Knowledge cards for a recipe's catalogue, written by an engine."""

from __future__ import annotations

from pathlib import Path

from trackrec.data.filters import filter_log
from trackrec.data.sources import read_log
from trackrec.knowledge.writer import CardCounts, CardWriter, Nouns
from trackrec.prompts.domains import find_domain
from trackrec.recipe import Recipe
from trackrec.registry import make


def write_knowledge(recipe: Recipe, path: Path) -> CardCounts:
    """Write a card for each item of the recipe's catalogue, or those that the file lacks.

    Args:
        recipe: source, filters, domain, ``prompts.attributes`` and ``knowledge.writer``.
        path: the file of cards, which ``knowledge.cards`` of a recipe may then name.

    Raises:
        LogError: the log cannot be read.
        EngineError: the engine lacks something, or cannot go on; what was answered is kept.
        RunError: too many answers could not be used.
    """
    items = filter_log(read_log(recipe.source), recipe.filters).items
    settings, domain = recipe.knowledge.writer, find_domain(recipe.prompts.domain)
    engine = make("engine", settings.engine)
    return CardWriter(engine, settings, Nouns(domain.item, domain.items), recipe.prompts.attributes).write(items, path)
