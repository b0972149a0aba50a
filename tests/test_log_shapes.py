"""The shapes that logs have: exposures, lists in rows, several signals, no times, many files, items that lie beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from research.logs_in_parts import read_in_parts
from trackrec.data.feedback import FeedbackSettings, label_events
from trackrec.data.log import Log
from trackrec.data.split import SplitSettings, split_log
from trackrec.data.tabular import TablesSettings, read_tables
from trackrec.errors import LogError


def read(file: Path | str, **settings: Any) -> Log:
    return read_tables(TablesSettings.model_validate({"interactions": str(file), **settings}))


def events(log: Log) -> list[tuple[Any, ...]]:
    return log.interactions.select("user_id", "item_id", "rating").rows()


SHOWN = [("U1", "N1", 1.0), ("U1", "N2", 0.0), ("U1", "N3-5", 0.0), ("U2", "N2", 1.0)]


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ({"shown": ["N1-1 N2-0 N3-5-0", "N2-1", None]}, {}),
        ({"shown": ["['N1', 'N2', 'N3-5']", "[N2]", ""], "clicks": ["N1", "N2", ""]}, {"shown_clicked": "clicks"}),
        (
            {"shown": [["N1", "N2", "N3-5"], ["N2"], None], "clicks": [["N1"], ["N2"], None]},
            {"shown_clicked": "clicks"},
        ),
        ({"shown": ["N1,N2,N3-5", "N2", None], "clicks": ["N1", "N2", None]}, {"shown_clicked": "clicks"}),
    ],
)
def test_what_was_shown_is_an_interaction_each(
    rows: dict[str, list[Any]], columns: dict[str, str], tmp_path: Path
) -> None:
    table = pl.DataFrame({"user": ["U1", "U2", "U3"], "time": ["11/13/2019 8:36:57 AM"] * 3} | rows)
    table.write_parquet(tmp_path / "log")
    log = read(tmp_path / "log", columns={"shown": "shown", **columns})
    assert events(log) == SHOWN
    labels = label_events(log.interactions, log.interactions, FeedbackSettings(kind="impressions"), 4.0)["label"]
    assert labels.to_list() == [1, 0, 0, 1]


def test_ids_of_what_was_shown_may_be_numbers(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("user,time,shown\n1,1600000000,12-1 15-0\n")
    log = read(tmp_path / "log", columns={"shown": "shown"})
    assert events(log) == [(1, 12, 1.0), (1, 15, 0.0)]
    (tmp_path / "log").write_text("user,time,shown\n1,1600000000,12 15\n")
    with pytest.raises(LogError, match="nothing says which of what was shown was clicked"):
        read(tmp_path / "log", columns={"shown": "shown"})


def test_impressions_by_weight() -> None:
    rows = pl.DataFrame({"user_id": [1] * 3, "rating": [0.0, 1.0, 5.0]})
    labels = label_events(rows, rows, FeedbackSettings(kind="impressions", like_weight=2), 4.0)["label"]
    assert labels.to_list() == [0, 0, 1]


PLAYED = [
    {"item_id": "10", "playtime": 6, "time": 1_600_000_000},
    {"item_id": "20", "playtime": 0, "time": 1_600_000_001},
]


@pytest.mark.parametrize("form", ["json", "python", "parquet"])
def test_lists_of_objects_in_rows(form: str, tmp_path: Path) -> None:
    rows = [{"user_id": "a", "items": PLAYED}, {"user_id": "b", "items": []}, {"user_id": "c", "items": PLAYED[:1]}]
    if form == "parquet":
        pl.DataFrame(rows).write_parquet(tmp_path / "log")
    else:
        told = [row if form == "json" else row | {"items": str(row["items"])} for row in rows]
        (tmp_path / "log").write_text("\n".join(map(json.dumps, told)))
    log = read(tmp_path / "log", columns={"nested": "items", "rating": "playtime"})
    assert events(log) == [("a", "10", 6.0), ("a", "20", 0.0), ("c", "10", 6.0)]  # the file says that they are text
    with pytest.raises(LogError, match=r"no column 'games', which columns\.nested names"):
        read(tmp_path / "log", columns={"nested": "games"})


def test_several_signals_by_weight(tmp_path: Path) -> None:
    text = "user,item,time,is_click,is_like,watch_share,is_hate\n"
    text += '1,2,1600000000,1,0,"0,5",false\n1,3,1600000001,0,0,"0,0",true\n1,4,1600000002,1,1,"1,25",false\n'
    text += "1,5,1600000003,,,,\n"
    (tmp_path / "log").write_text(text)
    weights = {"is_click": 1, "is_like": 3, "watch_share": 2, "is_hate": -5}
    log = read(tmp_path / "log", columns={"signals": weights})
    assert log.interactions["rating"].to_list() == [2.0, -5.0, 6.5]
    assert log.interactions["signal_watch_share"].to_list() == [0.5, 0.0, 1.25]
    assert log.interactions["signal_is_hate"].to_list() == [0.0, 1.0, 0.0]
    assert log.counts["dropped_without_rating"] == 1
    with pytest.raises(LogError, match=r"has no column cart, which columns\.signals names"):
        read(tmp_path / "log", columns={"signals": {"cart": 1}})


NO_TIMES = "user,item\n" + "".join(f"u{user},i{(user * 7 + place) % 30}\n" for user in range(20) for place in range(12))


def test_a_log_without_times_is_cut_at_random(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(NO_TIMES)
    with pytest.raises(LogError, match=r"looks like the timestamp.*columns\.timestamp to '-' for one whose order"):
        read(tmp_path / "log")
    log = read(tmp_path / "log", columns={"timestamp": "-"})
    assert log.counts["times_drawn_since_the_log_has_none"] == 240
    lines = NO_TIMES.splitlines()
    (tmp_path / "log").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    again = read(tmp_path / "log", columns={"timestamp": "-"})
    order = ["user_id", "item_id", "timestamp"]
    assert again.interactions.select(order).sort(order).equals(log.interactions.select(order).sort(order))
    for kind, same in (("random", "kar"), ("leave_k_out", "leave_last")):
        split, other = (split_log(log, SplitSettings(kind=name, last_events=2)) for name in (kind, same))  # type: ignore[arg-type]
        assert split.examples.equals(other.examples)
        assert split.examples.height == (120 if kind == "random" else 40)
    with pytest.raises(LogError, match=r"the log has no times.*expected split\.kind random or leave_k_out"):
        split_log(log, SplitSettings(kind="temporal"))
    settings = TablesSettings.model_validate({"interactions": str(tmp_path / "log"), "columns": {"timestamp": "-"}})
    with read_in_parts(settings, parts=1) as parts:
        examples = [split.examples for _, split in parts.splits(SplitSettings(kind="random")) if split]
    assert examples[0].height == 120


def test_a_log_with_times_is_not_cut_at_random(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("user,item,time\n1,2,1600000000\n")
    with pytest.raises(LogError, match=r"split\.kind is random, but the log has times"):
        split_log(read(tmp_path / "log"), SplitSettings(kind="random"))


def test_a_column_of_times_that_is_empty_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("user,item,timestamp\n1,2,\n1,3,  \n")
    with pytest.raises(LogError, match=r"holds no time at all; .*set columns\.timestamp to '-'"):
        read(tmp_path / "log")
    assert read(tmp_path / "log", columns={"timestamp": "-"}).interactions.height == 2


DAYS = [
    "user,item,rating,time\n1,10,5,1600000000\n1,11,3,1600000001\n",
    "time,user,item,rating\n1600086400,2,10,4\n",
    "user;item;rating;time\n3;12;2;1600172800\n",
]
ROWS = [(1, 10, 5.0), (1, 11, 3.0), (2, 10, 4.0), (3, 12, 2.0)]


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """Three files, and beside them what is no part of the log."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for number, text in enumerate(DAYS):
        (folder / f"day-{number}.csv").write_text(text)
    ours, systems = ("logs.card.json", "logs.recipe.yaml"), ("_SUCCESS", ".day-0.csv.crc", ".hidden.csv")
    for other in (*ours, *systems, "README", "LICENSE.txt", "notes.md"):
        (folder / other).write_text("{}")
    return folder


def test_a_folder_is_one_log(days: Path) -> None:
    assert events(read(days)) == ROWS
    assert events(read(f"{days}/")) == ROWS


def test_a_pattern_is_one_log_unless_a_file_is_called_so(days: Path) -> None:
    assert events(read(days / "day-*.csv")) == ROWS
    assert events(read(days / "day-[12].csv")) == ROWS[2:]
    assert events(read(days.parent / "**" / "day-0.csv")) == ROWS[:2]
    (days / "day-[12].csv").write_text("user,item,rating,time\n9,10,1,1600000000\n")
    assert events(read(days / "day-[12].csv")) == [(9, 10, 1.0)]
    with pytest.raises(LogError, match="holds no file: expected a file, a folder with some, or a pattern"):
        read(days / "night-*.csv")


def test_marks_of_a_folder_that_is_there_are_no_pattern(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = days.rename(days.parent / "logs [2024] *")
    assert events(read(odd)) == ROWS
    assert events(read(odd / "day-[12].csv")) == ROWS[2:]
    monkeypatch.chdir(days.parent)
    assert events(read("logs [2024] */day-?.csv")) == ROWS


def test_a_file_that_does_not_fit_is_named(days: Path) -> None:
    (days / "day-1.csv").write_text("user,item,stars\n1,2,3\n")
    with pytest.raises(LogError, match=r"day-1\.csv does not fit the files beside it: .* it has user, item, stars"):
        read(days)
    (days / "day-1.csv").write_text("user,item,rating,time\n1,2,3,4,5\n")
    with pytest.raises(LogError, match=r"day-1\.csv cannot be read: line 2 has 5 fields, expected 4"):
        read(days)


def test_partitions_are_columns(tmp_path: Path) -> None:
    for day, user in (("2020-09-13", 1), ("2020-09-14", 2)):
        folder = tmp_path / f"date={day}"
        folder.mkdir()
        pl.DataFrame({"user": [user], "item": [10], "rating": [4]}).write_parquet(folder / "part-0.parquet")
    log = read(tmp_path)
    assert log.interactions["timestamp"].to_list() == [1_599_955_200, 1_600_041_600]
    assert events(log) == [(1, 10, 4.0), (2, 10, 4.0)]


def test_files_of_other_types_and_keys(tmp_path: Path) -> None:
    time = {"time": [1_600_000_000]}
    pl.DataFrame({"user": [1], "item": [10], **time}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"user": ["x"], "item": [11], **time}).write_parquet(tmp_path / "b.parquet")
    assert [row[:2] for row in events(read(tmp_path / "*.parquet"))] == [("1", 10), ("x", 11)]
    (tmp_path / "a.jsonl").write_text('{"user": 1, "item": 2, "time": 1600000000}\n')
    (tmp_path / "b.jsonl").write_text('{"user": 1, "item": 3, "rating": 4, "time": 1600000000}\n')
    log = read(tmp_path / "*.jsonl")
    assert (events(log), log.counts["dropped_without_rating"]) == ([(1, 3, 4.0)], 1)


def test_a_short_row_in_one_of_many_files(days: Path) -> None:
    (days / "day-3.csv").write_text("user,item,rating,time\n4,12,1600000000\n4,12,1,1600000000\n")
    log = read(days)
    assert events(log) == [*ROWS, (4, 12, 1.0)]
    assert log.counts["dropped_too_few_fields"] == 1


def test_items_that_lie_beside(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("user,item,time\n1,10,1600000000\n1,11,1600000001\n")
    (tmp_path / "items.csv").write_text("item_id,title\n10,A\n11,\n12,C\n")
    (tmp_path / "kinds.tsv").write_text("id\tcategory\n10\tDrama\n11\tWar\n10\tComedy\n99\tWestern\n")
    more = pl.DataFrame(
        {
            "item": [11, 10, 10], "title": ["B", "x", "y"], "authors": [["Ann", "Bob"], None, ["Cy"]],
            "size": [{"w": 1, "h": 2}, {"w": 3, "h": None}, None],
        }
    )  # fmt: skip
    more.write_parquet(tmp_path / "more.parquet")
    given = [str(tmp_path / name) for name in ("kinds.tsv", "more.parquet")]
    log = read(tmp_path / "log", items=str(tmp_path / "items.csv"), more_items=given)
    assert log.items.select("item_id", "title", "genres", "creator", "size_w", "size_h").rows() == [
        (10, "A", ["Drama", "Comedy"], "Cy", 3, None),
        (11, "B", ["War"], "Ann, Bob", 1, 2),
        (12, "C", [], None, None, None),
    ]
    alone = read(tmp_path / "log", more_items=[str(tmp_path / "items.csv")])
    assert alone.items["title"].to_list() == ["A", "untitled", "C"]


@pytest.mark.parametrize(
    ("written", "creator"),
    [
        ("['Ann', \"O'Neill\"]", "Ann, O'Neill"),
        ('[{"author_id": "7", "name": "Ann"}]', "Ann"),
        ("Ann, Bob", "Ann, Bob"),
        ("[Ann] Bob", "[Ann] Bob"),
    ],
)
def test_creators_as_lists(written: str, creator: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("user,item,time\n1,10,1600000000\n")
    pl.DataFrame({"item": [10], "title": ["a"], "author": [written]}).write_parquet(tmp_path / "items")
    assert read(tmp_path / "log", items=str(tmp_path / "items")).items["creator"].to_list() == [creator]
