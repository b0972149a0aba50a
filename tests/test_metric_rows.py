"""The rows of metrics.json: written, read back, and refused when they are something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from trackrec.errors import RunError
from trackrec.metrics.rows import MetricRow, read_metrics, write_metrics

ROW = MetricRow(
    arm="reccot – ohne", round=1, role="ranker", metric="auc", value=0.7, low=0.6, high=0.8, users=9, examples=90
)


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_metrics(path, [ROW])
    assert read_metrics(path) == [ROW]
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


def test_an_undefined_value_is_null(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_metrics(path, [MetricRow(arm="a", role="ranker", metric="auc", value=float("nan"), users=1, examples=1)])
    assert json.loads(path.read_text())[0]["value"] is None


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(ValidationError, match="valeu"):
        MetricRow.model_validate({**ROW.model_dump(), "valeu": 1})


@pytest.mark.parametrize(("text", "message"), [("[{", "Invalid JSON"), ('[{"arm": 3}]', "'0/arm'")])
def test_another_file_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(RunError, match=message):
        read_metrics(path)
