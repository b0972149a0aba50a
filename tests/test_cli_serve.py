"""publish, serve and the store's commands from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import call
from tests.made_publication import made_row, write_publication
from tests.made_service import USERS, made_run
from trackrec.store.opening import open_store


def test_from_a_publication_to_a_store_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, place = str(tmp_path / "store.sqlite"), tmp_path / "place"
    run = made_run(tmp_path / "run")
    (run / "recipe.yaml").write_text("name: made\nranking:\n  components: 4\n  fit:\n    epochs: 1\n")
    for version in ("one", "two"):
        write_publication(place, [made_row(user, version) for user in range(1, USERS + 1)], version)
        assert call(monkeypatch, "publish", str(place), "--to", store, "--run", str(run)) == 0
    told = capsys.readouterr().out
    assert "serves 'two': 60 people." in told
    assert told.count("AUC") == 1, "the ranker is fitted once"
    assert (run / "ranker" / "ranker.safetensors").is_file()
    assert call(monkeypatch, "store", "rollback", "--store", store) == 0
    assert open_store(store).state().current == "one"
    assert call(monkeypatch, "store", "switch", "two", "--store", store) == 0
    assert call(monkeypatch, "store", "versions", "--store", store) == 0
    assert "before" in capsys.readouterr().out
    out = tmp_path / "held.json"
    assert call(monkeypatch, "store", "person", "7", "--store", store, "--out", str(out)) == 0
    assert set(json.loads(out.read_text())["versions"]) == {"one", "two"}
    assert call(monkeypatch, "store", "forget", "7", "--store", store) == 0
    assert call(monkeypatch, "store", "person", "7", "--store", store) == 1
    assert call(monkeypatch, "store", "feast", "--store", store, "--out", str(tmp_path / "feast")) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("serve", "--store", "STORE", "--host", "0.0.0.0"), "TRACKREC_TOKEN holds no token"),
        (("serve", "--store", "STORE", "--set", "rat=1"), "there is no setting 'rat'"),
        (("serve", "--store", "STORE", "--set", "rate=fast"), "rate is 'fast'"),
        (("serve", "--store", "gone.sqlite", "--read-only"), "there is no store"),
        (("serve", "--store", "STORE", "--run", "nowhere"), "no table of items"),
        (("publish", "nowhere", "--to", "STORE"), "holds no publication"),
        (("monitor", "--store", "STORE"), "serves no version"),
        (("store", "rollback", "--store", "STORE"), "nothing to go back to"),
        (("store", "switch", "one", "--store", "STORE"), "no version 'one'"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("TRACKREC_TOKEN", raising=False)
    store = str(tmp_path / "store.sqlite")
    assert call(monkeypatch, *(store if part == "STORE" else part for part in arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error:")
    assert message in error
    assert "Traceback" not in error
