"""The comparison of arms on lists: the text helps where it says what the user will like, and only there."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from research.comparison.study_arm import StudyArm
from research.reranking.compare import INITIAL, RerankingSettings, compare_rerankers, item_vectors_table
from trackrec.data.statistics import ItemStatistics
from trackrec.errors import RecipeError, RunError
from trackrec.features.encoder import swap_vectors
from trackrec.metrics.intervals import mean_of_lists, paired_bootstrap
from trackrec.rankers.examples import ItemTable
from trackrec.rankers.fit import FitSettings

USERS, FILMS = 90, 80


class Split:
    """Users like the films of one of two genres; their vector says which."""

    def __init__(self) -> None:
        draw = np.random.default_rng(0)
        rows = []
        for user in range(USERS):
            for place, film in enumerate(draw.permutation(FILMS)[:24].tolist()):
                rows.append((user, 100 * user + place, film, place, int(film % 2 == user % 2), 3.0))
        schema = ["user_id", "event_id", "item_id", "timestamp", "label", "rating"]
        self.log = pl.DataFrame(rows, schema=schema, orient="row", schema_overrides={"label": pl.Int8})
        self.histories = self.log.filter(pl.col("timestamp") < 12)
        nothing = pl.lit([], dtype=pl.List(pl.Int64))
        self.examples = self.log.filter(pl.col("timestamp") >= 12).with_columns(
            recent_item_ids=nothing, recent_ratings=nothing.cast(pl.List(pl.Float64))
        )
        self.items = pl.DataFrame({"item_id": range(FILMS), "genres": [["AB"[film % 2]] for film in range(FILMS)]})
        self.roles = pl.DataFrame(
            {"user_id": range(USERS), "role": ["ranker"] * USERS, "fold": [user // 2 % 3 for user in range(USERS)]}
        )
        self.vectors = pl.DataFrame(
            {
                "user_id": range(USERS),
                "vector": [[float(user % 2), *draw.normal(scale=0.1, size=3)] for user in range(USERS)],
            },
            schema_overrides={"vector": pl.List(pl.Float32)},
        )


SETTINGS = RerankingSettings(
    components=2, seeds=2, folds=2, fit=FitSettings(epochs=30, batch=32, learning_rate=0.02, patience=5)
)


def test_the_text_that_says_what_is_liked_helps_and_the_placebo_does_not() -> None:
    world = Split()
    arms = {
        "none": None,
        "swapped": swap_vectors(world.vectors, world.roles.select("user_id", "fold"), 1),
        "own": world.vectors,
    }
    steps: list[tuple[int, int]] = []
    values = compare_rerankers(
        world, world.roles, world.items, world.log, arms, SETTINGS, 1, progress=lambda *s: steps.append(s)
    )
    assert steps[-1] == (12, 12)
    assert values.group_by("arm").len().sort("arm").rows() == [
        ("initial", 180),
        ("none", 360),
        ("own", 360),
        ("swapped", 360),
    ]
    mean = dict(values.group_by("arm").agg(pl.col("ndcg_3").fill_nan(None).mean()).iter_rows())
    # Two likes among ten, and half of the other eight are of the liked genre too: even who knows it all is often wrong.
    assert mean["own"] > mean["none"] + 0.15
    assert mean["own"] > mean["swapped"] + 0.15
    own, none = (values.filter(arm=arm).sort("seed", "fold", "user_id", "list") for arm in ("own", "none"))
    half = own.height // 2
    users, folds = own["user_id"].to_numpy()[:half], own["fold"].to_numpy()[:half]
    scores = [table["ndcg_3"].to_numpy().reshape(2, -1) for table in (own, none)]
    interval = paired_bootstrap(mean_of_lists, users, np.zeros(half), *scores, seed=1, draws=100, folds=folds)
    assert interval.low > 0.1


def test_a_comparison_is_repeated_to_the_bit() -> None:
    world = Split()
    settings = SETTINGS.model_copy(update={"folds": 1, "seeds": 1, "fit": FitSettings(epochs=1, batch=64)})
    others = world.log.with_columns(user_id=pl.col("user_id") + 1000)
    statistics = ItemStatistics.from_interactions(others, like_threshold=4.0)
    vectors = pl.DataFrame({"item_id": range(FILMS), "vector": [[float(film % 2), 1.0] for film in range(FILMS)]})

    def run() -> pl.DataFrame:
        return compare_rerankers(
            world,
            world.roles,
            world.items,
            world.log,
            {"own": StudyArm(world.vectors, items=(vectors,))},
            settings,
            1,
            statistics=statistics,
        )

    assert run().equals(run())
    assert run().filter(arm=INITIAL)["likes"].max() <= 4


def test_too_few_folds_are_refused() -> None:
    world = Split()
    two = world.roles.filter(pl.col("fold") < 2)
    with pytest.raises(RunError, match="are in 2 folds"):
        compare_rerankers(world, two, world.items, world.log, {"none": None}, SETTINGS, 1)
    settings = SETTINGS.model_copy(update={"folds": 7})
    with pytest.raises(RecipeError, match="folds is 7, but the split has 3"):
        compare_rerankers(world, world.roles, world.items, world.log, {"none": None}, settings, 1)


def test_what_no_reranker_reads_is_refused() -> None:
    world = Split()
    table = world.vectors.rename({"user_id": "item_id"})
    with pytest.raises(RunError, match="'both' has 0 validators' scores and 2 sources of items"):
        compare_rerankers(
            world, world.roles, world.items, world.log, {"both": StudyArm(items=(table, table))}, SETTINGS, seed=1
        )


def test_item_vectors_point_to_catalogue_rows() -> None:
    catalogue = ItemTable.from_catalogue(pl.DataFrame({"item_id": ["a", "b", "c"]}))
    vectors = pl.DataFrame({"item_id": ["c", "x", "a", "b"], "vector": [[1.0, 0.0], [9.0, 9.0], [0.0, 1.0], None]})
    table, rows = item_vectors_table(vectors, catalogue, 2)
    assert table is not None
    assert rows is not None
    assert table.values.shape[0] == 3
    assert rows.select("row", "vector_row").rows() == [(3, 1), (1, 2)]
    with pytest.raises(RunError, match="1 items of the catalogue have a vector"):
        item_vectors_table(vectors.head(2), catalogue, 2)
