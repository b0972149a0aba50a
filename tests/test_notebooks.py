"""The notebooks: kept without outputs, and they run from top to bottom on the embedded parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "notebooks"
SHOWN = {
    "own_reward": ["weight  0.0: the chosen texts have", "weight  5.0: the chosen texts have"],
    "one_user": ["supported", "contradicted", "30 in the history", "with text"],
    "vectors_in_a_ranker": ["no text", "own text", "somebody else's text"],
}
"""Of each notebook something that must be among its outputs."""


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]


def test_every_notebook_is_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_it_is_kept_without_outputs(name: str) -> None:
    for cell in read(name).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_it_runs(name: str, tmp_path: Path) -> None:
    from nbclient import NotebookClient

    notebook = read(name)
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    told = "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)
    for words in SHOWN[name]:
        assert words in told
