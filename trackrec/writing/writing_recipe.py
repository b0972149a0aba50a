"""What of a run's recipe decides texts and vectors, read alone: a worker need not load what trains models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from trackrec.data.feedback import FeedbackSettings
from trackrec.data.sources import SourceSettings
from trackrec.data.split import SplitSettings
from trackrec.data.statistics import StatisticsSettings
from trackrec.errors import WriteError
from trackrec.prompts.renderer import PromptSettings
from trackrec.settings import Settings
from trackrec.users.counts import ProfileSettings
from trackrec.yaml_text import read_yaml_file

_GROUPS = ("seed", "source", "feedback", "split", "statistics", "profile", "prompts")
_GENERATOR = ("model", "adapter")


class WritingRecipe(Settings):
    """The settings of a run that writing needs, as in its ``recipe.yaml``, where all are written out."""

    seed: int = Field(ge=0)
    """All randomness follows from it."""
    source: SourceSettings
    """The run's own log, and how its tables are read."""
    feedback: FeedbackSettings
    """What counts as a like."""
    split: SplitSettings
    """Of it, the like threshold and the length of histories."""
    statistics: StatisticsSettings
    """How what others thought of an item is smoothed."""
    profile: ProfileSettings
    """How a history is counted."""
    prompts: PromptSettings
    """What prompts show."""
    teacher: dict[str, Any]
    """How the template teacher writes; nothing where the run's teacher is another one."""
    encoder: str
    """The sentence-transformers model that makes vectors of texts; ``id@commit`` where it is pinned."""
    generator: dict[str, Any]
    """``model``, ``adapter`` and ``writing`` (decoding) of the run's generator, for whoever loads it, and ``distils``:
    whether it learned from the teacher."""

    @classmethod
    def read(cls, path: Path) -> WritingRecipe:
        """The settings in a run's ``recipe.yaml``.

        Raises:
            WriteError: it lacks one of them, or a value cannot be.
        """
        tree = read_yaml_file(path)
        try:
            groups = {name: tree[name] for name in _GROUPS}
            generator = {name: tree[name] for name in _GENERATOR}
            loop = tree["loop"]
            generator |= {"writing": loop["writing"], "distils": loop.get("distils", True)}
            encoder, teacher = tree["encoder"], tree["teacher"]
            if encoder["type"] != "sentence-transformer":
                raise WriteError(
                    f"the run's encoder is {encoder['type']!r}: writing knows sentence-transformer; "
                    "name another one by --set encoder=..."
                )
            template = teacher if teacher["type"] == "template" else {}
            commit = encoder.get("revision")
            named = f"{encoder['name']}@{commit}" if commit else encoder["name"]
            return cls(**groups, teacher=template, encoder=named, generator=generator)
        except (KeyError, TypeError, ValidationError) as error:
            raise WriteError(
                f"{path} is no recipe of a run of this version of trackrec ({error!r}): run it anew"
            ) from error
