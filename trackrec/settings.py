"""The base of every settings class: typed, frozen, and unknown keys refused by name."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A group of settings. Each field is declared once, with its explanation in ``Field(description=...)``.

    The recipe file, ``--set`` and the generated reference all come from these declarations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ComponentSettings(Settings):
    """The settings of something that can be swapped; ``type`` says which class they are for.

    A component's own settings class gives ``type`` its default and adds its fields.
    """

    type: str
    """A built-in name, the name of an installed package's entry point, or an import path such as
    ``my_shop.teachers:Teacher``."""
