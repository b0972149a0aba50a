"""Components by name: what the ``type:`` of a recipe stands for, and how a class of one's own is found.

A component is a class with ``Settings``, a :class:`trackrec.settings.ComponentSettings` of its own, that is made of
``(settings, context)``: by a class method ``make`` if it has one, else by its constructor. The context is what its kind
may ask for (see the kind's ``base.py``).
Sources and backbones are simpler: see :mod:`trackrec.data.sources` and :mod:`trackrec.rankers.base`.
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal

from pydantic import AfterValidator, BeforeValidator

from trackrec.errors import RecipeError
from trackrec.settings import ComponentSettings

Kind = Literal["backbone", "encoder", "engine", "executor", "judge", "reward", "source", "teacher"]
"""What can be swapped. One's own is named by import path, or by an entry point of the group ``trackrec.<kind>s``."""

BUILT_IN: dict[Kind, dict[str, str]] = {
    "backbone": {"din": "trackrec.rankers.din:DIN", "dcnv2": "trackrec.rankers.dcnv2:DCNv2"},
    "encoder": {"sentence-transformer": "trackrec.features.encoder:TextEncoder"},
    "engine": {"torch": "trackrec.engines.torch:TorchEngine", "openai": "trackrec.engines.openai:OpenAIEngine"},
    "executor": {
        "local": "trackrec.writing.executor:LocalExecutor",
        "ray": "trackrec.writing.ray_executor:RayExecutor",
    },
    "judge": {
        "lm": "trackrec.judges.lm:LMValidator",
        "matcher": "trackrec.judges.matcher:MatcherValidator",
        "ranker": "trackrec.judges.ranker:RankerValidator",
        "served": "trackrec.judges.served:ServedValidator",
    },
    "reward": {
        "log_likelihood": "trackrec.judges.rewards:LogLikelihood",
        "probability": "trackrec.judges.rewards:Probability",
        "grounding": "trackrec.checks.reward:Grounding",
        "horoscope": "trackrec.checks.horoscope:Horoscope",
    },
    "source": {},
    "teacher": {
        "template": "trackrec.teachers.template:ProfileTeacher",
        "texts": "trackrec.teachers.texts:TextsTeacher",
        "llm": "trackrec.teachers.llm:LLMTeacher",
    },
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


@dataclass(frozen=True, slots=True)
class Choice(BeforeValidator):
    """What :func:`component` gives: a validator that remembers which kind it chooses from."""

    kind: Kind = "teacher"
    default: str = ""


def component(kind: Kind, default: str = "") -> Choice:
    """For a settings field that holds a component's settings: a tree with ``type`` becomes its settings class.

    Write it as ``Annotated[SerializeAsAny[ComponentSettings], component("judge", "lm")]``.

    Args:
        kind: of component.
        default: the type that is meant where none is given.
    """

    def parse(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        name = value.get("type", default)
        try:
            return settings_of(kind, value | {"type": name})
        except RecipeError as error:
            raise ValueError(str(error)) from error

    return Choice(parse, kind=kind, default=default)


def settings_of(kind: Kind, tree: dict[str, Any]) -> ComponentSettings:
    """A component's settings from a tree that says their ``type``."""
    return settings_class(kind, str(tree["type"])).model_validate(tree)


def settings_class(kind: Kind, name: str) -> type[ComponentSettings]:
    """The settings class of a component.

    Raises:
        RecipeError: there is no such component, or it is none: it lacks ``Settings``.
    """
    found = find(kind, name)
    settings = getattr(found, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, ComponentSettings)):
        raise RecipeError(
            f"the {kind} {name!r} is no component: expected a class with `Settings` (of ComponentSettings), made "
            "of (settings, context)"
        )
    return settings


def make(kind: Kind, settings: ComponentSettings, context: Any = None) -> Any:
    """The component that settings describe.

    Args:
        kind: of component.
        settings: of its own settings class.
        context: what its kind may ask for.
    """
    found = find(kind, settings.type)
    return getattr(found, "make", found)(settings, context)


def short_name(settings: ComponentSettings) -> str:
    """A component's name where names must be short and safe, such as in names of stages: ``a.b:Judge`` is ``judge``."""
    return settings.type.rpartition(":")[2].lower()


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
    except AttributeError as error:
        raise RecipeError(f"the module {module!r} has no {attribute!r}, which the recipe names as {kind}") from error
    except Exception as error:  # a module may do anything when it is imported
        raise RecipeError(
            f"the {kind} {path!r} cannot be imported ({error}): install its package, or put its folder on PYTHONPATH"
        ) from error
