"""The table that a run ends with."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.made_run import write_made_run
from trackrec.pipeline.summary import ARMS, print_summary

INTERVAL = re.compile(r"\[[+-]?\d\.\d{3}, [+-]?\d\.\d{3}\]")


@pytest.mark.parametrize("width", [80, 118, 200])
def test_no_interval_is_broken_whatever_the_width(width: int, tmp_path: Path) -> None:
    run = write_made_run(tmp_path / "run")
    console = Console(record=True, width=width, file=io.StringIO())
    print_summary(run, console)
    text = console.export_text()
    table = text[: text.index("└")]
    assert len(INTERVAL.findall(table)) == table.count("[") > 20
    for line in text.splitlines():
        assert len(line) <= width


def test_arms_have_their_names_below_the_table_too(tmp_path: Path) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    print_summary(write_made_run(tmp_path / "run"), console)
    text = console.export_text()
    assert "AUC, V with the RecCoT of round 2 less V tuned without any RecCoT: +0.018 [-0.013, +0.048]" in text
    assert not [arm for arm in ARMS if arm in text]
