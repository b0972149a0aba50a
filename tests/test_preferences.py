"""Preference groups: each filter by hand, a planted order that is found, noise that is not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trackrec.errors import RunError
from trackrec.judges.preferences import PreferenceSettings, build_groups
from trackrec.judges.rewards import LogLikelihood, Probability

Table = dict[str, dict[int, list[float]]]


def frames(table: Table, texts: dict[tuple[str, int], str] | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """P(Yes) by user and sample; every target is liked, so that it is also the reward of kind "probability"."""
    rows = [
        (user, sample, event, 1, p)
        for user, samples in table.items()
        for sample, probabilities in samples.items()
        for event, p in enumerate(probabilities)
    ]
    scores = pl.DataFrame(rows, ["user_id", "sample", "event_id", "label", "yes_probability"], orient="row")
    written = [
        (user, sample, (texts or {}).get((user, sample), f"text {sample}"))
        for user, samples in table.items()
        for sample in samples
        if sample >= 0
    ]
    return scores, pl.DataFrame(written, ["user_id", "sample", "text"], orient="row")


def build(table: Table, texts: dict[tuple[str, int], str] | None = None, **changes: object):
    return build_groups(*frames(table, texts), PreferenceSettings.model_validate(changes), Probability())


def test_a_group_by_hand() -> None:
    # Differences from sample 1: sample 0: .1 .3 (mean .2, error .1414 / sqrt 2 = .1, z = 2); sample 2: -.1 .2 (mean
    # .05, error .15, z = 1/3: noise); sample 3: .4 .4 (no error: z is the cap, 3).
    groups, counts = build({"u": {-1: [0.5, 0.5], 0: [0.6, 0.5], 1: [0.7, 0.8], 2: [0.8, 0.6], 3: [0.3, 0.4]}})
    assert groups.to_dicts() == [{"user_id": "u", "chosen_sample": 1, "rejected_samples": [3, 0], "weight": 1.0}]
    assert counts == {
        "users": 1,
        "samples": 4,
        "duplicate_samples": 0,
        "users_single_text": 0,
        "users_none_finished": 0,
        "users_all_wrong": 0,
        "users_no_gain": 0,
        "users_one_target": 0,
        "pairs": 3,
        "pairs_within_noise": 1,
        "users_within_noise": 0,
        "pairs_over_maximum": 0,
        "groups": 1,
        "pairs_kept": 2,
    }


def test_weights_are_the_mean_of_capped_z_with_mean_one() -> None:
    table = {
        "a": {-1: [0.1, 0.1], 0: [0.9, 0.9], 1: [0.8, 0.6]},  # .1 .3: z = 2
        "b": {-1: [0.1, 0.1], 0: [0.9, 0.9], 1: [0.5, 0.49]},  # .4 .41: z = 81, capped at 3
    }
    groups, _ = build(table)
    np.testing.assert_allclose(groups["weight"], [2 / 2.5, 3 / 2.5])


@pytest.mark.parametrize(
    ("name", "samples", "texts"),
    [
        ("users_single_text", {-1: [0.1, 0.1], 0: [0.9, 0.9], 1: [0.2, 0.2]}, {("x", 0): "same ", ("x", 1): "same"}),
        ("users_all_wrong", {-1: [0.1, 0.1], 0: [0.6, 0.38], 1: [0.2, 0.2]}, {}),
        ("users_no_gain", {-1: [0.7, 0.7], 0: [0.7, 0.7], 1: [0.2, 0.2]}, {}),
        ("users_one_target", {-1: [0.5], 0: [0.9], 1: [0.2]}, {}),
        ("users_within_noise", {-1: [0.1, 0.1], 0: [0.9, 0.6], 1: [0.6, 0.8]}, {}),
    ],
)
def test_each_filter_drops_and_counts_its_user(name: str, samples: dict[int, list[float]], texts) -> None:
    good = {-1: [0.5, 0.5], 0: [0.9, 0.9], 1: [0.2, 0.2]}
    groups, counts = build({"x": samples, "good": good}, texts)
    assert groups["user_id"].to_list() == ["good"]
    dropped = {key: value for key, value in counts.items() if key.startswith("users_") and value}
    assert dropped == {name: 1}


def test_filters_can_be_turned_off() -> None:
    low = {-1: [0.3, 0.3], 0: [0.25, 0.25], 1: [0.2, 0.2]}
    groups, _ = build({"x": low}, drop_all_wrong=False, require_gain=False)
    assert groups["chosen_sample"].to_list() == [0]
    without_placeholder = {"x": {0: [0.9, 0.9], 1: [0.2, 0.2]}}
    assert build(without_placeholder, require_gain=False)[0].height == 1
    with pytest.raises(RunError, match="user 'x' has no row with sample -1"):
        build(without_placeholder)


def test_a_duplicate_keeps_its_first_sample() -> None:
    table = {"u": {-1: [0.1, 0.1], 0: [0.9, 0.9], 1: [0.3, 0.3], 2: [0.3, 0.3], 3: [0.9, 0.9]}}
    groups, counts = build(table, {("u", 3): "text 0", ("u", 2): "text 1\n"})
    assert groups.select("chosen_sample", "rejected_samples").row(0) == (0, [1])
    assert counts["duplicate_samples"] == 2


def test_the_papers_single_target_needs_k_zero() -> None:
    table = {"u": {-1: [0.5], 0: [0.9], 1: [0.2], 2: [0.9], 3: [0.6]}, "v": {-1: [0.5], 0: [0.1], 1: [0.7]}}
    groups, counts = build(table, k=0)
    # Sample 2 ties with the chosen one: no pair. Nothing is known of the errors: all weigh the same, worst first.
    assert groups["rejected_samples"].to_list() == [[1, 3], [0]]
    assert groups["weight"].to_list() == [1, 1]
    assert counts["pairs_within_noise"] == 1


def test_dpo_takes_the_surest_pair_and_softmax_up_to_the_maximum() -> None:
    table = {"u": {-1: [0.1, 0.1], 0: [0.9, 0.9], **{s: [0.9 - s / 10, 0.9 - s / 10 - 0.02] for s in range(1, 6)}}}
    groups, counts = build(table, max_z=100)
    assert groups["rejected_samples"].to_list() == [[5, 4, 3]]
    assert (counts["pairs_over_maximum"], counts["pairs_kept"]) == (2, 3)
    assert build(table, loss="dpo", max_z=100)[0]["rejected_samples"].to_list() == [[5]]


def test_a_sample_that_was_cut_off_may_lose_and_never_win() -> None:
    scores, texts = frames({"u": {-1: [0.5, 0.5], 0: [0.9, 0.9], 1: [0.7, 0.7], 2: [0.2, 0.2]}})
    texts = texts.with_columns(finished=pl.Series([False, True, False]))
    groups, counts = build_groups(scores, texts, PreferenceSettings(), Probability())
    assert groups.select("chosen_sample", "rejected_samples").row(0) == (1, [2])
    assert counts["pairs"] == 2
    free = PreferenceSettings(unfinished_may_win=True)
    assert build_groups(scores, texts, free, Probability())[0]["chosen_sample"].to_list() == [0]


def test_the_gain_asked_for_is_that_of_a_finished_sample_and_users_without_one_are_counted() -> None:
    good = {-1: [0.5, 0.5], 0: [0.9, 0.9], 1: [0.2, 0.2]}
    no_gain = {-1: [0.8, 0.8], 0: [0.9, 0.9], 1: [0.7, 0.7]}
    scores, texts = frames({"all": good, "best": no_gain, "good": good})
    texts = texts.with_columns(finished=pl.Series([False, False, False, True, True, False]))
    groups, counts = build_groups(scores, texts, PreferenceSettings(), Probability())
    assert groups["user_id"].to_list() == ["good"]
    assert (counts["users_none_finished"], counts["users_no_gain"]) == (1, 1)


def test_of_equal_texts_the_finished_one_stays() -> None:
    scores, texts = frames({"u": {-1: [0.5, 0.5], 0: [0.9, 0.9], 1: [0.9, 0.9], 2: [0.2, 0.2]}}, {("u", 1): "text 0"})
    texts = texts.with_columns(finished=pl.Series([False, True, True]))
    groups, _ = build_groups(scores, texts, PreferenceSettings(), Probability())
    assert groups.select("chosen_sample", "rejected_samples").row(0) == (1, [2])


def test_a_penalty_turns_a_pair_round_by_hand() -> None:
    """Mean rewards .8 and .7; less .3 and 0 they are .5 and .7."""
    table = {"u": {-1: [0.3, 0.3], 0: [0.9, 0.7], 1: [0.7, 0.7]}}
    scores, texts = frames(table)
    settings = PreferenceSettings(k=0.5)
    before, _ = build_groups(scores, texts, settings, Probability())
    assert before.select("chosen_sample", "rejected_samples").row(0) == (0, [1])  # differences .2 .0: z = 1
    fined = texts.with_columns(penalty=pl.Series([0.3, 0.0]))
    after, _ = build_groups(scores, fined, settings, Probability())
    assert after.select("chosen_sample", "rejected_samples").row(0) == (1, [0])  # differences .1 .3: z = 2
    # Penalties that leave no gain over the placeholder's .3 drop the user.
    _, counts = build_groups(scores, texts.with_columns(penalty=pl.Series([0.5, 0.4])), settings, Probability())
    assert counts["users_no_gain"] == 1


def test_disliked_targets_and_log_likelihood() -> None:
    scores, texts = frames({"u": {-1: [0.5, 0.5], 0: [0.9, 0.8], 1: [0.1, 0.2]}})
    groups, _ = build_groups(scores.with_columns(label=pl.lit(0)), texts, PreferenceSettings(), LogLikelihood())
    assert groups.select("chosen_sample", "rejected_samples").row(0) == (1, [0])


def test_no_users_and_no_groups_are_empty_tables() -> None:
    groups, counts = build({"u": {-1: [0.9, 0.9], 0: [0.6, 0.6], 1: [0.5, 0.5]}})
    assert groups.height == 0
    assert groups.columns == ["user_id", "chosen_sample", "rejected_samples", "weight"]
    assert counts["users_no_gain"] == 1
    assert counts["groups"] == 0


def planted(users: int, quality: float, seed: int) -> Table:
    """Sample 0 is worth ``quality`` more than the rest on every target; the noise is 0.05."""
    random = np.random.default_rng(seed)

    def draw(worth: float) -> list[float]:
        return np.clip(0.6 + worth + 0.05 * random.normal(size=8), 0, 1).tolist()

    return {f"u{u}": {s: draw({-1: -0.2, 0: quality}.get(s, 0.0)) for s in range(-1, 4)} for u in range(users)}


def test_a_planted_best_is_chosen_and_noise_is_mostly_left_out() -> None:
    groups, _ = build(planted(60, 0.2, seed=0), k=2)
    assert groups.height == 60
    assert set(groups["chosen_sample"]) == {0}
    _, real = build(planted(60, 0.2, seed=1), k=3)
    _, noise = build(planted(60, 0.0, seed=1), k=3)
    assert noise["pairs_kept"] < 0.15 * real["pairs_kept"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_row_order_changes_nothing_to_the_bit(seed: int) -> None:
    scores, texts = frames(planted(6, 0.05, seed=3))
    expected = build_groups(scores, texts, PreferenceSettings(), LogLikelihood())
    shuffled = scores.sample(fraction=1, shuffle=True, seed=seed), texts.sample(fraction=1, shuffle=True, seed=seed + 1)
    groups, counts = build_groups(*shuffled, PreferenceSettings(), LogLikelihood())
    assert_frame_equal(groups, expected[0], check_exact=True)
    assert counts == expected[1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 2), st.floats(0, 2))
def test_a_higher_k_never_keeps_more(seed: int, first: float, second: float) -> None:
    table = planted(5, 0.03, seed)
    low, high = (build(table, k=k, max_rejected=9) for k in sorted((max(first, 1e-6), max(second, 1e-6))))
    assert high[1]["pairs_kept"] <= low[1]["pairs_kept"]
    assert set(high[0]["user_id"]) <= set(low[0]["user_id"])
    # Every pair is accounted for.
    for _, counts in (low, high):
        assert counts["pairs"] == counts["pairs_within_noise"] + counts["pairs_over_maximum"] + counts["pairs_kept"]


def test_a_users_group_does_not_depend_on_the_others() -> None:
    table = planted(6, 0.1, seed=5)
    together = build(table)[0].drop("weight")
    for user, samples in table.items():
        assert_frame_equal(build({user: samples})[0].drop("weight"), together.filter(pl.col("user_id") == user))


def test_broken_tables_are_refused_by_name() -> None:
    scores, texts = frames({"u": {-1: [0.5, 0.5], 0: [0.9, 0.9], 1: [0.2, 0.2]}})
    plain = PreferenceSettings()
    with pytest.raises(RunError, match="user 'u', sample -1, event 0 stands there more than once"):
        build_groups(pl.concat([scores, scores.head(1)]), texts, plain, Probability())
    with pytest.raises(RunError, match="user 'u', sample 1 has no score for event 1"):
        build_groups(scores.head(5), texts, plain, Probability())
    with pytest.raises(RunError, match="no text for user 'u', sample 1"):
        build_groups(scores, texts.head(1), plain, Probability())
    with pytest.raises(RunError, match="stands there more than once; expected one text"):
        build_groups(scores, pl.concat([texts, texts]), plain, Probability())
