"""Text of logs and models on a terminal: shown, never obeyed; errors of the system in one line."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from command_line import call
from rich.progress import Progress
from rich.table import Table
from tiny import write_tiny_model
from writing_world import made_log, publish, write_run

from trackrec import cli
from trackrec.errors import AssetError, RecipeError, RunError, in_one_line
from trackrec.lm.model import LanguageModel, LanguageModelSettings
from trackrec.lm.settings import remote_code_is_trusted, trust_remote_code
from trackrec.progress import Reporter
from trackrec.recipe import make_recipe
from trackrec.terminal import HarmlessFormatter, Terminal, harmless

HOSTILE = [
    "\x1b[2J\x1b[31mred",  # clears the screen
    "\x1b]0;title\x07",  # renames the window
    "\x9b31m",  # the same in one character
    "\x1b]8;;http://bad\x1b\\here\x1b]8;;\x1b\\",  # a link
    "a\rb",
    "back\x08\x08",
    "\u202egnp.exe",
    "\udcff\udc9b",  # a file's name that is not in UTF-8
]


def terminal() -> tuple[Terminal, io.StringIO]:
    sink = io.StringIO()
    return Terminal(file=sink, force_terminal=True, color_system="truecolor", width=200), sink


def obeyed(text: str) -> list[str]:
    """Control characters but those of Rich's own colours."""
    import re

    return re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", re.sub(r"\x1b\[[0-9;]*m", "", text))


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_is_obeyed(text: str) -> None:
    console, sink = terminal()
    console.say(text)
    console.error(text)
    console.print(text, markup=False)
    table = Table("column " + text, title="title")
    table.add_row(text)
    console.print(table)
    Reporter(console).line(text, style="yellow")
    assert obeyed(sink.getvalue()) == []
    assert "\x1b[31mred" not in sink.getvalue()
    assert harmless(harmless(text)) == harmless(text)
    record = logging.LogRecord("trackrec.data", logging.INFO, "", 0, "column %s", (text,), None)
    assert obeyed(HarmlessFormatter("%(message)s").format(record)) == []


def test_a_progress_bar_still_moves() -> None:
    """Rich's own control codes, which draw over the line before, are left alone."""
    console, sink = terminal()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("reading", total=2)
        progress.advance(task)
        progress.refresh()
    assert "\x1b[2K" in sink.getvalue()
    assert "\\x1b" not in sink.getvalue()


@pytest.mark.parametrize(
    "text", ["pip install 'trackrec[sql]'", "[/bold] closing", "[bold red]loud", "a\\[b]", "[link=x]y"]
)
def test_brackets_are_no_markup(text: str) -> None:
    console, sink = terminal()
    console.error(text)
    Reporter(console).line(text)
    assert sink.getvalue().count(text) == 2


def test_names_between_colons_are_no_pictures() -> None:
    console, sink = terminal()
    console.say(":bomb: :x:")
    console.print("a :bomb: :x:", markup=False, highlight=False)
    table = Table(":bomb: :x:")
    table.add_row(":bomb: :x:")
    console.print(table)
    Reporter(console).line(":bomb: :x:")
    assert sink.getvalue().count(":bomb: :x:") == 5


def test_the_command_line_prints_hostile_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "run", "[/red]\x1b[2J") == 1
    assert "no recipe '[/red]" in capsys.readouterr().err
    assert call(monkeypatch, "explain", "1", "--run", "[bold]x") == 1
    assert "[bold]x holds no finished run" in capsys.readouterr().err
    table = pl.DataFrame({"user\x1b[31m": ["a", "b"], "item": [1, 2], "rating[/x]": [1, 5], "time": [1, 2]})
    table.write_csv(tmp_path / "log.csv")
    assert call(monkeypatch, "data", "check", "log.csv") == 1
    told = capsys.readouterr()
    assert obeyed(told.out + told.err) == []


@pytest.mark.parametrize("name", ["[/bold]x", "[bold red]x", "a\x1b[2Jb", "[link=y]x"])
def test_a_place_with_a_hostile_name(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Names of folders and versions are no markup either, in titles of tables as little as in lines."""
    run, log = write_run(tmp_path / "run"), tmp_path / "log.parquet"
    made_log(users=5).write_parquet(log)
    publish(run, tmp_path / name.replace("/", "|"), log, shards=1)
    monkeypatch.chdir(tmp_path)
    place = Path(name.replace("/", "|"))
    (place / "current.json").write_text(json.dumps({"version": name}))
    for command in ("status", "rollback"):
        assert call(monkeypatch, command, str(place)) == 0
        told = capsys.readouterr().out
        assert obeyed(told) == []
        assert command == "rollback" or harmless(name) in told


def test_what_the_system_refuses_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    cases = {
        "is a file: a run needs a folder": tmp_path / "file",
        "a file is where a folder was expected": tmp_path / "file" / "run",
        "the name is too long": tmp_path / ("n" * 300),
        "there is no such file": Path("/proc/1/nothing/run"),
    }
    for message, out in cases.items():
        assert call(monkeypatch, "run", "quick", "--out", str(out)) == 1
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
        assert str(out)[:15] in error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_full_or_closed_disk(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Refused where a run writes: at its first rename, by the file's name."""

    def refuse(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(os, "replace", refuse)
    assert call(monkeypatch, "run", "quick", "--out", str(tmp_path / "run")) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {tmp_path / 'run' / 'recipe.yaml'}: ")
    assert "--out" in error
    assert len(error.splitlines()) == 1


def test_the_system_s_errors_inside_those_of_libraries() -> None:
    assert "no space left" in (in_one_line(RuntimeError("I/O error: No space left on device (os error 28)")) or "")
    assert "no space left" in (in_one_line(ValueError("[Errno 28] No space left on device: 'x'")) or "")
    assert in_one_line(ValueError("shapes differ")) is None
    assert in_one_line(OSError("odd")) == "odd"
    assert in_one_line(PermissionError(errno.EACCES, "denied", "/x")) == (
        "/x: permission denied: choose a folder that you may write to (--out), or change its permissions"
    )


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main()


FAULT = """
import typer
from trackrec.cli import run_app

app = typer.Typer()

@app.command()
def fail() -> None:
    raise ValueError(chr(27) + "]0;renamed" + chr(7))

run_app(app)
"""
WORKER = """
import logging
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from trackrec.writing.executor import _begin

def work() -> None:
    logging.getLogger("trackrec.writing").warning("the engine %s failed", chr(27) + "]0;renamed" + chr(7))

if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin) as pool:
        pool.submit(work).result()
"""


@pytest.mark.parametrize("script", [FAULT, WORKER])
def test_nothing_is_obeyed_in_tracebacks_and_in_what_workers_log(script: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(script)
    run = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=False)
    assert "\\x1b]0;renamed\\x07" in run.stderr
    assert obeyed(run.stderr) == []


MODULE = """
import pathlib
pathlib.Path(__file__).with_name("ran").touch()
raise ImportError("only to see whether it runs")
"""


def test_a_model_s_own_code_runs_only_if_the_command_line_says_so(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    config = (folder / "config.json").read_text()
    own = '"auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}, "model_type": "own",'
    (folder / "config.json").write_text(config.replace('"model_type": "llama",', own))
    (folder / "own.py").write_text(MODULE)
    with pytest.raises(RecipeError, match=r"model: .*say --trust-remote-code on the command line"):
        make_recipe({"model": {"name": str(folder), "trust_remote_code": True}})
    assert make_recipe({"model": {"trust_remote_code": False}}).model == LanguageModelSettings()
    settings = LanguageModelSettings(name=str(folder), device="cpu", threads=1)
    with pytest.raises(AssetError, match="runs only with --trust-remote-code"):
        LanguageModel(settings)
    assert not list(tmp_path.rglob("ran"))
    trust_remote_code(True)
    try:
        with pytest.raises(ImportError, match="only to see whether it runs"):
            LanguageModel(settings)
    finally:
        trust_remote_code(False)


def test_each_command_starts_without_trust(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    call(monkeypatch, "explain", "1", "--run", "nowhere", "--trust-remote-code")
    assert remote_code_is_trusted()
    call(monkeypatch, "explain", "1", "--run", "nowhere")
    assert not remote_code_is_trusted()


def test_a_run_cannot_be_a_file(tmp_path: Path) -> None:
    from trackrec.pipeline.job import open_run

    (tmp_path / "x").write_text("")
    with pytest.raises(RunError, match="is a file: a run needs a folder"):
        open_run(make_recipe({}), tmp_path / "x", Reporter())
