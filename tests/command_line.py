"""Calling the command line from within the tests."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from trackrec.cli import main


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """What `trackrec` with these arguments exits with."""
    return _exit_status(monkeypatch, main, "trackrec", *arguments)


def call_research(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """What `python -m research` with these arguments exits with."""
    from research.__main__ import main as research_main

    return _exit_status(monkeypatch, research_main, "research", *arguments)


def _exit_status(monkeypatch: pytest.MonkeyPatch, entry: Callable[[], None], *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", list(arguments))
    try:
        entry()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
