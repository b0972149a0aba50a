"""The README's Python is the file in examples/, and it runs on the embedded model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trackrec.pipeline.preflight import check_settings
from trackrec.recipe import load_recipe

ROOT = Path(__file__).resolve().parent.parent


def test_the_readme_shows_the_example() -> None:
    code = (ROOT / "examples" / "api.py").read_text(encoding="utf-8").split("\n\n", 1)[1]
    assert code.strip() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_recipe_with_a_served_teacher_can_run() -> None:
    recipe = load_recipe(ROOT / "examples" / "llm_teacher.yaml")
    check_settings(recipe)
    teacher: Any = recipe.teacher
    assert teacher.engine.base_url == "http://127.0.0.1:8080/v1"
    assert teacher.words == (28, 57), "it follows the budget of tokens"


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "api.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "has_reccot" in done.stdout
    assert "'pairs_kept'" in done.stdout
    assert (tmp_path / "runs" / "api" / "V" / "adapter_model.safetensors").is_file()
