"""What the page *Start* shows is what its commands print, and the commands of all pages can be read."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import call

from trackrec.cli import app

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if not page.name.startswith("experiments")]
"""The experiment log tells of its own day."""
START = (DOCS / "start.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_the_check_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (script,) = [code for code in blocks(START, "python") if code.startswith("# make_shop.py\n")]
    (tmp_path / "make_shop.py").write_text(script, encoding="utf-8")
    runpy.run_path("make_shop.py", run_name="__main__")
    assert call(monkeypatch, "data", "check", "plants.csv") == 0
    printed = [line.strip() for line in capsys.readouterr().out.splitlines()]
    (shown,) = [text for text in blocks(START, "text") if text.startswith("Columns\n")]
    lines = [line.strip() for line in shown.splitlines() if line != "..."]
    assert len(lines) > 15
    assert [line for line in lines if line not in printed] == []
    assert (tmp_path / "plants.recipe.yaml").is_file()


def commands(page: Path) -> list[list[str]]:
    """The words of each `trackrec` command in a page's shell blocks, without what only stands for something."""
    found = []
    for block in blocks(page.read_text(encoding="utf-8"), "bash"):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0].endswith("trackrec") and "|" not in words and not {"...", "&&"} & set(words):
                found.append([word for word in words[1:] if word != "&" and not word.startswith(("[", ">"))])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_can_be_read(page: Path) -> None:
    for words in commands(page):
        read(words)


def read(words: list[str]) -> None:
    """Have the command line take the words apart, and do nothing; it raises for what it does not know."""
    group: Any = typer.main.get_command(app)
    path = list(words)
    while path and path[0] in getattr(group, "commands", {}):
        group = group.commands[path.pop(0)]
    group.make_context(words[0], path)


def test_a_command_that_is_none_is_found() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 20
    with pytest.raises(Exception, match=r"No such option: --nothing"):
        read(["run", "demo", "--nothing"])
