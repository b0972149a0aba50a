"""What of a run's recipe decides texts and vectors, read alone: a worker need not load what trains models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from trackrec.data.feedback import FeedbackSettings
from trackrec.data.sources import SourceSettings
from trackrec.data.split import SplitSettings
from trackrec.data.statistics import StatisticsSettings
from trackrec.prompts.renderer import PromptSettings
from trackrec.settings import Settings
from trackrec.teachers.template import TeacherSettings
from trackrec.writing.failures import WriteError


class Telling(Settings):
    """The settings of a run that writing needs, as in its ``recipe.yaml``, where all are written out."""

    seed: int
    """All randomness follows from it."""
    source: SourceSettings
    """The run's own log, and how its tables are read."""
    feedback: FeedbackSettings
    """What counts as a like."""
    split: SplitSettings
    """Of it, the like threshold and the length of histories."""
    statistics: StatisticsSettings
    """How what others thought of an item is smoothed."""
    prompts: PromptSettings
    """What prompts show."""
    teacher: TeacherSettings
    """How the profile teacher writes."""
    encoder: str
    """What makes vectors of texts."""
    generator: dict[str, Any]
    """``model``, ``adapter`` and ``writing`` (decoding) of the run's generator, for whoever loads it."""

    @classmethod
    def read(cls, path: Path) -> Telling:
        """The settings in a run's ``recipe.yaml``.

        Raises:
            WriteError: it lacks one of them, or a value cannot be.
        """
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        try:
            return cls(
                **{name: tree[name] for name in ("seed", "source", "feedback", "split", "statistics", "prompts", "teacher")},
                encoder=tree["ranking"]["encoder"],
                generator={
                    "model": tree["model"], "adapter": tree["adapter"], "writing": tree["loop"]["writing"]
                },
            )  # fmt: skip
        except (KeyError, TypeError, ValidationError) as error:
            raise WriteError(f"{path} is no recipe of a run of this version of trackrec ({error}): run it anew") from error
