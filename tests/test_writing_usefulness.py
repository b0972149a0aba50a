"""The gate on usefulness: texts that went to other users are refused, right ones pass, and it says why it is off."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from writing_world import GENRES, job, made_log, publish, rows_of, write_run

from trackrec.data.feedback import FeedbackSettings
from trackrec.errors import GateError
from trackrec.features.projection import Projection
from trackrec.rankers.compare import RankingSettings
from trackrec.serving.ranker import ServingRanker, fit_serving_ranker
from trackrec.writing.executor import LocalExecutor, LocalSettings
from trackrec.writing.gates import GateSettings
from trackrec.writing.place import Place
from trackrec.writing.shard import _TOOLS, make_writer
from trackrec.writing.usefulness import ShardsOf, compare
from trackrec.writing.versions import Versions, publication_status
from trackrec.writing.writing_recipe import WritingRecipe

USERS, EARLY, LATE, ITEMS = 120, 10, 8, 40
LATER = 1_650_000_000


def genres_of(item: int) -> set[str]:
    """As the run's catalogue has them."""
    return {GENRES[item % 4], GENRES[(item // 4) % 4]}


def planted_log() -> pl.DataFrame:
    """Everybody likes one genre and nothing else, early and late."""
    rng = np.random.default_rng(5)
    rows = [
        (user, int(item), 5.0 if GENRES[user % 4] in genres_of(int(item)) else 1.0, begin + 1000 * place)
        for user in range(1, 2 * USERS + 1)
        for items in [rng.permutation(ITEMS)[: EARLY + LATE] + 1]
        for begin, some in ((1_600_000_000, items[:EARLY]), (LATER, items[EARLY:]))
        for place, item in enumerate(some)
    ]
    return pl.DataFrame(rows, schema=made_log(users=1).schema, orient="row").sort("timestamp", "user_id")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run with a ranker that was fitted on the texts and later events of some users, and the log of others."""
    folder = tmp_path_factory.mktemp("world")
    run, log = write_run(folder / "run", items=ITEMS), planted_log()
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["encoder"]["name"] = "hashing"
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    others, log = log.filter(pl.col("user_id") > USERS), log.filter(pl.col("user_id") <= USERS)
    others.filter(pl.col("timestamp") < LATER).write_parquet(folder / "early.parquet")
    others.write_parquet(folder / "all.parquet")
    log.filter(pl.col("timestamp") < LATER).write_parquet(folder / "study.parquet")
    texts = rows_of(Place(str(folder / "first")), publish(run, folder / "first", folder / "study.parquet"))
    raw = np.asarray(texts["raw_vector"].to_list(), dtype=np.float32)
    study = folder / "study"
    (study / "tables").mkdir(parents=True)
    shutil.copy(run / "tables" / "items.parquet", study / "tables" / "items.parquet")
    told = np.asarray([[float(user % 4 == number) for number in range(4)] for user in texts["user_id"]])
    Projection.fit(raw, components=4, numbers=told).save(study / "projection.safetensors")
    shutil.copy(study / "projection.safetensors", run / "projection.safetensors")
    marked = log.with_columns((pl.col("rating") > 3).cast(pl.Int8).alias("label")).with_row_index("event_id")
    early = marked.filter(pl.col("timestamp") < LATER).with_columns(
        pl.int_range(pl.len()).over("user_id").alias("position")
    )
    early.write_parquet(study / "tables" / "histories.parquet")
    # The newest events are the same for all: whom they like, the ranker can learn from the texts alone.
    examples = marked.filter(pl.col("timestamp") >= LATER).with_columns(
        pl.lit([1, 2]).alias("recent_item_ids"), pl.lit([3.0, 4.0]).alias("recent_ratings")
    )
    examples.write_parquet(study / "tables" / "examples.parquet")
    settings = RankingSettings(backbone="din", components=4)
    fit = settings.fit.model_copy(update={"epochs": 25, "patience": 25, "batch": 128, "learning_rate": 0.01})
    vectors = texts.select("user_id", pl.col("raw_vector").alias("vector"))
    fit_serving_ranker(study, vectors, settings.model_copy(update={"fit": fit}), run / "ranker", seed=1)
    return {"run": run, "early": folder / "early.parquet", "all": folder / "all.parquet"}


def ranker_of(run: Path) -> ServingRanker:
    return ServingRanker(run / "ranker")


class Shuffled:
    """Each user gets the text of the one before."""

    name = "shuffled"

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write(self, histories: pl.DataFrame) -> pl.DataFrame:
        texts = self._writer.write(histories)
        return texts.with_columns(pl.col("text").shift(1).fill_null(texts["text"][-1]))


def gate_of(manifest: dict[str, Any]) -> dict[str, Any]:
    (found,) = [gate for gate in manifest["gates"]["gates"] if gate["name"] == "usefulness"]
    return dict(found)


@pytest.fixture
def published(world: dict[str, Path], tmp_path: Path) -> Path:
    """The first version, from early events."""
    _TOOLS.clear()
    first = publish(world["run"], tmp_path / "to", world["early"], checked=0.0, open_judge=ranker_of)
    assert gate_of(first)["says"] == "usefulness: not looked at: there is no version before"
    return tmp_path / "to"


def test_texts_of_other_users_are_refused(
    world: dict[str, Path], published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackrec.writing.shard.make_writer", lambda *told: Shuffled(make_writer(*told)))
    with pytest.raises(
        GateError, match=r"events of 120 users after version 000001: AUC .* surely worse by more than 0.0050"
    ):
        publish(world["run"], published, world["all"], checked=0.0, open_judge=ranker_of)
    _TOOLS.clear()
    place = Place(str(published))
    assert Versions(place).current() == "000001"
    refused = Versions(place).manifest("000002")
    assert refused is not None
    assert [gate["name"] for gate in refused["gates"]["gates"] if not gate["passed"]] == ["usefulness"]
    assert gate_of(refused)["value"] < -0.1, (gate_of(refused), ranker_of(world["run"]).figures)
    assert publication_status(place)["versions"][1]["state"] == "refused"


@pytest.mark.parametrize("shards", [4, 3])
def test_right_texts_pass(shards: int, world: dict[str, Path], published: Path) -> None:
    second = publish(world["run"], published, world["all"], shards=shards, checked=0.0, open_judge=ranker_of)
    gate = gate_of(second)
    assert gate["passed"]
    assert gate["says"].startswith("960 events of 120 users after version 000001: AUC 0."), gate["says"]
    assert gate["value"] > -0.05


def test_nobody_new_is_nothing_to_compare(world: dict[str, Path], published: Path) -> None:
    told = {"only_changed": True, "shards": None, "checked": 0.0, "open_judge": ranker_of}
    second = publish(world["run"], published, world["early"], **told)
    assert gate_of(second)["says"].endswith(
        "0 users were written for anew and have events after version 000001, 30 needed"
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"open_judge": None}, "nobody was named who can predict"),
        ({"gates": GateSettings(usefulness_drop=None)}, "there is no limit"),
        ({"encoder": "none"}, "the ranker reads vectors of hashing, these are of hashing and none"),
        ({"raw_vectors": False}, "0 users were written for anew"),
    ],
)
def test_it_says_why_it_is_off(changes: dict[str, Any], why: str, world: dict[str, Path], published: Path) -> None:
    told = {"checked": 0.0, "open_judge": ranker_of} | changes
    assert why in gate_of(publish(world["run"], published, world["all"], **told))["says"]


def test_a_run_without_a_ranker(world: dict[str, Path], published: Path, tmp_path: Path) -> None:
    from trackrec.cli_write import _ranker_of

    shutil.copytree(world["run"], tmp_path / "bare", ignore=shutil.ignore_patterns("ranker"))
    settings = {"checked": 0.0, "open_judge": _ranker_of}
    second = job(tmp_path / "bare", published, world["all"], **settings).run(LocalExecutor(LocalSettings(workers=0)))
    assert gate_of(second)["passed"]
    assert gate_of(second)["says"].endswith("has no ranker yet: trackrec publish --run fits one")


def test_an_implicit_log_gets_items_that_nobody_touched(world: dict[str, Path], published: Path) -> None:
    """All that such a log tells are likes: as many popular items stand beside them."""
    place, told = Place(str(published)), WritingRecipe.read(world["run"] / "recipe.yaml")
    second = publish(world["run"], published, world["all"], checked=0.0)
    first = Versions(place).manifest("000001")
    assert first is not None
    implicit = told.model_copy(update={"feedback": FeedbackSettings(kind="implicit")})
    sides = [ShardsOf(manifest["version"], manifest["shards"]) for manifest in (second, first)]
    found = compare(place, *sides, ranker_of(world["run"]), implicit, wanted=50)
    assert found.users == 50
    assert found.events == 50 * 2 * LATE
    assert found.low <= found.gain <= found.high
