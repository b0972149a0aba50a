"""Lists for re-ranking: four real events, six items that the user never touched, an initial order that only counts."""

from __future__ import annotations

import polars as pl
import pytest

from research.reranking.lists import ListSettings, build_lists
from trackrec.data.statistics import ItemStatistics
from trackrec.errors import RunError

ITEMS = pl.DataFrame({"item_id": [f"i{n:02d}" for n in range(30)]})


def log(users: tuple[str, ...] = ("a", "b"), events: int = 12) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each user touched items 0, 1, ... in order; the first two events are the past, the rest examples."""
    rows = [
        {
            "user_id": user,
            "event_id": 100 * number + event,
            "item_id": f"i{(event + number) % 30:02d}",
            "timestamp": event,
            "label": event % 2,
            "recent_item_ids": [f"i{(event + number - 1) % 30:02d}"],
            "recent_ratings": [float(event)],
        }
        for number, user in enumerate(users)
        for event in range(events)
    ]
    interactions = pl.DataFrame(rows, schema_overrides={"label": pl.Int8})
    return interactions.filter(pl.col("timestamp") >= 2), interactions


def lists(**changes: object) -> pl.DataFrame:
    examples, interactions = log()
    return build_lists(examples, interactions, ITEMS, ListSettings(**changes), seed=3)


def test_four_real_events_in_time_and_six_untouched_items() -> None:
    _, interactions = log()
    table = lists()
    sizes = table.group_by("user_id", "list").agg(
        real=pl.col("event_id").is_not_null().sum(), sampled=pl.col("event_id").is_null().sum()
    )
    assert sorted(sizes.rows()) == [(u, n, 4 if n < 2 else 2, 6) for u in "ab" for n in range(3)]
    first = table.filter(user_id="a", list=1).drop_nulls("event_id")
    assert sorted(first["event_id"]) == [6, 7, 8, 9]
    sampled = table.filter(pl.col("event_id").is_null())
    assert sampled.join(interactions, on=["user_id", "item_id"], how="semi").is_empty()
    assert sampled["label"].unique().to_list() == [0]
    assert not table.select("user_id", "list", "item_id").is_duplicated().any()


def test_labels_of_real_events_stay() -> None:
    _, interactions = log()
    joined = lists().drop_nulls("event_id").join(interactions, on="event_id", suffix="_log")
    assert (joined["label"] == joined["label_log"]).all()
    assert (joined["item_id"] == joined["item_id_log"]).all()


def test_a_list_knows_nothing_at_or_after_its_first_event() -> None:
    """The recent events are those of the list's first event: its own past, not that of the later ones."""
    table = lists().filter(user_id="a").group_by("list", maintain_order=True).agg(pl.col("recent_ratings").unique())
    assert table.rows() == [(0, [[2.0]]), (1, [[6.0]]), (2, [[10.0]])]


def test_a_users_lists_do_not_depend_on_other_users_or_on_the_order_of_rows() -> None:
    examples, interactions = log()
    alone = build_lists(examples.filter(user_id="b"), interactions.filter(user_id="b"), ITEMS, ListSettings(), seed=3)
    assert alone.equals(lists().filter(user_id="b"))
    turned = build_lists(examples.reverse(), interactions.reverse(), ITEMS.reverse(), ListSettings(), seed=3)
    assert turned.equals(lists())
    assert not build_lists(examples, interactions, ITEMS, ListSettings(), seed=4).equals(lists())


def test_short_lists_few_lists_and_small_catalogues() -> None:
    assert lists(shortest=3)["list"].unique().to_list() == [0, 1]
    assert lists(per_user=1).group_by("user_id").agg(pl.col("list").n_unique())["list"].to_list() == [1, 1]
    examples, interactions = log()
    small = build_lists(examples, interactions, ITEMS.head(14), ListSettings(), seed=3)
    assert small.filter(user_id="a", list=0)["event_id"].is_null().sum() == 2  # 12 of 14 items were touched
    assert build_lists(examples.clear(), interactions, ITEMS, ListSettings(), seed=3).is_empty()


def test_an_item_met_twice_in_a_list_is_one_candidate() -> None:
    examples, interactions = log(users=("a",))
    twice = examples.with_columns(item_id=pl.when(pl.col("event_id") == 3).then(pl.lit("i02")).otherwise("item_id"))
    table = build_lists(twice, interactions, ITEMS, ListSettings(), seed=3).filter(list=0).drop_nulls("event_id")
    assert sorted(table["event_id"]) == [2, 4, 5]


def test_initial_order_follows_the_counted_share_of_others() -> None:
    others = pl.DataFrame(
        {
            "user_id": [f"o{n}" for n in range(8)],
            "item_id": ["i02"] * 4 + ["i03"] * 4,
            "rating": [5.0] * 4 + [1.0] * 4,
            "timestamp": [0] * 8,
            "event_id": range(8),
        }
    )
    examples, interactions = log()
    statistics = ItemStatistics.from_interactions(others, like_threshold=4.0)
    table = build_lists(examples, interactions, ITEMS, ListSettings(), 3, statistics).filter(user_id="a", list=0)
    assert table["place"].to_list() == list(range(10))
    assert table["item_id"][0] == "i02"  # 4 of 4, drawn to 1/2 by 5: 6.5 / 9
    assert table["initial"][0] == pytest.approx(6.5 / 9)
    assert table["item_id"][9] == "i03"
    assert table["initial"][1:9].unique().to_list() == [0.5]


def test_the_place_of_a_tie_says_nothing_of_whether_an_item_was_sampled() -> None:
    examples, interactions = log(users=tuple(f"u{n}" for n in range(200)), events=6)
    table = build_lists(examples, interactions, ITEMS, ListSettings(), seed=1)
    place = table.drop_nulls("event_id")["place"].mean()
    assert isinstance(place, float)
    assert abs(place - 4.5) < 0.35  # 800 places of 0 to 9: a standard error of 0.1, without replacement less


def test_popular_items_are_drawn_more_often_if_asked() -> None:
    examples, interactions = log(users=tuple(f"u{n}" for n in range(60)), events=8)
    more = pl.DataFrame({"user_id": ["x"] * 300, "item_id": ["i29"] * 300})
    known = pl.concat([interactions.select("user_id", "item_id"), more])
    settings = ListSettings(sampling="popularity", sampled=2)
    drawn = build_lists(examples, known, ITEMS, settings, seed=1).filter(pl.col("event_id").is_null())["item_id"]
    assert (drawn == "i29").sum() > 4 * len(drawn) / 30


def test_users_unknown_to_the_log_are_refused() -> None:
    examples, interactions = log()
    with pytest.raises(RunError, match="User 'b' has examples but no interactions"):
        build_lists(examples, interactions.filter(user_id="a"), ITEMS, ListSettings(), seed=3)
