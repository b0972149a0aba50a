"""What a run's RecCoTs can name, made from its tables and its recipe."""

from __future__ import annotations

from trackrec.checks.gate import is_ours
from trackrec.checks.vocabulary import Vocabulary
from trackrec.pipeline.dataset import Dataset
from trackrec.prompts.domains import find_domain
from trackrec.recipe import Recipe


def vocabulary_of(recipe: Recipe, dataset: Dataset) -> Vocabulary:
    """The vocabulary of a run, for whoever checks its texts.

    Args:
        recipe: of the run.
        dataset: its tables.
    """
    prompts, ours = recipe.prompts, is_ours(recipe.teacher.type, recipe.loop.distils)
    return Vocabulary(dataset.items, find_domain(prompts.domain), prompts.attributes, recipe.profile, ours)
