"""Logs whose bytes were changed at random, in five forms: read or refused with a sentence, in time."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attack.size import times

pytestmark = pytest.mark.slow
SECONDS = 1.0
"""A log, on average; one takes some 30 ms."""


def test_logs_with_changed_bytes() -> None:
    number = times(3000)
    script = Path(__file__).with_name("fuzz_logs.py")
    started = [sys.executable, str(script), "0", str(number)]
    run = subprocess.run(started, capture_output=True, text=True, timeout=60 + SECONDS * number, check=False)
    assert run.returncode == 0, f"the process died at {run.stdout.splitlines()[-1]}: {run.stderr[-2000:]}"
    lines = run.stdout.splitlines()
    assert [f"{before}: {line}" for before, line in itertools.pairwise(lines) if "FAULT" in line] == []
    assert lines.count("read") + lines.count("refused") == number
    assert min(lines.count("read"), lines.count("refused")) > number / 20
