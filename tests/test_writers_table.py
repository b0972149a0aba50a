"""The table of what a text takes by each writer: its parts by hand, and that the page says what the files say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.writers import BOUGHT, KEPT, WRITERS, at_endpoints, on_an_h100, seconds_of, texts_by_writer

PAGE = Path(__file__).parents[1] / "docs" / "costs-writers.md"


def test_every_writer_has_a_text_of_each_of_five_users() -> None:
    found = texts_by_writer((KEPT / "texts.md").read_text(encoding="utf-8"))
    assert set(found) == {*WRITERS, BOUGHT}
    assert {tuple(texts) for texts in found.values()} == {(5, 157, 320, 805, 943)}
    assert found["aligned G"][157].startswith("This is a generous viewer")


def test_money_by_hand() -> None:
    """2.50 and 10 US dollars for a million tokens; an hour of the card at 2.00 and 2.90."""
    assert at_endpoints(800, 300)["gpt-4o"] == pytest.approx(800 * 2.5e-3 + 300 * 10e-3)
    assert on_an_h100(3.6) == pytest.approx({"H100 at 2 an hour": 2.0, "H100 at 2.9 an hour": 2.9})


def test_the_page_tells_the_seconds_of_the_manifests() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text(encoding="utf-8").splitlines()]
    for writer, stage in WRITERS.items():
        (row,) = [row for row in rows if row and re.sub(r", 135M$", "", row[0]) == writer]
        assert float(row[3].split(",")[0]) == float(f"{seconds_of(stage):.2g}"), writer
