"""The site's reference pages, which are made from the code: nothing is left out of them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from trackrec.recipe import dump_recipe, load_recipe

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leaves(tree: Any, before: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def test_every_setting_of_a_recipe_is_there_with_a_meaning(reference: ModuleType) -> None:
    import yaml

    page = reference.settings_page()
    found = [name for name in leaves(yaml.safe_load(dump_recipe(load_recipe("demo")))) if not name.endswith("type")]
    # What a component's own settings are called there: without the place in the recipe.
    short = [re.sub(r"^(.*\.engine|teacher|judge|observer|reward|encoder)\.", "", name) for name in found]
    missing = [name for name in short if f"| `{name}` |" not in page]
    assert missing == []
    rows = re.findall(r"^\| `[^`]+` \|.*\| ([^|]*) \|$", page, re.MULTILINE)
    assert len(rows) > 200
    assert "" not in rows


def test_every_command_is_there(reference: ModuleType) -> None:
    page = reference.commands_page()
    for command in (
        "trackrec run",
        "trackrec data check",
        "trackrec store forget",
        "trackrec write",
        "trackrec doctor",
    ):
        assert f"## {command}\n" in page
    assert re.findall(r"^\| `[^`]+` \| [^|]*\|  \|$", page, re.MULTILINE) == []


def test_every_file_that_a_page_names_is_there() -> None:
    """Links are checked when the site is built; names of files in the text are not."""
    named = re.compile(r"\b(?:trackrec|research|benchmarks|tests|examples|recipes)/[\w/.-]+\.(?:py|md|yaml|jsonl?)\b")
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    found = {(page.name, name) for page in pages for name in named.findall(page.read_text(encoding="utf-8"))}
    assert len(found) > 20
    assert [(page, name) for page, name in sorted(found) if not (ROOT / name).is_file()] == []


def test_pictures_are_there_small_and_shown() -> None:
    shown = {
        (page.parent / match[1]).resolve()
        for page in (ROOT / "docs").glob("*.md")
        for match in re.finditer(r"!\[[^\]]+\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    }
    kept = {path.resolve() for path in (ROOT / "docs" / "images").iterdir()}
    assert shown == kept
    assert kept
    assert [path.name for path in kept if path.stat().st_size > 150_000] == []
