"""Write the reference pages of the site from the code: every setting, every command. Run by `make docs`."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from trackrec.settings import ComponentSettings

OUT = Path(__file__).resolve().parent / "reference"


def settings_page() -> str:
    """Every setting with its type, default and meaning."""
    from trackrec.data.log_updates import RefreshSettings
    from trackrec.recipe import Recipe
    from trackrec.registry import BUILT_IN, settings_class
    from trackrec.serving.monitor import Limits
    from trackrec.serving.settings import ServiceSettings
    from trackrec.writing.gates import GateSettings
    from trackrec.writing.version_plan import WritingSettings

    parts = [
        "# Settings\n\nMade from the code. In a recipe file the names are nested (`loop: {rounds: 1}`), on the command "
        "line they have dots (`--set loop.rounds=1`). `trackrec settings RECIPE` prints a recipe with every setting "
        "written out. An unknown name is an error.\n\n## Recipe\n\nWhich settings a [component](#components) has "
        "depends on its `type`; so `judge.warm_up_users` is a setting of the judge `lm`.\n"
    ]
    parts += _tables(Recipe, "", "###")
    parts.append("\n## Components\n")
    for kind in ("teacher", "judge", "reward", "engine", "encoder", "executor"):
        for name in BUILT_IN[kind]:
            found = settings_class(kind, name)
            parts.append(f"\n### {kind}: `{name}`\n\n{_told(found)}\n")
            parts += _tables(found, "", "####", told=False)
    for title, found, place in (
        ("Writing for everybody", WritingSettings, "`trackrec write --set NAME=VALUE`"),
        ("Gates of a version", GateSettings, "`trackrec write --set gates.NAME=VALUE`"),
        ("The service", ServiceSettings, "`trackrec serve --set NAME=VALUE`"),
        ("Limits of monitoring", Limits, "`trackrec monitor --set NAME=VALUE`"),
        ("What is enough for a new text", RefreshSettings, "`trackrec data update --set NAME=VALUE`"),
    ):
        parts.append(f"\n## {title}\n\n{place}\n")
        parts += _tables(found, "", "###")
    return "".join(parts)


def _tables(group: type[BaseModel], prefix: str, heading: str, told: bool = True) -> Iterator[str]:
    """A table of a group's own settings, then those of the groups inside it."""
    rows, inside = [], []
    for name, field in group.model_fields.items():
        kinds = [kind for kind in (field.annotation, *typing.get_args(field.annotation)) if inspect.isclass(kind)]
        groups = [kind for kind in kinds if issubclass(kind, BaseModel) and not issubclass(kind, ComponentSettings)]
        nested = groups[0] if groups else None
        if nested is not None and isinstance(field.get_default(call_default_factory=True), nested):
            inside.append((name, nested))
        elif name != "type":
            cells = (f"`{prefix}{name}`", _type(field), _default(field), _cell(field.description or ""))
            rows.append("| " + " | ".join(cells) + " |\n")
    if rows:
        if told:
            yield f"\n{heading} {f'`{prefix[:-1]}`' if prefix else 'At the top'}\n\n{_told(group)}\n"
        yield "\n| setting | type | default | meaning |\n|---|---|---|---|\n" + "".join(rows)
    for name, nested in inside:
        yield from _tables(nested, f"{prefix}{name}.", heading)


def _told(group: type) -> str:
    return " ".join(inspect.cleandoc(group.__doc__ or "").split("\n\n")[0].split())


def _type(field: FieldInfo) -> str:
    signs = {"Ge": "≥", "Gt": ">", "Le": "≤", "Lt": "<"}
    kinds = [(type(rule).__name__, rule) for rule in field.metadata]
    limits = [f"{signs[kind]} {getattr(rule, kind.lower())}" for kind, rule in kinds if kind in signs]
    return _cell(", ".join([_named(field.annotation), *limits]))


def _named(kind: Any) -> str:
    """A type in words."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is type(None):
        return "null"
    if origin is None:
        component = inspect.isclass(kind) and issubclass(kind, ComponentSettings)
        return "component" if component else getattr(kind, "__name__", str(kind))
    if origin is typing.Annotated:
        return _named(inner[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in inner)
    parts = [_named(one) for one in inner if one is not Ellipsis]
    if origin in (typing.Union, types.UnionType):
        return " or ".join(parts)
    return f"{'list' if origin is tuple else origin.__name__} of {', '.join(dict.fromkeys(parts))}"


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "must be given"
    if isinstance(default, BaseModel):
        return f"`type: {default.model_dump().get('type', '')}`"
    told = str(default) if isinstance(default, str) else repr(default)
    told = {"None": "null", "True": "true", "False": "false", "": '""', "()": "[]"}.get(told, told)
    return f"`{_cell(told if len(told) < 120 else told[:117] + '...')}`"


def _cell(text: str) -> str:
    """Text that a cell of a table can hold."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def commands_page() -> str:
    """Every command with its arguments and options."""
    from trackrec.cli import app

    parts = [
        "# Commands\n\nMade from the code; `trackrec COMMAND --help` says the same. `trackrec --install-completion` "
        "has the shell complete them.\n"
    ]
    root = typer.main.get_command(app)
    parts += _commands(root, "trackrec")
    return "".join(parts)


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        full = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from _commands(command, full)
            continue
        yield f"\n## {full}\n\n{inspect.cleandoc(command.help or '')}\n\n| what | default | meaning |\n|---|---|---|\n"
        for one in command.params:
            if one.name == "help":
                continue
            names = (one.metavar or one.name.upper()) if one.param_type_name == "argument" else ", ".join(one.opts)
            default = "" if one.default in (None, False, "", ()) or callable(one.default) else f"`{one.default}`"
            needed = "must be given" if one.required else default
            yield f"| `{names}` | {needed} | {_cell(getattr(one, 'help', None) or '')} |\n"


def python_page() -> str:
    """What `from trackrec import api` gives; mkdocstrings fills it in."""
    from trackrec import api

    parts = ["# Python\n\n`from trackrec import api as tr`; `examples/api.py` uses all of it.\n"]
    for name in sorted(api.__all__):
        found = getattr(api, name)
        parts.append(f"\n::: {found.__module__}.{getattr(found, '__qualname__', name)}\n")
    return "".join(parts)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for name, page in (("settings", settings_page()), ("commands", commands_page()), ("python", python_page())):
        (OUT / f"{name}.md").write_text(page, encoding="utf-8")
