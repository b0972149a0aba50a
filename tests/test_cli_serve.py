"""publish, serve and the store's commands from the command line."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.command_line import call
from tests.made_publication import made_row, write_publication
from tests.made_run import LM, write_made_run
from tests.made_service import USERS, made_run
from trackrec.engines.base import Usage
from trackrec.engines.cache import AnswerCache
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


def test_forget_reaches_the_run_and_the_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, user = write_made_run(tmp_path / "run"), LM[0]
    stores = [str(tmp_path / f"{name}.sqlite") for name in ("a", "b")]
    place = write_publication(tmp_path / "place", [made_row(user), made_row(user + 1)])
    for store in stores:
        assert call(monkeypatch, "publish", str(place), "--to", store) == 0
    assert call(monkeypatch, "forget", str(user), "--run", str(run), "--store", stores[0], "--store", stores[1]) == 0
    assert capsys.readouterr().out.count("Removed 1 entries") == 2
    for store in stores:
        found = open_store(store).read([user, user + 1]).found
        assert found[0] is None
        assert found[1] is not None
    histories = pl.read_parquet(run / "tables" / "histories.parquet")
    assert user not in histories["user_id"].to_list()


def test_forget_reaches_kept_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, user = write_made_run(tmp_path / "run"), LM[0]
    file = tmp_path / "answers.sqlite"
    cache = AnswerCache(file)
    bill = (Usage(1, 1), Decimal(0), None, "model")
    for subject, key in ((user, "mine"), (user + 1, "another's")):
        cache.link([(str(subject), key)])
        cache.put(key, 0, [{"text": "likes westerns"}], *bill)
    assert call(monkeypatch, "forget", str(user), "--run", str(run), "--cache", str(tmp_path / "none")) == 1
    assert "where there is no file" in capsys.readouterr().err
    assert call(monkeypatch, "forget", str(user), "--run", str(run), "--cache", str(file)) == 0
    assert "Removed 1 answers" in capsys.readouterr().out
    assert cache.get("mine", 1) == []
    assert len(cache.get("another's", 1)) == 1


def test_what_serving_needs_is_named_with_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert call(monkeypatch, "serve", "--store", str(tmp_path / "store.sqlite")) == 1
    assert "serving needs the package uvicorn: pip install 'trackrec[serve]'" in capsys.readouterr().err
