"""A data set that is known by name: all that is said of it, but for what its reader does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trackrec.data.log import Log
from trackrec.errors import RecipeError

Feedback = Literal["graded", "implicit", "unknown"]


@dataclass(frozen=True)
class Source:
    """A data set that is known by name."""

    name: str
    """What ``source.source`` of a recipe calls it."""
    read: Callable[[Path], Log]
    """Reads the folder with its files into a checked log."""
    domain: str
    """Of the prompts that `trackrec data check` writes into its recipe, as in ``prompts.domain``."""
    feedback: Feedback
    """graded: ratings say how an item was liked, so that some of them are dislikes. implicit: they only count how often
    it was used; every interaction is a like. unknown: graded, if there are several ratings."""
    files: tuple[str, ...] = ()
    """The names of its files, so that a run notices a change in them; empty: all that are in the folder."""
    embedded: Callable[[], Path] | None = None
    """Gives the folder of the files that come with the package, fetched on first use; None: they do not."""
    like_threshold: float | None = None
    """graded alone: the rating from which on an item was liked, where the data set's own papers say it; None: found
    from the ratings."""
    impressions: bool = False
    """The log holds what was shown and not clicked, with a rating of 0: ``feedback.kind: impressions``."""

    def log(self, folder: Path | None) -> Log:
        """The log in a folder; None: the embedded one.

        Raises:
            RecipeError: there is no folder and nothing embedded.
            LogError: the files cannot be used.
        """
        if folder is not None:
            return self.read(folder)
        if self.embedded is None:
            raise RecipeError(f"the source {self.name!r} needs a folder: set source.folder to where its files are")
        return self.read(self.embedded())
