"""Components by name: what the ``type:`` of a recipe stands for, and how a class of one's own is found."""

from __future__ import annotations

import difflib
import importlib
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal

from pydantic import AfterValidator

from trackrec.errors import RecipeError

Kind = Literal["backbone", "encoder", "engine", "executor", "judge", "reward", "source", "teacher"]
"""What can be swapped. One's own is named by import path, or by an entry point of the group ``trackrec.<kind>s``."""

BUILT_IN: dict[Kind, dict[str, str]] = {
    "backbone": {"din": "trackrec.rankers.din:DIN", "dcnv2": "trackrec.rankers.dcnv2:DCNv2"},
    "encoder": {},
    "engine": {},
    "executor": {
        "local": "trackrec.writing.executor:LocalExecutor",
        "ray": "trackrec.writing.ray_executor:RayExecutor",
    },
    "judge": {},
    "reward": {},
    "source": {},
    "teacher": {},
}
"""Import path of each built-in component, by kind and name; nothing is imported before it is asked for."""


def find(kind: Kind, name: str) -> Any:
    """The component (a class, or a function where the kind's contract is one) that a recipe names.

    Args:
        kind: of component.
        name: a built-in name, the name of an entry point, or an import path such as ``my_shop.teachers:Teacher``.

    Raises:
        RecipeError: nothing of that name; the nearest known one is named. Or its module cannot be imported.
    """
    path = name if ":" in name else known(kind).get(name)
    if path is None:
        raise RecipeError(_unknown(kind, name))
    return _load(kind, path)


def known(kind: Kind) -> dict[str, str]:
    """Import paths by name: built-in components and those of installed packages' entry points."""
    return _from_entry_points(kind) | BUILT_IN[kind]


def register(kind: Kind, name: str, path: str) -> None:
    """Give an import path a short name in this process, as a package that cannot have entry points must."""
    BUILT_IN[kind][name] = path


def named(kind: Kind) -> AfterValidator:
    """Refuses unknown names in a settings field, as in ``Annotated[str, named("backbone")]``."""

    def check(name: str) -> str:
        if ":" not in name and name not in known(kind):
            raise ValueError(_unknown(kind, name))
        return name

    return AfterValidator(check)


@cache
def _from_entry_points(kind: Kind) -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=f"trackrec.{kind}s")}


def _unknown(kind: Kind, name: str) -> str:
    near = difflib.get_close_matches(name, known(kind), n=1, cutoff=0.0)
    return (
        f"no {kind} {name!r}: known are {', '.join(sorted(known(kind)))}"
        + (f"; the nearest is {near[0]!r}" if near else "")
        + f". A {kind} of your own is named by its import path, such as my_shop.{kind}s:{kind.capitalize()}"
    )


def _load(kind: Kind, path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise RecipeError(
            f"the {kind} {path!r} cannot be imported ({error}): install its package, or put its folder on PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise RecipeError(f"the module {module!r} has no {attribute!r}, which the recipe names as {kind}") from error
