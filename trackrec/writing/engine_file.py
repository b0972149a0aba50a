"""The file that names engines: a list of endpoints, how prompts are made, how texts are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from trackrec.engines.base import Decoding
from trackrec.errors import RecipeError
from trackrec.settings import Settings
from trackrec.writing.failures import WriteError
from trackrec.yaml_text import read_yaml_file


class EngineFile(Settings):
    """Engines that write, in place of the process itself."""

    engines: list[dict[str, Any]] = Field(min_length=1)
    """Each with ``type`` (openai, torch, ...) and the settings of that type: one endpoint for each GPU, say."""
    prompts: Literal["generator", "teacher"] = "generator"
    """generator: token ids of the run's own prompt, for endpoints that serve its generator. teacher: messages that ask
    any large model for a text with citations."""
    decoding: Decoding | None = None
    """How texts are drawn; null: as the run's generator draws them, or (prompts: teacher) as the teacher `llm` does."""
    chunk: int = Field(default=32, ge=1)
    """Prompts that an engine is given at once; neighbours share their beginning, so that its prefix cache hits."""
    rest: float = Field(default=30.0, ge=0)
    """Seconds for which an engine that failed is given nothing, if others can take its work."""


def read_engines(path: Path) -> list[dict[str, Any]]:
    """The file's content as a list of one tree of settings, for a plan.

    Raises:
        WriteError: there is no such file, or it names no engines.
    """
    try:
        tree = read_yaml_file(path)
        return [EngineFile.model_validate(tree).model_dump(mode="json")]
    except (RecipeError, ValidationError) as error:
        raise WriteError(
            f"{path} names no engines ({error}): expected a YAML file with engines: [{{type: openai, ...}}]"
        ) from error
