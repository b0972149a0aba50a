"""Which engine: one setting in a recipe that names any of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trackrec.engines.base import Engine
from trackrec.engines.cache import AnswerCache
from trackrec.engines.openai import OpenAIEngine
from trackrec.engines.openai_settings import OpenAISettings
from trackrec.engines.torch import TorchEngine, TorchSettings

EngineSettings = Annotated[TorchSettings | OpenAISettings, Field(discriminator="type")]
"""Settings of an engine; ``type`` says of which one."""


def make_engine(settings: TorchSettings | OpenAISettings, cache: AnswerCache | None = None) -> Engine:
    """The engine that the settings name.

    Args:
        settings: of the engine.
        cache: of answers, for endpoints; None opens the one that the settings name.

    Raises:
        EngineError: the endpoint may not be used (consent, key, price); nothing is sent.
        AssetError: the local model cannot be loaded.
    """
    return OpenAIEngine(settings, cache) if isinstance(settings, OpenAISettings) else TorchEngine(settings)
