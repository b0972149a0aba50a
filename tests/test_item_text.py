"""The text of the item in the ranker of a run and of the service: a user's text then has something to meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
import torch
from described_tables import wrong_tables
from ranking_world import World
from safetensors.torch import load_file, save_file
from tiny_run import USERS, tiny_recipe, write_tiny_log

from tests.made_publication import DIMENSIONS, made_row, write_publication
from tests.running import running
from trackrec.errors import RunError
from trackrec.features.encoder import ITEM_VECTORS, TextEncoder
from trackrec.features.projection import Projection
from trackrec.metrics.probability import auc
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.features import ARMS, Features
from trackrec.progress import Reporter
from trackrec.rankers.arm import Arm, Inputs
from trackrec.rankers.compare import RankingSettings, compare_arms
from trackrec.rankers.fit import FitSettings
from trackrec.recipe import dump_recipe
from trackrec.run import Run
from trackrec.serving.app import build_app
from trackrec.serving.fitting import fit_for_store
from trackrec.serving.item_text import FILE
from trackrec.serving.ranker import ServingRanker, fit_serving_ranker
from trackrec.serving.service import Service
from trackrec.serving.settings import ServiceSettings
from trackrec.store.opening import open_store
from trackrec.store.publication import Publication, publish

KINDS, PEOPLE, ITEMS = 4, 120, 600
SETTINGS = RankingSettings(
    recent=0,
    seeds=1,
    folds=1,
    components=KINDS,
    item_text=True,
    item_components=KINDS,
    fit=FitSettings(epochs=15, patience=15, batch=128, learning_rate=0.01),
)


def told(kind: int, number: int) -> list[float]:
    """The vector of a text that tells a kind."""
    vector = np.random.default_rng(number).normal(0, 0.05, KINDS + 2)
    vector[kind] += 1
    return [float(value) for value in vector]


@pytest.fixture(scope="module")
def world() -> World:
    """User u likes the items i of one kind, u % 4 = i % 4. Half of the examples are such; most items are met thrice."""
    chance = np.random.default_rng(1)
    rows = []
    for user in range(PEOPLE):
        for number in range(12):
            label = number % 2
            kind = user % KINDS if label else (user + 1 + number // 2 % 3) % KINDS
            item = kind + KINDS * int(chance.integers(ITEMS // KINDS))
            rows.append((user, user * 100 + number, item, label, [], []))
    schema = ["user_id", "event_id", "item_id", "label", "recent_item_ids", "recent_ratings"]
    types = {"recent_item_ids": pl.List(pl.Int64), "recent_ratings": pl.List(pl.Float64)}
    folds = [user // KINDS % 3 for user in range(PEOPLE)]
    return World(
        histories=pl.DataFrame({"user_id": range(PEOPLE), "item_id": range(PEOPLE), "label": [1] * PEOPLE}),
        examples=pl.DataFrame(rows, schema=schema, orient="row", schema_overrides=types),
        items=pl.DataFrame({"item_id": range(ITEMS)}),
        roles=pl.DataFrame({"user_id": range(PEOPLE), "role": ["ranker"] * PEOPLE, "fold": folds}),
        habit={},
    )


USER_TEXTS = pl.DataFrame({"user_id": range(PEOPLE), "vector": [told(user % KINDS, user) for user in range(PEOPLE)]})
ITEM_TEXTS = pl.DataFrame({"item_id": range(ITEMS), "vector": [told(i % KINDS, 1000 + i) for i in range(ITEMS)]})


def test_the_texts_meet_and_neither_tells_by_itself(world: World) -> None:
    texts = (ITEM_TEXTS,)
    arms: dict[str, Inputs] = {
        "user": Arm(USER_TEXTS, True),
        "item": Arm(None, False, texts, KINDS),
        "both": Arm(USER_TEXTS, True, texts, KINDS),
    }
    found = compare_arms(world, world.roles, world.items, arms, SETTINGS, seed=0)
    aucs = {
        arm: auc(part["label"].to_numpy(), part["probability"].to_numpy()) for (arm,), part in found.group_by("arm")
    }
    assert aucs["both"] > 0.95, aucs
    assert max(aucs["user"], aucs["item"]) < 0.65, aucs


@pytest.fixture
def run(world: World, tmp_path: Path) -> Path:
    """The tables of that world as a run's; two of the items have no text."""
    (tmp_path / "tables").mkdir()
    unknown = pl.col("item_id").is_in([ITEMS - 1, ITEMS - 2])
    vectors = ITEM_TEXTS.with_columns(vector=pl.when(~unknown).then("vector"), has_text=~unknown)
    tables = {"examples": world.examples.filter(pl.col("item_id") < ITEMS - 40), "histories": world.histories}
    for name, table in (tables | {"items": world.items, ITEM_VECTORS: vectors}).items():
        table.write_parquet(tmp_path / "tables" / f"{name}.parquet")
    Projection(np.zeros(KINDS + 2, np.float32), np.eye(KINDS + 2, KINDS, dtype=np.float32)).save(
        tmp_path / "projection.safetensors"
    )
    return tmp_path


def fit(run: Path, **changes: Any) -> dict[str, Any]:
    (run / "ranker").mkdir(exist_ok=True)
    return fit_serving_ranker(run, USER_TEXTS, SETTINGS.model_copy(update=changes), run / "ranker", seed=1)


def test_the_service_places_items_that_nobody_met(run: Path) -> None:
    without = fit(run, item_text=False)
    assert not (run / "ranker" / FILE).exists()
    assert without["auc_with_text"] < 0.65, without
    figures = fit(run)
    assert figures["auc_with_text"] > 0.95, figures
    assert figures["auc_without_text"] < 0.65, figures
    ranker = ServingRanker(run / "ranker")
    new = list(range(ITEMS - 40, ITEMS - 2))
    raw = np.asarray(told(2, 7), dtype=np.float32)
    chances, _ = ranker.rank(raw, [], new)
    first = [new[place] % KINDS for place in np.argsort(-chances)[:8]]
    assert first == [2] * 8
    alone, _ = ranker.rank(raw, [], new[3:4])
    assert alone[0] == pytest.approx(chances[3], abs=1e-6), "a candidate's chance does not depend on the others"
    silent, _ = ranker.rank(raw, [], [ITEMS - 1, ITEMS - 2])
    assert np.isfinite(silent).all()
    lowest, highest = chances.min(), chances.max()
    assert ((silent > lowest) & (silent < highest)).all(), "nothing is known of an item without a text"
    nobody, same = ranker.rank(None, [], new)
    assert np.array_equal(nobody, same)


def test_vectors_that_are_not_the_rankers_own_are_refused(run: Path) -> None:
    fit(run)
    path = run / "ranker" / FILE
    tensors = load_file(path)
    for changed in (
        tensors | {"rows": tensors["rows"][:-1].clone()},
        tensors | {"rows": tensors["rows"] + ITEMS},
        tensors | {"values": tensors["values"][:, :-1].clone()},
        tensors | {"rows": tensors["rows"].float()},
        tensors | {"values": torch.zeros(())},
        {"values": tensors["values"]},
        tensors | {"rows": torch.zeros(0, 1, dtype=torch.int64)},
    ):
        save_file(changed, path)
        with pytest.raises(RunError, match=r"item-text\.safetensors holds .*fit the ranker anew"):
            ServingRanker(run / "ranker")
    path.unlink()
    with pytest.raises(RunError, match=r"reads items' texts, but .*holds no vectors.*fit the ranker anew"):
        ServingRanker(run / "ranker")
    (run / "tables" / f"{ITEM_VECTORS}.parquet").unlink()
    with pytest.raises(RunError, match="no table 'item-vectors'"):
        fit(run)


def test_a_run_s_ranker_and_the_service_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a log to ``/v1/rank``: only what a language model would have written is made up."""
    ranking = {"folds": 1, "seeds": 1, "item_text": True, "item_components": 5, "fit": {"epochs": 1}}
    recipe = tiny_recipe(tmp_path / "no-model-is-read", write_tiny_log(tmp_path / "log"), ranking=ranking)
    folder = tmp_path / "run"
    opened = Run(folder, Reporter(), recipe.seed)
    (folder / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    components = Components(recipe, opened, prepare(recipe, opened))
    rows = [made_row(user) for user in range(1, USERS + 1)]
    columns = {"user_id": "user_id", "vector": "vector", "raw_vector": "raw_vector"}
    vectors = pl.DataFrame({name: [row[key] for row in rows] for name, key in columns.items()})
    vectors.with_columns(has_reccot=True).write_parquet(folder / "vectors.parquet")
    Projection(np.zeros(DIMENSIONS, np.float32), np.eye(DIMENSIONS, 6, dtype=np.float32)).save(
        folder / "projection.safetensors"
    )
    Features(components, 0).compare()
    told = opened.read(ITEM_VECTORS)
    assert told.columns == ["item_id", "vector", "has_text"]
    assert told["item_id"].to_list() == components.dataset.items["item_id"].to_list()
    assert told["vector"].list.len().unique().to_list() == [DIMENSIONS]
    assert opened.read("din")["arm"].unique(maintain_order=True).to_list() == list(ARMS)
    assert wrong_tables(folder) == []
    assert "tables/item-vectors.parquet" in opened.manifest("din")["fingerprint"]["inputs"]
    store = open_store(str(tmp_path / "store.sqlite"), seconds=1.0)
    publish(Publication(str(write_publication(tmp_path / "place", rows))), store)
    fit_for_store(folder, store, "one")

    def never(*_: Any) -> Any:
        raise AssertionError("an encoder was asked in the request path")

    monkeypatch.setattr(TextEncoder, "encode", never)
    service = Service.of(store, ServiceSettings(rate=0.0), folder)
    assert service.ranker is not None
    assert service.ranker.sizes.texts == (6, 5)
    with running(build_app(service)) as address, httpx.Client(base_url=address, timeout=30) as client:
        answer = client.post("/v1/rank", json={"user_id": "7", "candidates": list(range(1, 41))}).json()
    assert answer["text"] == "used"
    assert len({item["probability"] for item in answer["items"]}) > 30
    assert any(item["probability"] != item["without_text"] for item in answer["items"])
