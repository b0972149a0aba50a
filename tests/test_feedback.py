"""What is a like, and sampled negatives: planted logs, and what must hold of random ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackrec.data.feedback import FeedbackSettings, add_negatives
from trackrec.data.log import Log
from trackrec.data.split import Split, SplitSettings, split_log
from trackrec.data.statistics import ItemStatistics
from trackrec.data.targets import choose_targets
from trackrec.errors import LogError

IMPLICIT = FeedbackSettings(kind="implicit")
POPULAR = FeedbackSettings(kind="implicit", negative_sampling="popularity")


def make_log(events: list[tuple[str, int, int]], ratings: list[float] | None = None, items: int = 12) -> Log:
    columns = {"user_id": pl.String, "item_id": pl.Int64, "timestamp": pl.Int64}
    table = pl.DataFrame(events, schema=columns, orient="row")
    table = table.with_columns(pl.Series("rating", ratings or [1.0] * len(events), dtype=pl.Float64))
    catalogue = pl.DataFrame({"item_id": list(range(items)), "title": [f"T{i}" for i in range(items)]})
    return Log.checked(table, catalogue, where="a made-up log")


def negatives(log: Log, split: Split, chosen: FeedbackSettings, seed: int = 3) -> Split:
    return add_negatives(split, log.interactions, log.interactions, chosen, seed)


def drawn(split: Split) -> list[tuple[str, int, int]]:
    rows = split.examples.filter("sampled").select("user_id", "timestamp", "item_id")
    return list(rows.iter_rows())


def test_like_by_the_users_own_mean() -> None:
    """Both users' histories have the mean 3; a fixed threshold of 4 knows no like of the second."""
    log = make_log([(u, k, k) for u in "ab" for k in range(6)], [1, 5, 4, 2, 3, 2.9, 3, 3, 3, 3, 3.5, 2.5])
    chosen = SplitSettings(kind="leave_last", last_events=2, min_history=2)
    split = split_log(log, chosen, FeedbackSettings(kind="user_mean"))
    assert split.histories["label"].to_list() == [0, 1, 1, 0, 1, 1, 1, 1]
    assert split.examples["label"].to_list() == [1, 0, 1, 0]
    assert split_log(log, chosen).examples["label"].to_list() == [0, 0, 0, 0]
    assert split.histories.schema == split_log(log, chosen).histories.schema


def test_the_mean_knows_nothing_of_the_examples() -> None:
    events = [("a", k, k) for k in range(6)]
    chosen = SplitSettings(kind="leave_last", last_events=2, min_history=2)
    labels = [
        split_log(make_log(events, [2.0, 4.0, 3.0, 3.5, *last]), chosen, FeedbackSettings(kind="user_mean")).histories
        for last in ([5.0, 5.0], [1.0, 1.0])
    ]
    assert labels[0].equals(labels[1])


def test_a_rating_that_is_the_mean_is_a_like() -> None:
    """Three times 0.1 has the mean 0.1 and a little more in floats."""
    log = make_log([("a", k, k) for k in range(4)], [0.1] * 4)
    split = split_log(log, SplitSettings(kind="leave_last", min_history=3), FeedbackSettings(kind="user_mean"))
    assert (split.histories["label"].to_list(), split.examples["label"].to_list()) == ([1, 1, 1], [1])


def test_implicit_events_are_likes_and_negatives_are_marked() -> None:
    log = make_log([("a", k, 10 + k) for k in range(4)] + [("b", k, k) for k in range(4, 9)])
    split = split_log(log, SplitSettings(kind="leave_last", min_history=2), IMPLICIT)
    assert split.histories["label"].unique().to_list() == split.examples["label"].unique().to_list() == [1]
    both = negatives(log, split, FeedbackSettings(kind="implicit", negatives=2))
    assert both.examples.filter(~pl.col("sampled")).drop("sampled").equals(split.examples)
    mine = both.examples.filter("sampled", user_id="a")
    assert mine.height == 2
    assert set(mine["item_id"]) <= {4, 5, 6, 7, 8}
    assert mine["label"].to_list() == [0, 0]
    assert mine["rating"].null_count() == 2
    assert mine["timestamp"].to_list() == [13, 13]
    assert mine["recent_event_ids"].to_list() == [[0, 1, 2]] * 2
    assert both.examples["event_id"].n_unique() == both.examples.height
    assert min(mine["event_id"]) > max(log.interactions["event_id"])
    # For b, at second 8, nothing but its own items had been touched.
    assert (both.counts["sampled_negatives"], both.counts["missing_negatives"]) == (2, 2)
    assert choose_targets(both.examples, ["a"], per_user=2, seed=1)["label"].sort().to_list() == [0, 1]


def test_weak_events_are_no_likes_and_draw_no_negatives() -> None:
    """Weights: view 1, cart 3, purchase 5. With ``like_weight`` 3, user a likes items 1 and 3 of the history, and of
    the examples item 5 (bought), not item 4 (viewed); the one negative is drawn for item 5 alone."""
    weights = [1.0, 3.0, 1.0, 5.0, 1.0, 5.0]
    log = make_log([("a", k, 10 + k) for k in range(6)] + [("b", k, k) for k in range(6, 9)], weights + [5.0] * 3)
    chosen = FeedbackSettings(kind="implicit", like_weight=3)
    split = split_log(log, SplitSettings(kind="leave_last", last_events=2, min_history=2), chosen)
    of_a = pl.col("user_id") == "a"
    assert split.histories.filter(of_a)["label"].to_list() == [0, 1, 0, 1]
    both = negatives(log, split, chosen).examples.filter(of_a)
    assert both.select("timestamp", "rating", "label", "sampled").rows() == [
        (14, 1.0, 0, False), (15, 5.0, 1, False), (15, None, 0, True),
    ]  # fmt: skip
    assert both["item_id"][2] in (6, 7, 8)
    everything = split_log(log, SplitSettings(kind="leave_last", last_events=2, min_history=2), IMPLICIT)
    assert set(everything.examples["label"]) == {1}


def test_what_a_filter_left_out_is_touched_all_the_same() -> None:
    """User a touched item 5 in a row that a filter removed; of what is available, only item 6 is left."""
    log = make_log([("a", k, 10 + k) for k in range(4)] + [("b", 5, 1), ("b", 6, 2), ("a", 5, 99)])
    kept = replace(log, interactions=log.interactions.filter(pl.col("timestamp") < 50))
    split = split_log(kept, SplitSettings(kind="leave_last", min_history=2), IMPLICIT)
    for seed in range(20):
        both = add_negatives(split, kept.interactions, log.interactions, IMPLICIT, seed)
        assert drawn(both) == [("a", 13, 6)]


@pytest.mark.parametrize("kind", ["uniform", "popularity"])
def test_what_is_drawn_follows_the_popularity_before_the_example(kind: str) -> None:
    """Before second 100 item 1 had 8 events and item 2 had 2; afterwards item 2 has many, and they must not count."""
    events = [("x", 1, k) for k in range(8)] + [("x", 2, k) for k in range(2)] + [("x", 2, 200)] * 50
    users = [f"u{k}" for k in range(2000)]
    events += [(user, item, 100 if item == 5 else 50) for user in users for item in (3, 4, 5)]
    log = make_log(events)
    split = split_log(log, SplitSettings(kind="leave_last", min_history=2), IMPLICIT)
    chosen = FeedbackSettings(kind="implicit", negative_sampling=kind)  # type: ignore[arg-type]
    found = Counter(item for user, _, item in drawn(negatives(log, split, chosen)) if user != "x")
    assert set(found) == {1, 2}
    assert sum(found.values()) == 2000
    # 2000 draws: the standard deviation of a share of 0.5 is 0.011, that of 0.8 is 0.009.
    assert abs(found[1] / 2000 - (0.5 if kind == "uniform" else 0.8)) < 0.05


def test_under_temporal_nothing_after_the_cutoff_is_drawn_from() -> None:
    events = [("a", k, k) for k in range(8)] + [("b", 9, 1), ("b", 10, 6)]
    log = make_log(events)
    split = split_log(log, SplitSettings(kind="temporal", temporal_quantile=0.6, min_history=2), IMPLICIT)
    assert split.cutoff is not None
    assert split.cutoff <= 6
    assert max(split.examples["timestamp"]) == 7
    for seed in range(10):
        assert {item for _, _, item in drawn(negatives(log, split, IMPLICIT, seed))} == {9}


def test_statistics_take_the_labels_that_they_are_given() -> None:
    table = pl.DataFrame(
        {"user_id": ["a", "b"], "item_id": [1, 1], "rating": [1.0, None], "timestamp": [1, 2], "event_id": [0, 1]}
    )
    pairs = ItemStatistics.from_interactions(table.with_columns(label=pl.Series([1, 0])), like_threshold=4.0).pairs
    assert pairs["label"].to_list() == [1, 0]


logs = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 11), st.sampled_from([0, 1, 1, 2, 3, 3, 3, 4, 6, 6, 8, 9])),
    min_size=3,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(
    events=logs,
    chosen=st.sampled_from([IMPLICIT, POPULAR]),
    number=st.integers(1, 4),
    kind=st.sampled_from(["kar", "temporal", "leave_last"]),
    seed=st.integers(0, 3),
)
def test_negatives_of_random_logs(
    events: list[tuple[str, int, int]], chosen: FeedbackSettings, number: int, kind: str, seed: int
) -> None:
    chosen = chosen.model_copy(update={"negatives": number})
    log = make_log(events)
    try:
        split = split_log(log, SplitSettings(kind=kind, min_history=1), chosen)  # type: ignore[arg-type]
    except LogError:
        return
    both = negatives(log, split, chosen, seed)
    assert both.histories.equals(split.histories)
    assert both.examples.filter(~pl.col("sampled")).drop("sampled").equals(split.examples)
    touched = defaultdict(set)
    for user, item, _ in events:
        touched[user].add(item)
    sampled: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for user, time, item in drawn(both):
        assert item not in touched[user]
        assert any(other == item and when < time for _, other, when in events)
        assert item not in [earlier for _, earlier in sampled[user]], "no item twice for one user"
        sampled[user].append((time, item))
    real = {int(event) for event in log.interactions["event_id"]}
    assert all(set(row) <= real for row in both.examples["recent_event_ids"])
    # A draw is missing only where the user had nothing left to draw from at that time.
    asked = Counter({key: count * number for key, count in Counter(split.examples["user_id"]).items()})
    assert both.counts["missing_negatives"] == sum(asked[user] - len(sampled[user]) for user in asked)
    cutoff = 99 if split.cutoff is None else split.cutoff
    for user, time in split.examples.select("user_id", "timestamp").iter_rows():
        there = {item for _, item, when in events if when < min(time, cutoff)} - touched[user]
        got = sum(when == time for when, _ in sampled[user])
        wanted = number * split.examples.filter(user_id=user, timestamp=time).height
        assert got == wanted or there <= {item for _, item in sampled[user]}
    # The order of rows does not matter, and nor does it who else is asked for.
    shuffled = replace(log, interactions=log.interactions.sample(fraction=1.0, shuffle=True, seed=seed))
    mixed = replace(split, examples=split.examples.reverse())
    assert negatives(shuffled, mixed, chosen, seed).examples.equals(both.examples)
    user = both.examples["user_id"][0]
    alone = negatives(log, replace(split, examples=split.examples.filter(user_id=user)), chosen, seed)
    assert drawn(alone) == [row for row in drawn(both) if row[0] == user]


def test_the_seed_decides() -> None:
    log = make_log([("b", k, 0) for k in range(100, 200)] + [("a", k, 1 + k) for k in range(20)], items=200)
    split = split_log(log, SplitSettings(), IMPLICIT)
    assert drawn(negatives(log, split, IMPLICIT, 1)) == drawn(negatives(log, split, IMPLICIT, 1))
    assert drawn(negatives(log, split, IMPLICIT, 1)) != drawn(negatives(log, split, IMPLICIT, 2))
