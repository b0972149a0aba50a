"""A domain of one's own: a YAML file with the fields of :class:`trackrec.prompts.domain.Domain`."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trackrec.errors import RecipeError
from trackrec.prompts.domain import Domain
from trackrec.yaml_text import read_yaml

SUFFIXES = (".yaml", ".yml")
"""By these a domain's file is told from a domain's name."""


def read_domain(path: Path) -> Domain:
    """The domain that a file describes.

    Raises:
        RecipeError: there is no such file, it is not YAML, a key is unknown (the nearest known one is named), keys are
            missing (all are named), or a value is not the text that is expected.
    """
    try:
        tree = read_yaml(path.read_text(encoding="utf-8"), f"the domain file {path}")
    except OSError as error:
        raise RecipeError(
            f"prompts.domain names the file {path}, which cannot be read ({error.strerror}): expected a YAML file with "
            "a domain's texts, or the name of a known domain"
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"the domain file {path} is not YAML in UTF-8: {error}") from error
    if not isinstance(tree, Mapping):
        raise RecipeError(f"the domain file {path} holds {type(tree).__name__}, expected texts (key: value)")
    known = {field.name: field for field in fields(Domain)}
    for key in tree:
        if key not in known:
            near = get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            raise RecipeError(f"the domain file {path} has an unknown key {key!r}; the nearest known one is {near!r}")
    missing = [name for name, field in known.items() if field.default is MISSING and name not in tree]
    if missing:
        raise RecipeError(f"the domain file {path} lacks {', '.join(missing)}: expected a text for each")
    values: dict[str, Any] = {
        key: _answers(value, path) if key == "answers" else _text(key, value, path) for key, value in tree.items()
    }
    _check_field(path, "liked_by", values["liked_by"], "tenths")
    _check_field(path, "often", values.get("often", Domain.often), "genres")
    return Domain(**values)


def _text(key: str, value: Any, path: Path) -> str:
    if not isinstance(value, str) or not value:
        raise RecipeError(f"the domain file {path} has {key}: {value!r}, expected a text; put it in quotes")
    return value


def _answers(value: Any, path: Path) -> tuple[str, str]:
    texts = value if isinstance(value, list) else []
    if len(texts) != 2 or not all(isinstance(text, str) and text for text in texts) or texts[0] == texts[1]:
        raise RecipeError(
            f"the domain file {path} has answers: {value!r}, expected two different texts, the liking one first; "
            'YAML reads a bare Yes as true, so put them in quotes: ["Yes", "No"]'
        )
    return texts[0], texts[1]


def _check_field(path: Path, key: str, text: str, field: str) -> None:
    """Such a text is filled in for every target or user, so what is wrong with it is said before the first one."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
        text.format(**{field: 5})
    except (ValueError, LookupError, AttributeError):
        names = []
    if names != [field]:
        raise RecipeError(
            f"the domain file {path} has {key}: {text!r}, expected a text with the field {{{field}}} once and no "
            "other; write other braces twice"
        )
