"""The Feast export: its files say what the store holds, and Feast itself reads them back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.made_publication import made_row, write_publication
from trackrec.errors import StoreError
from trackrec.export.feast import export_feast
from trackrec.store.opening import open_store
from trackrec.store.publication import Publication, publish
from trackrec.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "store.sqlite"))
    rows = [made_row(user) for user in range(1, 6)]
    rows[4] |= {"vector": None, "raw_vector": None}
    publish(Publication(str(write_publication(tmp_path / "place", rows))), store)
    return store


def test_everybody_with_a_vector_is_in_it(store: Store, tmp_path: Path) -> None:
    assert export_feast(store, tmp_path / "feast") == 4
    people = pl.read_parquet(tmp_path / "feast" / "people.parquet")
    assert people["user_id"].to_list() == ["1", "2", "3", "4"]
    assert people["vector"][2].to_list() == pytest.approx(made_row(3)["vector"])
    assert people.schema["written"] == pl.Datetime("us", "UTC")
    with pytest.raises(StoreError, match="is there already"):
        export_feast(store, tmp_path / "feast")
    with pytest.raises(StoreError, match="no version 'two'"):
        export_feast(store, tmp_path / "other", "two")


@pytest.mark.slow
def test_feast_serves_it(store: Store, tmp_path: Path) -> None:
    """In an environment with Feast, named by TRACKREC_FEAST (its Python); Feast's pins are not ours."""
    python = os.environ.get("TRACKREC_FEAST", "/tmp/feast-env/bin/python")
    if not shutil.which(python):
        pytest.skip("Feast is not there: python -m venv ENV, ENV/bin/pip install feast, TRACKREC_FEAST=ENV/bin/python")
    out = tmp_path / "feast"
    export_feast(store, out)
    feast = str(Path(python).with_name("feast"))
    environment = {**os.environ, "FEAST_USAGE": "False"}
    environment.pop("PYTHONPATH", None)
    for command in ([feast, "apply"], [python, "example.py"]):
        done = subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2_000:]
    told = done.stdout.strip().splitlines()[-1]
    assert told.startswith("one 6 [")
    assert [float(value) for value in told[7:-1].split(",")] == pytest.approx(made_row(1)["vector"], abs=1e-6)
    assert sys.prefix not in python
