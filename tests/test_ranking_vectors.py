"""Text vectors, the placebo's swap, and the projection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trackrec.errors import RunError
from trackrec.features.encoder import TextEncoder, present_vectors, swap_vectors, user_vectors
from trackrec.features.projection import Projection, with_projected
from trackrec.users.catalogue import Catalogue
from trackrec.users.counts import DIRECTIONS, ProfileSettings, event_table, name_counts
from trackrec.users.history_features import history_numbers, ranker_numbers


class LengthEncoder:
    """A text's vector is (its length, 1)."""

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.asarray([[len(text), 1.0] for text in texts], dtype=np.float32)


def test_a_user_without_a_text_stays_visibly_without_a_vector() -> None:
    table = user_vectors(pl.DataFrame({"user_id": ["a", "b"], "text": ["four", None]}), LengthEncoder())
    assert table.rows() == [("a", [4.0, 1.0], True), ("b", None, False)]
    assert present_vectors(table)["user_id"].to_list() == ["a"]


def test_two_texts_of_one_user_are_refused() -> None:
    with pytest.raises(RunError, match="1 users have more than one RecCoT"):
        user_vectors(pl.DataFrame({"user_id": [7, 7], "text": ["x", "y"]}), LengthEncoder())


def test_swap_is_a_derangement_within_each_part_and_keeps_the_vectors() -> None:
    users = list(range(20))
    vectors = pl.DataFrame({"user_id": users, "vector": [[float(user)] for user in users]})
    parts = pl.DataFrame({"user_id": users, "role": ["lm"] * 8 + ["ranker"] * 12, "fold": [0] * 14 + [1] * 6})
    for seed in range(5):
        swapped = swap_vectors(vectors, parts, seed).join(parts, on="user_id")
        for row in swapped.iter_rows(named=True):
            giver = int(row["vector"][0])
            assert giver != row["user_id"]
            assert row["source_user_id"] == giver
            assert parts.row(giver, named=True)["fold"] == row["fold"]
            assert parts.row(giver, named=True)["role"] == row["role"]
        assert sorted(row[0] for row in swapped["vector"]) == [float(user) for user in users]
    assert not swap_vectors(vectors, parts, 1).equals(swap_vectors(vectors, parts, 2))


def test_swap_needs_two_users_in_a_part() -> None:
    vectors = pl.DataFrame({"user_id": [1, 2, 3], "vector": [[1.0], [2.0], [3.0]]})
    with pytest.raises(RunError, match="Only one user of fold 1 has a vector"):
        swap_vectors(vectors, pl.DataFrame({"user_id": [1, 2, 3], "fold": [0, 0, 1]}), 0)


def test_projection_finds_the_small_direction_that_tells_of_the_history() -> None:
    """The planted number moves one coordinate by a tenth of what the noise moves the others."""
    rng = np.random.default_rng(0)
    number = rng.normal(size=300)
    vectors = rng.normal(size=(300, 30)).astype(np.float32)
    vectors[:, 5] = 0.1 * number
    told = np.stack([number, rng.normal(size=300)], axis=1)
    found = Projection.fit(vectors[:200], 1, told[:200])(vectors[200:])[:, 0]
    blind = Projection.fit(vectors[:200], 1)(vectors[200:])[:, 0]
    assert abs(np.corrcoef(found, number[200:])[0, 1]) > 0.9
    assert abs(np.corrcoef(blind, number[200:])[0, 1]) < 0.5


def test_projected_training_vectors_are_centred_with_mean_square_one() -> None:
    vectors = np.random.default_rng(1).normal(3.0, 2.0, size=(50, 8)).astype(np.float32)
    projected = Projection.fit(vectors, 3)(vectors)
    assert projected.shape == (50, 3)
    assert np.allclose(projected.mean(axis=0), 0, atol=1e-5)
    assert np.isclose((projected**2).mean(), 1, atol=1e-4)


def test_weights_decide_which_number_gets_the_only_direction() -> None:
    rng = np.random.default_rng(2)
    told = rng.normal(size=(200, 6))
    told[:, 1:] = told[:, [1]] + 0.1 * told[:, 1:]  # five numbers say the same and would win
    vectors = np.concatenate([told, rng.normal(size=(200, 4))], axis=1).astype(np.float32)
    even = Projection.fit(vectors, 1, told)(vectors)[:, 0]
    weighted = Projection.fit(vectors, 1, told, np.array([5.0, 1, 1, 1, 1, 1]))(vectors)[:, 0]
    assert abs(np.corrcoef(even, told[:, 0])[0, 1]) < 0.3
    assert abs(np.corrcoef(weighted, told[:, 0])[0, 1]) > 0.9


HISTORIES = pl.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [10, 11, 10, 12], "label": [1, 1, 0, 0]})
FILMS = pl.DataFrame({"item_id": [10, 11, 12], "genres": [["A"], ["B"], ["A"]], "year": [1990, 1992, 1990]})


def test_history_numbers_by_hand() -> None:
    """User 1 likes items 10 and 11, user 2 neither 10 nor 12; of item 10 others expect 1/4, of the other two 3/4.

    Two imagined items at the mean of 1/2 bring the shares to 3/4 and 1/4. User 1 goes beyond by 3/4 and 1/4, user 2 by
    -1/4 and -3/4: 1 over 2 + 2 items. What that leaves over is 1/4 up and down. Item 10 has one other history (log 2),
    the others none.
    """
    histories = HISTORIES.with_columns(expected=pl.Series([0.25, 0.75, 0.25, 0.75]))
    found = history_numbers(histories, FILMS)
    half = np.log(2) / 2
    slope = 2 * (1 / 4 * half) / (2 * half**2 + 5)
    by_year = 2 * (-1 / 4 * 1) / (2 + 500)  # user 1 liked the newer film less beyond what was expected
    parts = ("shift:A", "part:A", "shift:B", "part:B")
    assert found.names == ("share", "popularity", "popular taste", "year", "year taste", "generosity", *parts)
    numbers = dict(found.table.iter_rows())
    assert np.allclose(numbers[1], [3 / 4, half, slope, 1991, by_year, 1 / 4, 1 / 16, 1 / 2, -1 / 16, 1 / 2])
    assert np.allclose(numbers[2], [1 / 4, half, slope, 1990, 0, -1 / 4, 0, 1, 0, 0])
    assert found.weights("ctr").tolist() == [2, 1, 2, 1, 2, 5, 1, 0.5, 1, 0.5]


LIKED = {"drama": [1, 1, 1, 0], "western": [1, 0, 0, 0]}
"""What one user liked of four films of each."""


def shifts(expected: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """By the directions and by the profile, how far each genre lies from the user's level."""
    items = pl.DataFrame(
        {"item_id": range(8), "title": [""] * 8, "genres": [[name] for name in LIKED for _ in range(4)]}
    )
    histories = pl.DataFrame(
        {
            "user_id": [1] * 8,
            "item_id": range(8),
            "label": [label for labels in LIKED.values() for label in labels],
            "expected": [expected[name] for name in LIKED for _ in range(4)],
        }
    )
    found, catalogue = history_numbers(histories, items), Catalogue(items)
    numbers = dict(zip(found.names, found.table["numbers"][0], strict=True))
    claims = ProfileSettings(prior_items=DIRECTIONS.prior).counting
    counted = name_counts(event_table(histories, catalogue), "genres", claims)
    return {name: numbers[f"shift:{name}"] for name in LIKED}, dict(counted.select("name", "shift").iter_rows())


def test_directions_and_claims_count_genres_alike_where_all_items_are_as_good() -> None:
    of_directions, of_claims = shifts({"drama": 0.3, "western": 0.3})
    assert of_claims == pytest.approx({"drama": 1 / 7, "western": -1 / 7})
    assert of_directions == pytest.approx(of_claims)


def test_directions_start_from_what_others_thought_and_claims_from_the_user() -> None:
    """3 of 4 dramas are more than the user's half; but others like 9 in 10 of them, and 1 in 10 of the westerns."""
    of_directions, of_claims = shifts({"drama": 0.9, "western": 0.1})
    assert of_claims == pytest.approx({"drama": 1 / 7, "western": -1 / 7})
    assert of_directions == pytest.approx({"drama": (3 - 3.6) / 7, "western": (1 - 0.4) / 7})


def test_numbers_of_a_user_do_not_depend_on_the_histories_of_those_who_are_compared() -> None:
    """Whatever other ranker users did before, user 1's numbers stay; what an LM user did changes them."""
    histories = HISTORIES.with_columns(expected=pl.Series([0.25, 0.75, 0.25, 0.75]))
    roles = pl.DataFrame({"user_id": [1, 2], "role": ["ranker", "ranker"]})

    def of_user_1(more: pl.DataFrame, roles: pl.DataFrame = roles) -> list[float]:
        return dict(ranker_numbers(more, FILMS, roles).table.iter_rows())[1]

    before = of_user_1(histories)
    liked = histories.with_columns(label=pl.when(user_id=2).then(1).otherwise("label"))
    others = histories.with_columns(item_id=pl.when(user_id=2).then(11).otherwise("item_id"))
    assert of_user_1(liked) == of_user_1(others) == of_user_1(histories.filter(user_id=1)) == before
    assert of_user_1(histories, roles.with_columns(role=pl.Series(["ranker", "lm"]))) != before


def test_another_expectation_is_another_digest() -> None:
    histories = HISTORIES.with_columns(expected=pl.Series([0.25, 0.75, 0.25, 0.75]))
    one = history_numbers(histories, FILMS).digest
    assert history_numbers(histories.sample(fraction=1.0, shuffle=True, seed=1), FILMS).digest == one
    assert history_numbers(histories.with_columns(pl.col("expected") + 0.1), FILMS).digest != one


def test_a_catalogue_of_titles_and_histories_without_expectations_have_three_numbers() -> None:
    histories = pl.DataFrame({"user_id": [1, 2], "item_id": [10, 10], "label": [1, 0]})
    found = history_numbers(histories, pl.DataFrame({"item_id": [10], "title": ["A"]}))
    assert found.names == ("share", "popularity", "popular taste")
    assert np.isfinite(found.table["numbers"].to_list()).all()


@pytest.mark.slow
def test_the_real_encoder_pools_windows_and_encodes_a_text_once() -> None:
    encoder = TextEncoder()
    near, far, again = encoder.encode(["likes comedies", "a proof in algebra", "likes comedies"])
    assert np.array_equal(near, again)
    assert near @ encoder.encode(["enjoys funny films"])[0] > far @ encoder.encode(["enjoys funny films"])[0]
    long = encoder.encode(["alpha " * 300 + "omega " * 300, "alpha " * 300])
    assert not np.allclose(long[0], long[1], atol=1e-3)  # what lies behind the first window counts
    assert np.allclose(np.linalg.norm(long, axis=1), 1, atol=1e-5)


def test_a_projection_is_saved_and_applied_alike(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    raw = draw.normal(size=(12, 5)).astype(np.float32)
    fitted = Projection.fit(raw, components=2)
    fitted.save(tmp_path / "projection.safetensors")
    loaded = Projection.load(tmp_path / "projection.safetensors")
    assert np.array_equal(loaded(raw), fitted(raw))
    table = pl.DataFrame(
        {"user_id": [1, 2, 3], "vector": [raw[0].tolist(), None, raw[1].tolist()], "has_reccot": [True, False, True]},
        schema_overrides={"vector": pl.List(pl.Float32)},
    )
    both = with_projected(table, loaded)
    assert both.columns == ["user_id", "vector", "raw_vector", "has_reccot"]
    assert np.allclose(both["vector"][2].to_list(), fitted(raw[1:2])[0])
    assert both["vector"][1] is None
    assert both["raw_vector"].equals(table["vector"])


def test_what_is_no_projection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no projection"):
        Projection.load(tmp_path / "projection.safetensors")
    (tmp_path / "projection.safetensors").write_bytes(b"not tensors")
    with pytest.raises(RunError, match="expected the tensors mean and directions"):
        Projection.load(tmp_path / "projection.safetensors")
