"""The command line: errors made for users are one line and an exit code, never a traceback."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import typer
import yaml

from trackrec.cli import app, main


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["trackrec", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "moviland"], "no recipe 'moviland'"),
        (["run", "quick", "--set", "loop.round=1"], "the nearest known one is 'loop.rounds'"),
        (["run", "quick", "--set", "prompts.domain=film"], "prompts.domain is 'film', which is no known domain"),
        (["run", "quick", "--set", "prompts.domain=gone.yaml"], "names the file gone.yaml, which cannot be read"),
        (["explain", "1", "--run", "nowhere"], "holds no finished run"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error:")
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "runs").exists()


def test_settings_prints_a_recipe_that_yaml_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "settings", "paper") == 0
    assert yaml.safe_load(capsys.readouterr().out)["loop"]["samples_per_user"] == 10
    assert call(monkeypatch, "settings", "paper", "--set", "loop.samples_per_user=3") == 0
    assert yaml.safe_load(capsys.readouterr().out)["loop"]["samples_per_user"] == 3


def test_help_is_one_screen_grouped_by_what_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert call(monkeypatch, "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 50, "a screen"
    panels = [re.match(r"╭─ (.+?) ─", line) for line in lines]
    groups = ["Options", "Prepare", "Train", "Check", "Write and keep", "Use", "Export"]
    assert [panel[1] for panel in panels if panel] == groups
    rows = lines[next(number for number, line in enumerate(lines) if "Prepare" in line) :]
    commands = [line for line in rows if line.startswith("│")]
    assert len(commands) == len(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert all(re.match(r"│ [a-z-]+ +[A-Z]", line) for line in commands), "each says what it is for on its line"
