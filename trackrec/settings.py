"""The base of every settings class: typed, frozen, and unknown keys refused by name."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A group of settings. Each field is declared once, with its explanation in ``Field(description=...)``.

    The recipe file, ``--set`` and the generated reference all come from these declarations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
