"""`make audit`: which licences are refused, what is read of pip-audit, and what is said where nobody can be asked."""

from __future__ import annotations

import importlib.util
import json
import stat
from email.message import Message
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Made:
    """A package that says this of its licence."""

    def __init__(self, name: str, **told: Any) -> None:
        self.metadata = Message()
        self.metadata["Name"] = name
        for key, values in told.items():
            for value in values if isinstance(values, list) else [values]:
                self.metadata[key.replace("_", "-")] = value

    def read_text(self, name: str) -> str | None:
        return {"licenses/LICENSE": "\nMIT License\n\nmore", "COPYING": "GNU General Public License v3"}.get(name)


@pytest.mark.parametrize(
    ("told", "refused"),
    [
        ({"License_Expression": "MIT"}, False),
        ({"License_Expression": "AGPL-3.0-or-later"}, True),
        ({"License_Expression": "GPL-2.0-only OR MIT"}, False),
        ({"License_Expression": "GPL-3.0-only AND MIT"}, True),
        ({"License_Expression": "LGPL-2.1-or-later"}, False),
        ({"License_Expression": "SSPL-1.0"}, True),
        ({"License_Expression": "CC-BY-NC-4.0"}, True),
        ({"Classifier": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"}, True),
        ({"Classifier": "License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"}, False),
        ({"Classifier": ["License :: OSI Approved", "License :: OSI Approved :: BSD License"]}, False),
        ({"Classifier": "License :: Other/Proprietary License"}, True),
        ({"License": "Apache 2.0\nand more text"}, False),
        ({"License": "ask me"}, True),
        ({"License_File": "LICENSE"}, False),
        ({"License_File": "COPYING"}, True),
        ({"License_File": "none"}, True),
        ({}, True),
    ],
)
def test_licences(told: dict[str, Any], refused: bool, audit: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    found = audit.licences([Made("tool", **told)])
    assert bool(found) == refused
    assert "tool" in capsys.readouterr().out
    assert audit.licences([Made("nvidia-tool", **told)]) == []


def test_what_is_installed_here_passes(audit: ModuleType) -> None:
    assert audit.licences(distributions()) == []


FOUND = {
    "dependencies": [
        {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-9"], "fix_versions": ["2"]}]},
        {"name": "b", "version": "1", "vulns": []},
        {"name": "c", "skip_reason": "not there"},
    ]
}
NONE = {"dependencies": [{"name": "b", "version": "1", "vulns": []}]}
UNKNOWN = {"dependencies": [{"name": "c", "skip_reason": "not there"}]}


@pytest.mark.parametrize(
    ("told", "code", "said"),
    [
        (FOUND, 1, "audit: WEAK: a 1: PYSEC-1, CVE-9; mended in 2"),
        (NONE, 0, "1 pinned packages looked up, 0 unknown to the database, 0 weaknesses"),
        (UNKNOWN, 0, "NOT CHECKED"),
        (None, 0, "NOT CHECKED for known weaknesses: the advisory database cannot be reached (no route)"),
    ],
)
def test_weaknesses(
    told: Any, code: int, said: str, audit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a program in pip-audit's place that answers as it does."""
    program = tmp_path / "pip-audit"
    answer = "" if told is None else f"while [ $1 != --output ]; do shift; done; echo '{json.dumps(told)}' > $2\n"
    program.write_text(f"#!/bin/sh\n{answer}echo 'no route' >&2\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert audit.main(str(program), str(ROOT / "constraints.txt")) == code
    assert said in capsys.readouterr().out


def test_without_pip_audit_it_says_so(audit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(str(tmp_path / "none"), "constraints.txt") == 0
    assert "NOT CHECKED" in capsys.readouterr().out
