"""What a run's judge said of items, with a person's text and without it: read from the run, told of that text alone."""

from __future__ import annotations

from pathlib import Path

import httpx
import polars as pl
import pytest

from tests.made_service import USERS
from tests.running import running
from tests.test_run_texts import finished_run
from trackrec.serving.app import build_app
from trackrec.serving.client import Client
from trackrec.serving.run_texts import JudgedItems, RunTexts
from trackrec.serving.service import Service
from trackrec.serving.settings import ServiceSettings
from trackrec.store.objections import Objection, Rewriter, object_to
from trackrec.store.opening import open_store
from trackrec.store.publication import publish


def asked_run(folder: Path) -> Path:
    """A finished run whose judge was asked about items 1, 2 and 3 of each user but the last one."""
    run = finished_run(folder)
    keys = [(user, 1_000 + item, item) for user in range(1, USERS) for item in (1, 2, 3)]
    base = pl.DataFrame(keys, schema=["user_id", "event_id", "item_id"], orient="row")
    liked = base.with_columns(label=(pl.col("item_id") == 2).cast(pl.Int8))
    liked.write_parquet(run / "tables" / "targets.parquet")
    asked = liked.drop("item_id").with_columns(sample=pl.lit(0))
    for name, values in (
        ("test-own-1", [0.2, 0.9, 0.4]),
        ("test-own-0", [0.0, 0.0, 0.0]),
        ("test-placeholder", [0.5] * 3),
    ):
        told = asked.with_columns(yes_probability=pl.Series(values * (USERS - 1)))
        told.write_parquet(run / "tables" / f"{name}.parquet")
    return run


def test_answers_are_those_of_the_promoted_round(tmp_path: Path) -> None:
    run = asked_run(tmp_path / "run")
    judged = JudgedItems.of_run(run)
    assert judged is not None
    version = RunTexts(run).current()
    told = judged.of(7, version)
    assert [(one["item_id"], one["label"], one["with_text"], one["without_text"]) for one in told] == [
        (2, 1, 0.9, 0.5),
        (3, 0, 0.4, 0.5),
        (1, 0, 0.2, 0.5),
    ]
    assert judged.of("7", version) == told, "an id in a path is text"
    assert judged.of(7, "another") == [], "the judge did not read that text"
    assert judged.of(USERS, version) == []
    (run / "tables" / "test-placeholder.parquet").unlink()
    assert JudgedItems.of_run(run) is None
    (run / "vectors.parquet").unlink()
    assert JudgedItems.of_run(run) is None, "not finished"


def test_the_service_tells_them(tmp_path: Path) -> None:
    run = asked_run(tmp_path / "run")
    store = open_store(str(tmp_path / "store.sqlite"))
    publish(RunTexts(run), store)
    service = Service.of(store, ServiceSettings(rate=0), run)
    with running(build_app(service)) as address, httpx.Client(base_url=address, timeout=60) as client:
        told = client.get("/v1/users/7/judged").json()
        assert told["changed"] is False
        assert told["items"][0] == {
            "item_id": 2,
            "title": service.cards.title(2) if service.cards else None,
            "label": 1,
            "with_text": pytest.approx(0.9),
            "without_text": pytest.approx(0.5),
        }
        assert Client(address).judged(7).items[0].label == 1
        sentence = client.get("/v1/users/7").json()["sentences"][0]["text"]
        object_to(store, 7, Objection(kind="wrong", sentence=sentence), Rewriter(None, None))
        assert client.get("/v1/users/7/judged").json()["changed"] is True
        store.forget(7)
        assert client.get("/v1/users/7/judged").status_code == 404
        assert client.get(f"/v1/users/{USERS}/judged").json() == {"changed": False, "items": []}
