"""YAML from outside, read with a limit: aliases can make a few lines stand for billions of values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from trackrec.errors import RecipeError

MOST_VALUES = 100_000
"""So many keys and values at most, each alias counted as what it stands for."""


def read_yaml(text: str, where: str) -> Any:
    """The plain values that a YAML text stands for.

    Args:
        text: of one document.
        where: named in errors: a file, or the option that the text came with.

    Raises:
        RecipeError: it is not YAML, holds tags of objects, contains itself, nests too deep, or stands for more than
            `MOST_VALUES` values.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return None
        size = _size(node, {}, set(), where)
        if size > MOST_VALUES:
            raise RecipeError(
                f"{where} stands for {size:,} values, expected at most {MOST_VALUES:,}: write it without aliases"
            )
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{where} is not YAML: {error}") from error
    except RecursionError as error:
        raise RecipeError(f"{where} nests too deep for settings: expected groups of key: value") from error
    except ValueError as error:  # a date such as 2024-99-99, which YAML takes for one
        raise RecipeError(f"{where} holds a value that YAML cannot read ({error}): put it in quotes") from error


def read_yaml_file(path: Path) -> Any:
    """The plain values in a YAML file.

    Raises:
        RecipeError: it cannot be read; or as `read_yaml`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read ({error}): expected a YAML file in UTF-8") from error
    return read_yaml(text, str(path))


def _size(node: yaml.Node, known: dict[int, int], above: set[int], where: str) -> int:
    """Values that a node stands for; each node is counted once, however often it is referred to."""
    if id(node) in known:
        return known[id(node)]
    if id(node) in above:
        raise RecipeError(f"{where} contains itself by an alias: settings cannot")
    above.add(id(node))
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = list(node.value)
    known[id(node)] = 1 + sum(_size(part, known, above, where) for part in parts)
    above.discard(id(node))
    return known[id(node)]
