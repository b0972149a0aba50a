"""The rows about truth: which users each measure read, and that a text which says little takes no interval away."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.metrics import MetricRow
from trackrec.pipeline.job import open_run
from trackrec.pipeline.truth import Truth
from trackrec.pipeline.world import World, prepare
from trackrec.progress import Reporter

WORDS = ("", "Drama.", "They enjoyed {liked}.")
"""What the users are told in turn: nothing, one word, a title that they liked."""


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """A run in which all users have a text of round 0, and the tested ones a text of round 1."""
    folder = tmp_path_factory.mktemp("truth")
    recipe = tiny_recipe(Path("no-model-is-read"), write_tiny_log(folder / "log"))
    run = open_run(recipe, folder / "run", Reporter())
    world = prepare(recipe, run)
    titles = {item: title.rpartition(" (")[0] for item, title in world.items.select("item_id", "title").iter_rows()}
    rows = []
    for place, (user, history) in enumerate(world.history_rows.items()):
        liked = titles[next(row["item_id"] for row in history if row["label"])]
        text = WORDS[place % 3].format(liked=liked)
        for number in (0, 1) if user in {*world.users("lm_validation"), *world.evaluated} else (0,):
            rows.append({"user_id": user, "round": number, "kind": "kept", "sample": 0, "text": text, "grounded": None})
    pl.DataFrame(rows, schema_overrides={"grounded": pl.Float64}).write_parquet(run.folder / "reccots.parquet")
    return Truth(recipe, run, world)


@pytest.fixture(scope="module")
def rows(truth: Truth) -> dict[tuple[str, int | None], MetricRow]:
    truth.collect()
    return {(row.metric, row.round): row for row in truth.rows()}


def texts(truth: Truth, number: int) -> list[str]:
    table = pl.read_parquet(truth.run.folder / "reccots.parquet")
    return table.filter(pl.col("round") == number)["text"].to_list()


def test_a_text_of_one_word_takes_no_interval_away(truth: Truth, rows: dict[tuple[str, int | None], MetricRow]) -> None:
    found = rows["distinct_2", 0]
    assert found.low is not None
    assert found.high is not None
