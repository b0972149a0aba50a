"""The pages of the site: short enough to be read, each in the menu, none twice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CODE = ("trackrec", "research", "benchmarks", "tests", "examples", "docs")
WRITTEN = {"example.py"}
"""Files that TrackRec writes for its users."""
PAGES = sorted((ROOT / "docs").glob("*.md"))
MOST_WORDS = 1_500
"""What one sitting holds: seven minutes. Tables count, code does not."""


def without_code(page: Path) -> str:
    """A page's text outside its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def test_no_page_is_longer_than_one_sitting() -> None:
    words = {page.name: len(without_code(page).split()) for page in PAGES}
    assert len(words) > 20
    assert {name: count for name, count in words.items() if count > MOST_WORDS} == {}


def test_every_page_has_one_title_and_begins_with_it() -> None:
    for page in PAGES:
        assert page.read_text(encoding="utf-8").startswith("# "), page.name
        assert len(re.findall(r"^# ", without_code(page), re.MULTILINE)) == 1, page.name


def named(menu: Any) -> list[str]:
    """The pages of a menu, its parts within parts included."""
    if isinstance(menu, str):
        return [menu]
    return [page for part in (menu.values() if isinstance(menu, dict) else menu) for page in named(part)]


def test_the_menu_has_every_page_once() -> None:
    menu = named(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert len(menu) == len(set(menu))
    ours = [page for page in menu if "/" not in page]
    assert sorted(ours) == [page.name for page in PAGES]


def test_titles_are_not_used_twice() -> None:
    titles = [page.read_text(encoding="utf-8").split("\n", 1)[0] for page in PAGES]
    assert sorted(titles) == sorted(set(titles))


def test_files_in_quotation_exist_by_their_short_names_too() -> None:
    """`reader.py` is enough where the folder is clear. The experiment log tells of its own day, so it is left out."""
    there = [path.relative_to(ROOT).as_posix() for part in CODE for path in (ROOT / part).rglob("*.*")]
    named = {
        (page.name, name)
        for page in PAGES
        if not page.name.startswith("experiments")
        for name in re.findall(r"`([\w/]+\.(?:py|ipynb))`", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    known = [f"/{path}" for path in (*there, *WRITTEN)]
    assert [one for one in sorted(named) if not any(path.endswith(f"/{one[1]}") for path in known)] == []
