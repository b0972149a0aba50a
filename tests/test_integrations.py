"""The checks of neighbours' libraries: each has its row in the page, and its script is there and parses."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "integrations"


@pytest.fixture(scope="module")
def driver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("integrations", FOLDER / "__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def rows(page: str) -> dict[str, list[str]]:
    """First cell of each row of the page's first table, and the others."""
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:2] == "| "]
    return {cells[0]: cells[1:] for cells in found if len(cells) == 5}


def test_every_check_has_a_result_in_the_page(driver: ModuleType) -> None:
    table = rows((ROOT / "docs" / "integrations.md").read_text(encoding="utf-8"))
    for name, check in driver.CHECKS.items():
        used, did, found, day = table[name]
        assert did == check.did, name
        if found == "not run yet":
            assert (used, day) == (check.package, ""), name
            continue
        assert used.startswith(f"{check.package} "), name
        assert found, name
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", day), name


def test_every_script_belongs_to_a_check(driver: ModuleType) -> None:
    scripts = {path.name for path in FOLDER.glob("*.py")} - {"__main__.py"}
    assert scripts == {check.script for check in driver.CHECKS.values() if check.script}
    for script in scripts:
        ast.parse((FOLDER / script).read_text(encoding="utf-8"))
    for name, check in driver.CHECKS.items():
        assert bool(check.script) != bool(check.tests), name
        for test in check.tests:
            assert not test.endswith(".py") or (ROOT / test).is_file(), name


def test_a_result_goes_into_its_own_row(driver: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Works with\n| ray | | | | |\n| redis | 7 | it | ran | once |\nEnd\n", encoding="utf-8")
    monkeypatch.setattr(driver, "PAGE", page)
    driver.write_page({"ray": ["ray 2", "counts", "rows 3", "2026-01-01"]})
    assert page.read_text(encoding="utf-8") == (
        "# Works with\n| ray | ray 2 | counts | rows 3 | 2026-01-01 |\n| redis | 7 | it | ran | once |\nEnd\n"
    )
