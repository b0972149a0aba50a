"""`make audit`: known weaknesses of the pinned packages, and the licences of what is installed.

    .venv/bin/python .ci/audit.py .venv-audit/bin/pip-audit constraints.txt

Exit code 1 if a pinned version has a known weakness, or a licence is refused or not known. Where no advisory database
answers that is said, and does not fail: a machine without a network can build and test. With ``AUDIT_REQUIRED=1``, as
before a release, it fails too. pip-audit's own variables hold, such as ``PIP_AUDIT_OSV_URL`` for a mirror of OSV.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

SERVICES = ("osv", "pypi")
"""The databases, as pip-audit calls them, in the order in which they are asked."""
REFUSED = re.compile(
    r"\b(A?GPL|GNU (?:Affero )?General Public|SSPL|Server Side Public|BUSL|Business Source|Commons Clause|EUPL|OSL|"
    r"CC[- ]BY[- ](?:NC|SA|ND)|non-?commercial|proprietary|other/proprietary)",
    re.IGNORECASE,
)
"""Licences that Apache-2.0 cannot live with, or that bind whoever serves with it. The LGPL is none of them."""
KNOWN = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla Public|Zlib|OLDAP|OpenLDAP|BSL-1\.0|CC0|"
    r"HPND|CNRI|Unlicense|LGPL|Lesser General Public|Public Domain|ZPL|Zope)",
    re.IGNORECASE,
)
ALLOWED = {
    "nvidia-": "NVIDIA's libraries come with torch's CUDA build, under NVIDIA's own licence; they are not passed on",
    "cuda-": "as nvidia-",
    "trackrec": "this package",
}
"""Packages (by the beginning of the name) whose licence is looked at by people, and why they stay."""


def licence_of(package: Distribution) -> str:
    """What a package says of its licence: the SPDX expression, classifiers, or the text's first line."""
    told = package.metadata
    if told.get("License-Expression"):
        return str(told["License-Expression"])
    classified = [
        name.rpartition(" :: ")[2] for name in told.get_all("Classifier", []) if name.startswith("License ::")
    ]
    if classified := [name for name in classified if name != "OSI Approved"]:
        return " OR ".join(classified)
    texts = [str(told.get("License") or "")]
    for file in told.get_all("License-File", []):  # where the metadata say no more
        texts.append(package.read_text(f"licenses/{file}") or package.read_text(file) or "")
    lines = [text.strip().splitlines()[0].strip() for text in texts if text.strip()]
    return lines[0][:80] if lines else ""


def why_refused(name: str, licence: str) -> str:
    """Why a package cannot stay; "" if it can. Of several licences to choose from (OR) one that is allowed is enough.

    >>> why_refused("tool", "GPL-3.0-only OR MIT")
    ''
    >>> why_refused("tool", "GPL-3.0-only")
    "its licence is 'GPL-3.0-only'"
    """
    if any(name.lower().startswith(allowed) for allowed in ALLOWED):
        return ""
    if not licence:
        return "it says nothing of its licence"
    choices = re.split(r"\s+OR\s+", licence)
    if any(KNOWN.search(choice) and not REFUSED.search(choice) for choice in choices):
        return ""
    return f"its licence is {licence!r}" + ("" if REFUSED.search(licence) else ", which is on no list")


def read_audit(told: dict[str, Any]) -> tuple[list[str], int, int]:
    """Weaknesses, and how many packages were looked up and how many could not be, from pip-audit's JSON."""
    weak, looked_up, skipped = [], 0, 0
    for package in told.get("dependencies", []):
        if "skip_reason" in package:
            skipped += 1
            continue
        looked_up += 1
        for one in package.get("vulns", []):
            mended = ", ".join(one.get("fix_versions") or ()) or "no version yet"
            names = ", ".join([one["id"], *(one.get("aliases") or ())])
            weak.append(f"{package['name']} {package['version']}: {names}; mended in {mended}")
    return weak, looked_up, skipped


def ask(pip_audit: str, pins: str, service: str) -> tuple[list[str], int, int, str]:
    """What a database says of pins: weaknesses, how many were looked up, how many it does not know, what went wrong."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "audit.json"
        command = [pip_audit, "--requirement", pins, "--no-deps", "--disable-pip", "--vulnerability-service", service]
        command += ["--format", "json", "--output", str(out), "--progress-spinner", "off", "--timeout", "20"]
        command += ["--cache-dir", scratch]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            told, said = (json.loads(out.read_text()) if out.is_file() else {}), run.stderr.strip()
        except (subprocess.TimeoutExpired, OSError, ValueError) as error:
            told, said = {}, str(error)
    why = said.splitlines()[-1][:200] if said else "it says nothing"
    return *read_audit(told), why


def weaknesses(pip_audit: str, pins: str) -> tuple[list[str], bool]:
    """Known weaknesses of pinned versions, and whether anybody could be asked; where nobody could, that is said.

    OSV is asked, else the package index's own list. Each is asked about one package first: a mirror of the index that
    knows no weaknesses says of every package that it is not there.
    """
    lines = Path(pins).read_text(encoding="utf-8").splitlines()
    one = next((line for line in lines if re.match(r"[A-Za-z0-9]", line)), "")
    silent = []
    for service in SERVICES:
        with tempfile.TemporaryDirectory() as scratch:
            (first := Path(scratch) / "one.txt").write_text(one + "\n", encoding="utf-8")
            _, looked_up, skipped, why = ask(pip_audit, str(first), service)
        if looked_up:
            weak, looked_up, skipped, why = ask(pip_audit, pins, service)
        if looked_up:
            say(f"audit: {looked_up} pinned packages looked up ({service}), {skipped} unknown, {len(weak)} weaknesses")
            return weak, True
        silent.append(f"{service}: {'it does not know ' + one if skipped else why}")
    say(f"audit: NOT CHECKED for known weaknesses: no advisory database answered ({'; '.join(silent)})")
    return [], False


def licences(packages: Iterable[Distribution]) -> list[str]:
    """Licences that are refused; the list of all is printed."""
    found = {str(package.metadata["Name"]): licence_of(package) for package in packages}
    by_licence: dict[str, list[str]] = {}
    for name, licence in found.items():
        by_licence.setdefault(licence or "not said", []).append(name)
    for licence, names in sorted(by_licence.items()):
        say(f"  {licence}: {', '.join(sorted(names, key=str.lower))}")
    say(f"audit: {len(found)} packages, {len(by_licence)} licences")
    return [f"{name}: {why}" for name, licence in sorted(found.items()) if (why := why_refused(name, licence))]


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


def main(pip_audit: str, pins: str) -> int:
    """Both; the exit code."""
    refused, (weak, asked) = licences(distributions()), weaknesses(pip_audit, pins)
    for line in refused:
        say(f"audit: REFUSED: {line}")
    for line in weak:
        say(f"audit: WEAK: {line}")
    unasked = not asked and bool(os.environ.get("AUDIT_REQUIRED"))
    return 1 if refused or weak or unasked else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
