"""`make audit`: which licences are refused, what is read of pip-audit, and what is said where nobody can be asked."""

from __future__ import annotations

import importlib.util
import json
import stat
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
    ("osv", "pypi", "code", "said"),
    [
        (FOUND, None, 1, "audit: WEAK: a 1: PYSEC-1, CVE-9; mended in 2"),
        (NONE, FOUND, 0, "1 pinned packages looked up (osv), 0 unknown, 0 weaknesses"),
        (None, FOUND, 1, "2 pinned packages looked up (pypi), 1 unknown, 1 weaknesses"),
        (UNKNOWN, NONE, 0, "1 pinned packages looked up (pypi), 0 unknown, 0 weaknesses"),
        (None, UNKNOWN, 0, "NOT CHECKED for known weaknesses: no advisory database answered (osv: no route; pypi: it "),
        (None, None, 0, "NOT CHECKED for known weaknesses: no advisory database answered (osv: no route; pypi: no rou"),
    ],
)
def test_weaknesses(
    osv: Any,
    pypi: Any,
    code: int,
    said: str,
    audit: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a program in pip-audit's place that answers as it does, of one database or the other."""
    program, answers = tmp_path / "pip-audit", ""
    for service, told in (("osv", osv), ("pypi", pypi)):
        if told is not None:
            (tmp_path / service).write_text(json.dumps(told))
            answers += f'case "$*" in *{service}*) cp {tmp_path}/{service} $out;; esac\n'
    find = 'whole="$*"; out=${whole#*--output }; out=${out%% *}\n'
    program.write_text(f"#!/bin/sh\n{find}{answers}echo 'no route' >&2\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert audit.main(str(program), str(ROOT / "constraints.txt")) == code
    assert said in capsys.readouterr().out
    monkeypatch.setenv("AUDIT_REQUIRED", "1")
    assert audit.main(str(program), str(ROOT / "constraints.txt")) == (1 if "NOT CHECKED" in said else code)


def test_without_pip_audit_it_says_so(audit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(str(tmp_path / "none"), str(ROOT / "constraints.txt")) == 0
    assert "NOT CHECKED" in capsys.readouterr().out


class Database(BaseHTTPRequestHandler):
    """Answers as OSV does: of Jinja2 2.4.1 it knows a weakness, of others none."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = {"vulns": [WEAKNESS]} if asked == JINJA else {}
        content = json.dumps(known).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


JINJA = {"package": {"name": "jinja2", "ecosystem": "PyPI"}, "version": "2.4.1"}
WEAKNESS = {
    "id": "PYSEC-2014-8",
    "aliases": ["CVE-2014-1402"],
    "summary": "insecure temporary files",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.7.2"}]}],
        }
    ],
}


@pytest.mark.slow
def test_pip_audit_itself_with_a_database_that_knows_a_weakness(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a machine that reaches OSV: the program that `make audit` installs, and a server in OSV's place."""
    program = ROOT / ".venv-audit" / "bin" / "pip-audit"
    if not program.is_file():
        pytest.skip("pip-audit is not installed: make audit")
    pins = tmp_path / "pins.txt"
    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{server.server_address[1]}/v1/query")
        for text, code, said in (
            ("numpy==2.0.0\njinja2==2.4.1\n", 1, "WEAK: jinja2 2.4.1: PYSEC-2014-8, CVE-2014-1402; mended in 2.7.2"),
            ("numpy==2.0.0\njinja2==3.1.6\n", 0, "2 pinned packages looked up (osv), 0 unknown, 0 weaknesses"),
        ):
            pins.write_text(text)
            assert audit.main(str(program), str(pins)) == code
            assert said in capsys.readouterr().out
        server.shutdown()
