"""The table that a run ends with."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.made_run import write_made_run
from trackrec.metrics.rows import MetricRow
from trackrec.pipeline.summary import ARMS, print_summary, verdict

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
    assert "V with the RecCoT of round 2 less V tuned without any RecCoT" in text
    assert not [arm for arm in ARMS if arm in text]


def row(value: float, low: float, high: float, users: int, note: str) -> MetricRow:
    return MetricRow(
        arm="v_own", round=1, role="ranker", metric="auc_difference", value=value, low=low, high=high,
        users=users, examples=900, seed=1, note=note,
    )  # fmt: skip


def test_what_is_shown_is_said_apart_from_what_so_few_users_cannot_tell() -> None:
    rows = [
        row(0.04, 0.01, 0.07, 80, "v_own of round 1 less v_swapped of round 1"),
        row(0.01, -0.02, 0.04, 80, "v_own of round 1 less v_placeholder of round 1"),
        row(-0.03, -0.05, -0.01, 27, "din_own less din_no_text; DIN, 1 seeds"),
    ]
    lines = verdict(rows)
    assert lines[0] == (
        "Shown: V with the RecCoT of round 1 less V, another user's RecCoT of round 1: "
        "+0.040 [+0.010, +0.070] AUC, 80 users."
    )
    assert "V, RecCoT left out of round 1; DIN with the RecCoT less DIN without text." in lines[1]
    assert verdict(rows[1:])[0].startswith("Nothing is shown")
