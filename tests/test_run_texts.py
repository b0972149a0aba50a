"""A run's own texts in a store, and the demo that ends with the line that serves them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from tests.command_line import call
from tests.made_publication import made_row
from tests.made_service import USERS, made_run
from tests.running import running
from tests.tiny_run import write_tiny_log
from trackrec.errors import RunError
from trackrec.files.hashes import file_hash
from trackrec.serving.app import build_app
from trackrec.serving.cards import Cards
from trackrec.serving.run_texts import OWN_STORE, RunTexts
from trackrec.serving.service import Service
from trackrec.serving.settings import ServiceSettings
from trackrec.store.opening import open_store


def finished_run(folder: Path, name: str = "made") -> Path:
    """A run that promoted round 1, and wrote there for everybody but user 3."""
    run = made_run(folder)
    told = {"components": 4, "examples_per_user": 5, "fit": {"epochs": 1}}
    (run / "recipe.yaml").write_text(json.dumps({"name": name, "ranking": told}))
    rows: list[dict[str, Any]] = []
    for user in range(1, USERS + 1):
        loved = made_row(user)["sentences"][0]["text"].split(" [")[0] + "."
        for number, text in ((0, "An older text."), (1, "" if user == 3 else f"{loved} Nothing else is known.")):
            rows.append({"user_id": user, "kind": "kept", "round": number, "text": text})
        rows.append({"user_id": user, "kind": "sample", "round": 1, "text": "Not chosen."})
    pl.DataFrame(rows).write_parquet(run / "reccots.parquet")
    vectors = [made_row(user) for user in range(1, USERS + 1)]
    table = {name: [row[name] if row["user_id"] != 3 else None for row in vectors] for name in ("vector", "raw_vector")}
    pl.DataFrame({"user_id": range(1, USERS + 1), **table}).write_parquet(run / "vectors.parquet")
    manifest = {"fingerprint": {"settings": {}}, "counts": {"promoted": 1}, "seconds": 1.0}
    (run / "manifests").mkdir()
    for stage in ("promote", "reccots", "vectors"):
        files = [path for path in (run / f"{stage}.parquet",) if path.is_file()]
        outputs = {"outputs": {path.name: file_hash(path) for path in files}}
        (run / "manifests" / f"{stage}.json").write_text(json.dumps(manifest | outputs))
    return run


def test_a_runs_own_texts_are_published_with_what_they_rest_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished_run(tmp_path / "my run")
    store = run / OWN_STORE
    assert call(monkeypatch, "publish", str(run), "--to", str(store)) == 0
    told = capsys.readouterr().out.replace("\n", " ")
    version = RunTexts(run).current()
    assert re.fullmatch(r"made-[0-9a-f]{8}", version)
    assert f"serves '{version}': 59 people." in told
    line = shlex.split(told.split("Look at it: ")[1])
    assert line == ["trackrec", "serve", "--store", str(store), "--run", str(run)]
    reading = open_store(str(store)).read([7, 3, 9])
    assert reading.version == version
    assert reading.found[1] is None, "nothing was written for this user"
    found = reading.found[0]
    assert found is not None
    assert [one.text for one in found.record.sentences] == ["This viewer enjoys Thriller.", "Nothing else is known."]
    assert [one.verdict for one in found.record.sentences] == ["supported", "not_checkable"]
    liked = made_row(7)["sentences"][0]["events"]
    assert set(liked) & set(found.record.sentences[0].events)
    assert [event.item_id for event in found.record.history] == [event["item_id"] for event in made_row(7)["history"]]
    assert found.record.raw_vector is not None
    assert found.record.raw_vector.tolist() == pytest.approx(made_row(7)["raw_vector"])
    serving = json.loads((run / "ranker" / "serving.json").read_text())
    assert 0 < serving["figures"]["examples"] <= 5 * USERS, "the recipe's examples_per_user holds here too"
    # The same again is no second version, and forgetting reaches a store in the run's folder by itself.
    assert call(monkeypatch, "publish", str(run), "--to", str(store)) == 0
    assert list(open_store(str(store)).state().versions) == [version]


@pytest.mark.parametrize("name", ["reccots", "vectors"])
def test_what_the_run_did_not_write_is_not_published(name: str, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    pl.read_parquet(run / f"{name}.parquet").head(5).write_parquet(run / f"{name}.parquet")
    with pytest.raises(RunError, match=rf"{name}\.parquet is not what its stage wrote"):
        list(RunTexts(run).records(RunTexts(run).current()))


def test_a_run_that_is_not_finished_has_nothing_to_publish(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    (run / "recipe.yaml").write_text("name: made\n")
    with pytest.raises(RunError, match=r"no finished run \(no reccots\.parquet\): start its recipe again"):
        RunTexts(run)


def test_cards_that_ship_are_for_the_log_that_they_speak_of(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    items = pl.read_parquet(run / "tables" / "items.parquet")
    (run / "recipe.yaml").write_text("name: made\nsource: {source: movielens-100k}\n")
    assert Cards.shipped_for(run) is None, "these items have cards of their own"
    items.select("item_id", "title").write_parquet(run / "tables" / "items.parquet")
    assert Cards.shipped_for(run) == "movielens-100k"
    card = Cards.of_run(run, "movielens-100k").get(1)
    assert card is not None
    assert card["tags"]
    (run / "recipe.yaml").write_text("name: made\nsource: {source: csv}\n")
    assert Cards.shipped_for(run) is None


@pytest.mark.slow
def test_the_demo_ends_with_the_line_that_serves_what_it_made(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, log = tmp_path / "demo", write_tiny_log(tmp_path / "log")
    changes = {"model.name": tiny_model_folder, "source.folder": log, "roles.lm_users": 8, "roles.lm_extra_users": 8}
    changes |= {"roles.lm_validation_users": 4, "adapter.rank": 4, "model.threads": 1, "loop.rounds": 1}
    changes |= {"over_budget_share": 1.0}  # the tiny tokenizer makes many tokens of a word
    arguments = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
    assert call(monkeypatch, "demo", "--quick", "--out", str(run), *arguments) == 0
    last = capsys.readouterr().out.replace("\n", " ").split("Look at it: ")[1]
    line = shlex.split(last)
    assert line[:2] == ["trackrec", "serve"]
    given = dict(zip(line[2::2], line[3::2], strict=True))
    assert given == {"--store": str(run / OWN_STORE), "--run": str(run), "--cards": "movielens-100k"}
    service = Service.of(open_store(given["--store"]), ServiceSettings(), run, given["--cards"])
    with running(build_app(service)) as address, httpx.Client(base_url=address, timeout=30) as client:
        ids = client.get("/v1/users?limit=50").json()["ids"]
        wrote = pl.read_parquet(run / "reccots.parquet").filter(pl.col("kind") == "kept")["user_id"].n_unique()
        assert 0 < len(ids) <= wrote
        told = client.get(f"/v1/users/{ids[0]}?cards=true").json()
        assert told["text"]
        assert told["history"][0]["item"]["title"].startswith("Film ")
        ranked = client.post("/v1/rank", json={"user_id": ids[0], "top": 5}).json()
        assert (ranked["text"], len(ranked["items"])) == ("used", 5)
    person = ids[0]
    assert call(monkeypatch, "forget", person, "--run", str(run)) == 0
    assert open_store(given["--store"]).read([person]).found == [None], "forgetting reaches the run's own store"
