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
from tests.test_forget import ZOE, make_run
from tests.test_forget_places import traces
from tests.writing_world import made_log, write_run
from tests.writing_world import publish as write_place
from trackrec.checks.label_page import label_page
from trackrec.engines.base import Usage
from trackrec.engines.cache import AnswerCache
from trackrec.store.opening import open_store

TEXT = "Likes films about bees that keep lighthouses."


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


def test_nothing_of_a_person_is_left_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run, a publication, a store, kept answers and batch files, all searched byte by byte and unpacked."""
    run = make_run(tmp_path / "run")
    pages = tmp_path / "run" / "checker"
    pages.mkdir()
    drawn = pl.DataFrame({"id": [0, 1], "user_id": [ZOE, "ann"], "sentence": [TEXT, "Likes drama."]})
    drawn.write_parquet(pages / "drawn.parquet")
    tasks = [{"id": n, "sentence": text, "history": []} for n, text in enumerate(drawn["sentence"])]
    (pages / "label.html").write_text(label_page("two", tasks), encoding="utf-8")
    written = pl.DataFrame({"user_id": [ZOE, "ann"], "text": [TEXT, "Likes drama."]})
    written.write_parquet(run / "tables" / "write-0.parquet")
    log, world = tmp_path / "log.parquet", write_run(tmp_path / "world")
    made_log(users=9).with_columns(user_id=pl.format("user-{}", "user_id")).with_columns(
        user_id=pl.col("user_id").replace("user-7", ZOE)
    ).write_parquet(log)
    place, store, cache = str(tmp_path / "place"), str(tmp_path / "store.sqlite"), tmp_path / "answers.sqlite"
    write_place(world, place, log)
    assert call(monkeypatch, "publish", place, "--to", store) == 0
    kept = AnswerCache(cache)
    keys = [f"{n:064x}" for n in range(2)]
    kept.link([(ZOE, keys[0]), ("ann", keys[1])])
    kept.put(keys[0], 0, [{"text": TEXT}], Usage(1, 1), Decimal(0), None, "model")
    batches = [tmp_path / "batch" / "batch-1.jsonl", run / "batch-1.jsonl", run / "teacher" / "out.jsonl"]
    for batch in batches:
        batch.parent.mkdir(exist_ok=True)
        lines = [
            json.dumps({"custom_id": f"{key}-0", "body": body}) for key, body in zip(keys, (TEXT, "x"), strict=True)
        ]
        batch.write_text("\n".join(lines) + "\n")
    log.unlink()
    everywhere = ("--run", str(run), "--place", place, "--store", store, "--cache", str(cache))
    assert len(traces(tmp_path, ZOE)) >= 8
    assert call(monkeypatch, "forget", ZOE, *everywhere, "--batch", str(tmp_path / "batch")) == 0
    told = capsys.readouterr().out
    assert "Removed 3 lines from 3 batch files" in told
    assert "Removed 1 rows from versions at" in told
    assert traces(tmp_path, ZOE) == []
    assert traces(tmp_path, TEXT) == []
    assert "Likes drama." in (pages / "label.html").read_text(encoding="utf-8")
    assert keys[1] in batches[0].read_text()
    assert call(monkeypatch, "forget", ZOE, *everywhere, "--batch", str(tmp_path / "batch")) == 0, "twice is no error"
    assert call(monkeypatch, "publish", place, "--to", str(tmp_path / "anew.sqlite")) == 0


def test_forget_must_be_pointed_at_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(monkeypatch, "forget", "7") == 1
    assert "nothing was named" in capsys.readouterr().err
    assert call(monkeypatch, "forget", "\udce9", "--place", str(tmp_path)) == 1
    assert "no text that a table can hold" in capsys.readouterr().err


def test_what_serving_needs_is_named_with_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert call(monkeypatch, "serve", "--store", str(tmp_path / "store.sqlite")) == 1
    assert "serving needs the package uvicorn: pip install 'trackrec[serve]'" in capsys.readouterr().err
