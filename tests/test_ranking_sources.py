"""Item vectors and validators' scores as inputs of the rankers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from research.comparison.study_arm import score_column
from trackrec.errors import RunError
from trackrec.features.projection import Projection
from trackrec.rankers.arm import item_rows, projected_item_vectors

TRAIN = pl.DataFrame({"item_id": [1, 2, 3]})


def test_an_items_vector_is_projected_and_found_by_its_row() -> None:
    vectors = pl.DataFrame({"item_id": [3, 1, 2, 9], "vector": [[0.0, 4.0], [2.0, 0.0], None, [1.0, 1.0]]})
    values, rows = projected_item_vectors(vectors, TRAIN, 1)
    found = item_rows([rows, rows.head(1)], pl.DataFrame({"item_id": [1, 2, 9, 3, 1]}))
    assert found.tolist() == [[2, 0], [0, 0], [3, 0], [1, 1], [2, 0]]
    assert values.shape == (4, 1)
    assert values[2].item() == pytest.approx(-values[1].item()), "centred on the training items"
    assert values[3].abs().item() < values[1].abs().item()


def test_directions_do_not_depend_on_items_out_of_training() -> None:
    vectors = pl.DataFrame({"item_id": [1, 2, 9], "vector": [[0.0, 1.0], [1.0, 0.0], [5.0, 5.0]]})
    other = vectors.with_columns(
        vector=pl.when(pl.col("item_id") == 9).then(pl.lit([-7.0, 2.0])).otherwise(pl.col("vector"))
    )
    one, two = projected_item_vectors(vectors, TRAIN, 1)[0], projected_item_vectors(other, TRAIN, 1)[0]
    assert torch.equal(one[:3], two[:3])


def test_the_last_bits_of_vectors_turn_no_direction_round() -> None:
    chance = np.random.default_rng(0)
    found = Projection.fit(chance.normal(size=(30, 8)).astype(np.float32), 3)
    turned = Projection(found.mean, found.directions * np.array([1, -1, -1], dtype=np.float32))
    assert np.array_equal(found.oriented().directions, turned.oriented().directions)
    assert np.array_equal(np.abs(found.oriented().directions), np.abs(found.directions))
    assert (found.oriented().directions.max(axis=0) == np.abs(found.directions).max(axis=0)).all()
    raw = chance.normal(size=(40, 16))
    train = pl.DataFrame({"item_id": range(40)})
    tables = [
        projected_item_vectors(train.with_columns(vector=pl.Series(vectors.tolist())), train, 16)[0]
        for vectors in (raw, raw + 1e-7 * chance.normal(size=raw.shape))
    ]
    assert max(float((table - tables[0]).abs().max()) for table in tables) < 1e-3


def test_a_source_without_training_items_is_refused() -> None:
    lost = pl.DataFrame({"item_id": [9, 8], "vector": [[1.0], [2.0]]})
    with pytest.raises(RunError, match="source 'item RecCoT' has vectors for 0 items of the training examples"):
        projected_item_vectors(lost, TRAIN, 1, "item RecCoT")


def test_scores_become_log_odds_and_missing_ones_stay_missing() -> None:
    frame = pl.DataFrame({"user_id": [1, 1, 2], "event_id": [5, 6, 7]})
    scores = pl.DataFrame({"user_id": [2, 1], "event_id": [7, 5], "yes_probability": [0.5, 0.8]})
    column = score_column(scores, frame)
    assert column.shape == (3, 1)
    assert column[[0, 2], 0].tolist() == pytest.approx([1.3862944, 0.0])
    assert column[1].isnan().all()
    with pytest.raises(RunError, match="Event 7 of user 2 has more than one validator's score"):
        score_column(pl.concat([scores, scores.head(1)]), frame)
