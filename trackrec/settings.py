"""The base of every settings class: typed, frozen, and unknown keys refused by name."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trackrec.errors import RecipeError
from trackrec.yaml_text import read_yaml

Positive = Annotated[int, Field(ge=1)]
"""A whole number from 1."""
NotNegative = Annotated[int, Field(ge=0)]
"""A whole number from 0."""
Commit = Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")]
"""A commit of the Hugging Face hub, 40 hexadecimal digits; empty: none is named. Tags and branches may move."""
LATER = "later"
"""Marks a field, ``Annotated[..., LATER]``, that came when runs had been made already: see :func:`recorded`."""
LARGEST = 2**31 - 1
"""The largest whole number that a setting takes: what every library behind it can count to."""


class Settings(BaseModel):
    """A group of settings. Each field is declared once, with its explanation in ``Field(description=...)``.

    The recipe file, ``--set`` and the generated reference all come from these declarations. Every number has a lower
    bound where it is declared (tested); none is NaN or infinite, none beyond `LARGEST`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _keep_defaults(cls, tree: Any) -> Any:
        """A group that is given in part keeps what its own place has as defaults, not what its class has."""
        if not isinstance(tree, dict):
            return tree
        kept = {
            name: _filled(tree[name], field.default)
            for name, field in cls.model_fields.items()
            if isinstance(field.default, Settings) and isinstance(tree.get(name), dict)
        }
        return tree | kept

    @field_validator("*")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        numbers = value if isinstance(value, tuple | list) else [value]
        for number in numbers:
            if isinstance(number, int | float) and abs(number) > LARGEST:
                raise ValueError(f"the largest number that a setting takes is {LARGEST}")
        return value


class ComponentSettings(Settings):
    """The settings of something that can be swapped; ``type`` says which class they are for.

    A component's own settings class gives ``type`` its default and adds its fields.
    """

    type: str
    """A built-in name, the name of an installed package's entry point, or an import path such as
    ``my_shop.teachers:Teacher``."""


def _filled(given: dict[str, Any], default: Settings) -> dict[str, Any]:
    """What was given, with what the default says beyond its class where nothing was; of another type: as it is."""
    if given.get("type", getattr(default, "type", None)) != getattr(default, "type", None):
        return given
    said = {name: getattr(default, name) for name in default.model_fields_set}
    deeper = {
        name: _filled(given[name], value)
        for name, value in said.items()
        if isinstance(value, Settings) and isinstance(given.get(name), dict)
    }
    return said | given | deeper


def recorded(settings: BaseModel) -> dict[str, Any]:
    """Settings as a stage of a run records them: plain values, without those marked `LATER` that have their default.

    So stages of earlier runs, which knew no such setting, stay finished.
    """
    plain = settings.model_dump(mode="json")
    _leave_out(settings, plain)
    return plain


def _leave_out(value: Any, plain: Any) -> None:
    """Take out of the plain values what was marked in the settings that they were made of."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            if LATER in field.metadata and getattr(value, name) == field.default:
                plain.pop(name, None)
            elif name in plain:
                _leave_out(getattr(value, name), plain[name])
    elif isinstance(value, tuple | list):
        for each, plain_each in zip(value, plain, strict=True):
            _leave_out(each, plain_each)


def apply_change(tree: dict[str, Any], change: str) -> None:
    """Put one ``key=value`` into a tree of settings; the key has dots, the value is YAML.

    A component's new ``type`` begins with that type's own settings.

    Raises:
        RecipeError: it is no change, or leads through a value that is no group of settings.
    """
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set got {change!r}, expected key=value such as loop.rounds=1")
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise RecipeError(f"--set {change}: {parent!r} is a value, not a group of settings")
    found = read_yaml(value, f"--set {change}: the value")
    if last == "type" and tree.get("type", found) != found:
        tree.clear()  # settings of another type mean nothing to the new one
    tree[last] = found
