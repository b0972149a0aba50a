"""Calling the command line from within the tests."""

from __future__ import annotations

import sys

import pytest

from trackrec.cli import main


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """What `trackrec` with these arguments exits with."""
    monkeypatch.setattr(sys, "argv", ["trackrec", *arguments])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
