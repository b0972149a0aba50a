"""The part of a recipe that says which log is read and how it is cut; checked without loading what only a run needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from trackrec.data.feedback import FeedbackSettings
from trackrec.data.filters import FilterSettings
from trackrec.data.sources import SourceSettings
from trackrec.data.split import SplitSettings
from trackrec.errors import RecipeError
from trackrec.settings import Settings


class LogSettings(Settings):
    """As in ``Recipe``."""

    seed: int = Field(default=17, ge=0, le=2**31 - 1)
    """All randomness follows from it."""
    source: SourceSettings = SourceSettings()
    """The interaction log and the catalogue."""
    filters: FilterSettings = FilterSettings()
    """Which part of the log is used."""
    feedback: FeedbackSettings = FeedbackSettings()
    """What counts as a like."""
    split: SplitSettings = SplitSettings()
    """Histories and examples."""


def log_settings(changes: Mapping[str, Any]) -> LogSettings:
    """The settings of the log among those that a user asks for, all of which are checked.

    Args:
        changes: settings of a recipe, as a tree.

    Raises:
        RecipeError: a setting is unknown, or has a value that it cannot have.
    """
    if needs_whole_recipe(changes):
        _check_as_recipe(changes)
    try:
        return LogSettings.model_validate(
            {key: value for key, value in changes.items() if key in LogSettings.model_fields}
        )
    except ValidationError as error:
        _check_as_recipe(changes)  # its message names the nearest setting
        raise RecipeError(str(error)) from error


def needs_whole_recipe(changes: Mapping[str, Any]) -> bool:
    """Whether some of the settings are of other parts of a recipe; to know those takes seconds."""
    others = set(changes) - set(LogSettings.model_fields)
    prompts = changes.get("prompts", {})
    return others not in (set(), {"prompts"}) or (
        bool(others) and (not isinstance(prompts, Mapping) or set(prompts) != {"domain"})
    )


def _check_as_recipe(changes: Mapping[str, Any]) -> None:
    from trackrec.recipe import make_recipe

    make_recipe(dict(changes), "the settings asked for")
