"""New interactions: whose history changed enough, found without working through the whole log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.data.feedback import FeedbackSettings
from trackrec.data.filters import FilterSettings, filter_log
from trackrec.data.log import Log
from trackrec.data.log_updates import RefreshSettings, grow_log, histories_after, list_refresh
from trackrec.data.split import SplitSettings, split_log
from trackrec.errors import LogError, RecipeError, RunError
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.pipeline.update import Updates, find_updates, refresh_settings
from trackrec.progress import Reporter

ITEMS = pl.DataFrame({"item_id": range(6), "title": [f"Item {n}" for n in range(6)]})
SCHEMA = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64}
ROW = st.tuples(st.integers(1, 5), st.integers(0, 5), st.sampled_from([2.0, 5.0]), st.integers(1, 12))
SPLITS = [
    SplitSettings(min_history=2, max_history=3),
    SplitSettings(kind="leave_last", min_history=1, max_history=3),
    SplitSettings(kind="temporal", min_history=1, max_history=3, temporal_quantile=0.5),
]
FILTERS = [FilterSettings(), FilterSettings(min_events=3), FilterSettings(user_core=2, item_core=2)]


def make_log(rows: list[tuple[Any, ...]], items: pl.DataFrame = ITEMS) -> Log:
    return Log.checked(pl.DataFrame(rows, schema=SCHEMA, orient="row"), items, where="test")


def histories_of(log: Log, split: SplitSettings, filters: FilterSettings) -> pl.DataFrame:
    try:
        return split_log(filter_log(log, filters), split).histories.sort("user_id", "position")
    except LogError:
        return split_log(make_log([(1, 1, 5.0, t) for t in range(1, 9)]), SPLITS[0]).histories.clear()


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.kind)
@pytest.mark.parametrize("filters", FILTERS, ids=["all", "active", "core"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(old=st.lists(ROW, min_size=8, max_size=40), new=st.lists(ROW, min_size=1, max_size=12))
def test_the_update_equals_a_recompute_from_scratch(
    split: SplitSettings, filters: FilterSettings, old: list[Any], new: list[Any]
) -> None:
    """From scratch: one log of all rows, new ones last, those that were known left out."""
    log = make_log(old)
    before = histories_of(log, split, filters)
    grown, touched = grow_log(log, make_log(new))
    now = histories_after(grown, touched, before, split, FeedbackSettings(), filters)
    scratch = histories_of(make_log(old + [row for row in new if row not in old]), split, filters)
    assert now.equals(scratch)
    written = before["user_id"].unique()
    newest, enough = 12, RefreshSettings(new_items=2, share=0.6, max_age_days=0.00005)
    listed = list_refresh(before, now, written, touched, newest, enough)
    # The same by plain loops over the recomputed histories.
    expected = []
    for user in scratch["user_id"].unique().sort():
        mine = scratch.filter(pl.col("user_id") == user)["event_id"].to_list()
        was = before.filter(pl.col("user_id") == user)
        fresh = len(set(mine) - set(was["event_id"]))
        if was.is_empty():
            expected += [(user, "no_reccot", fresh)] * (user in {row[0] for row in new if row not in old})
            continue
        age = (newest - max(was["timestamp"])) / 86_400
        reasons = [("new_items", fresh >= 2), ("share", fresh / len(mine) >= 0.6), ("age", age >= 0.00005)]
        expected += [(user, reason, fresh) for reason, holds in reasons if fresh and holds][:1]
    assert listed.select("user_id", "reason", "new_items").rows() == expected


def test_by_hand() -> None:
    times = pl.DataFrame({"user_id": [1, 1, 2, 3], "event_id": [0, 1, 2, 3], "timestamp": [0, 86_400, 0, 0]})
    now = pl.DataFrame({"user_id": [1, 1, 1, 2, 3, 3, 4], "event_id": [0, 1, 7, 2, 3, 8, 9]})
    written, touched = pl.Series([1, 2, 3]), pl.Series([1, 3, 4])
    day = 10 * 86_400
    assert list_refresh(times, now, written, touched, day, RefreshSettings(share=0.4)).rows() == [
        (3, "share", 1, 0.5, 10.0, 2),
        (4, "no_reccot", 1, 1.0, None, 1),
    ]
    found = list_refresh(
        times, now, written, touched, day, RefreshSettings(share=0.4, max_age_days=9, without_reccot=False)
    )
    # User 2 is as old, but has the same history.
    assert found.select("user_id", "reason", "age_days").rows() == [(1, "age", 9.0), (3, "share", 10.0)]


def test_ids_and_items_of_the_new_rows() -> None:
    log = make_log([(1, 1, 5.0, 1)])
    text = replace(log, interactions=log.interactions.with_columns(pl.col("user_id").cast(pl.String)))
    grown, touched = grow_log(text, make_log([(2, 1, 5.0, 2)]))
    assert touched.to_list() == ["2"]
    with pytest.raises(LogError, match=r"hold user_id as text \(such as '1'\), but the log as whole numbers"):
        grow_log(log, text)
    more = pl.DataFrame({"item_id": [1, 9], "title": ["Renamed", "New"]})
    grown, _ = grow_log(log, make_log([(1, 9, 5.0, 2), (1, 1, 5.0, 1)], more))
    assert grown.items.filter(pl.col("item_id").is_in([1, 9]))["title"].to_list() == ["Item 1", "New"]
    assert grown.interactions["event_id"].to_list() == [0, 1]
    assert grown.counts["new_rows_known_before"] == 1


def test_settings_and_folders_that_do_not_fit(tmp_path: Path) -> None:
    assert refresh_settings(["new_items=3", "max_age_days=90"]).max_age_days == 90
    with pytest.raises(RecipeError, match=r"--set new_item: .* known: new_items, share, max_age_days"):
        refresh_settings(["new_item=3"])
    with pytest.raises(RunError, match=r"holds no finished run \(no recipe.yaml\)"):
        find_updates(tmp_path, "new.csv", "", {}, RefreshSettings())


def update_with(run: Path, rows: list[tuple[int, int, int, int]]) -> Updates:
    """What new rows (user, film, rating, time) change in a run."""
    new = run.parent / "new.csv"
    pl.DataFrame(rows, schema=["user", "item", "rating", "time"], orient="row").write_csv(new)
    return find_updates(run, str(new), "", {}, RefreshSettings(new_items=3))


def test_the_run_s_own_histories_are_read(tmp_path: Path) -> None:
    """The data stage of a run keeps more columns of a history than a split makes."""
    log = write_tiny_log(tmp_path / "log")
    recipe = tiny_recipe(tmp_path / "no-model-is-read", log)
    folder = tmp_path / "run"
    dataset = prepare(recipe, open_run(recipe, folder, Reporter()))
    assert "expected" in dataset.histories.columns
    texts = dataset.roles.select("user_id", kind=pl.lit("kept"), text=pl.lit("Likes films."))
    texts.write_parquet(folder / "reccots.parquet")
    user, other = dataset.histories["user_id"].unique().sort()[:2]
    known = dataset.histories.filter(pl.col("user_id") == user)["item_id"].to_list()
    unseen = [film for film in range(1, 41) if film not in known]
    # A history ends before the last interactions of its user: what is newer than all of them pushes some into it.
    found = update_with(folder, [(user, film, 5, 890_000_000 + film) for film in unseen[:12]])
    assert found.counts["new_interactions"] == 12
    assert found.counts["users_with_a_reccot"] == dataset.roles.height
    assert found.refresh.select("user_id", "reason").rows() == [(user, "new_items")]
    assert update_with(folder, [(other, unseen[0], 5, 890_000_000)]).refresh.is_empty()


def test_a_log_that_changed_is_named(tmp_path: Path) -> None:
    log = write_tiny_log(tmp_path / "log")
    recipe = tiny_recipe(tmp_path / "no-model-is-read", log)
    dataset = prepare(recipe, open_run(recipe, tmp_path / "run", Reporter()))
    dataset.roles.select("user_id", kind=pl.lit("kept")).write_parquet(tmp_path / "run" / "reccots.parquet")
    lines = (log / "u.data").read_text().splitlines()
    (log / "u.data").write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(RunError, match="is no longer the one that its RecCoTs were written from"):
        update_with(tmp_path / "run", [(1, 1, 5, 890_000_000)])
