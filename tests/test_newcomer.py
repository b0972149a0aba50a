"""A newcomer's own CSV, not about films: from ``data check`` to a finished run by the printed command alone."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command_line import call
from tiny_run import tiny_recipe


def write_shop(path: Path) -> None:
    """Plants that 34 customers bought and rated, in a table of their own words."""
    rng = np.random.default_rng(5)
    lines = ["customer,sku,product name,stars,ordered on,notes"]
    for customer in range(34):
        for step, sku in enumerate(rng.permutation(40)[:24]):
            stars = 5 if (sku % 2 == customer % 2) != (rng.random() < 0.2) else 2
            day = f"2023-{1 + step // 20:02}-{1 + step % 20:02}"
            lines.append(f'K{customer},P{sku},"Fern, no. {sku}",{stars},{day}T12:00:00Z,')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_the_printed_command_ends_in_a_report(
    tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_shop(tmp_path / "plants.csv")
    # The tiny model in place of the embedded one, and its sizes: no more than a model of one's own would ask for.
    tiny = tiny_recipe(tiny_model_folder, tmp_path)
    small = tiny.model_dump(mode="json", exclude_unset=True, exclude={"name", "source"})
    sets = [word for name, value in flat(small).items() for word in ("--set", f"{name}={value}")]
    columns = ["--column", "timestamp=ordered on"]
    assert call(monkeypatch, "data", "check", "plants.csv", *columns, *sets) == 0
    said = capsys.readouterr().out
    command = re.search(r"^\s*(trackrec run \S*plants\.recipe\.yaml.*?)\s*$", said, re.MULTILINE)
    assert command, said
    assert call(monkeypatch, *shlex.split(command.group(1))[1:]) == 0
    reports = list(tmp_path.rglob("report/index.html"))
    assert len(reports) == 1
    texts = pl.read_parquet(reports[0].parents[1] / "reccots.parquet")
    assert texts["user_id"].str.starts_with("K").all()


def flat(tree: dict[str, object], before: str = "") -> dict[str, object]:
    """The settings of a tree as ``a.b.c: value``."""
    found: dict[str, object] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{before}{name}.")
        elif value is not None:
            found[f"{before}{name}"] = str(value).lower() if isinstance(value, bool) else value
    return found
