"""Relatives of faults that logs were misread by: each value right, or one error that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_log_values import LOG, NOON, read

from trackrec.data.feedback import guess_liking
from trackrec.data.genres import read_genres
from trackrec.data.log import Log
from trackrec.data.rating_scale import as_amount, rating_warnings, sentinels
from trackrec.data.tabular import TablesSettings, read_tables
from trackrec.errors import LogError


def plays(written: list[str], folder: Path, **columns: Any) -> Log:
    rows = "".join(f"1\t{place}\t{number}\t{1_600_000_000 + place}\n" for place, number in enumerate(written))
    return read(folder, "user\titem\tplays\ttime\n" + rows, rating="plays", **columns)


@pytest.mark.parametrize(
    ("written", "numbers", "told"),
    [
        (["95%", "80 %", "12.5%"], [95, 80, 12.5], "50% as 50"),
        (["95,5%", "80%"], [95.5, 80], "4,5 as 4.5, 50% as 50"),
        (["$1,500.00", "-$3.50"], [1500, -3.5], "1,200 as 1200"),
        (["1.500,00 €", "3,50 €"], [1500, 3.5], "1.200 as 1200"),
        (["€1.500,00", "3,50 EUR", "USD 2,00"], [1500, 3.5, 2], "1.200 as 1200"),
        (["₹1,50,000", "₹500"], [150_000, 500], "1,200 as 1200"),
        (["1,00,000", "5,000"], [100_000, 5000], "1,200 as 1200"),
        (["(5)", "3"], [-5, 3], ""),
        (["5-", "3"], [-5, 3], ""),
        (["\u22125", "3"], [-5, 3], ""),
        (["５", "３"], [5, 3], ""),
        (["1,500", "15"], [1500, 15], "1,200 as 1200 (columns.decimal: ',' if that is 1.2)"),
        (["1,5", "1,500", "2"], [1.5, 1.5, 2], "4,5 as 4.5"),
        (["up", "down"], [1, 0], "true, yes and the like as 1"),
    ],
)
def test_units_and_signs_of_numbers(written: list[str], numbers: list[float], told: str, tmp_path: Path) -> None:
    log = plays(written, tmp_path)
    assert log.interactions["rating"].to_list() == numbers
    assert told in "".join(log.notes)
    assert bool(told) == any("numbers in plays are read so" in note for note in log.notes)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (["95%", "0.8", "0.5"], "1 of the numbers in 'plays' have a percent sign and the others have none"),
        (["good", "bad"], r"'plays' holds no number at all, but 'good', 'bad': .*columns\.event_weights"),
        (["4 stars", "★★"], "holds no number at all, but '4 stars', '★★'"),
        (["00:12:30", "01:02:03"], "holds no number at all, but '00:12:30'"),
    ],
)
def test_what_is_no_number_is_named(written: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=message):
        plays(written, tmp_path)


def test_some_values_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    log = plays(["1.5K", "850", "", "NA", "not rated"], tmp_path)
    assert log.counts["dropped_without_rating"] == 4
    assert "what is no number in plays (2 of them, such as '1.5K', 'not rated') counts as missing" in log.notes
    given = {"signals": {"share": 2}, "rating": ""}
    shares = read(tmp_path, "user,item,time,share\n1,2,1600000000,95%\n1,3,1600000001,5%\n", **given)
    assert shares.interactions["rating"].to_list() == [190, 10]


@pytest.mark.parametrize(
    ("written", "count", "seconds"),
    [
        (["637861359000000000"], "times_in_ticks_since_the_year_1", [NOON]),
        (["132950127000000000"], "times_in_ticks_since_1601", [NOON]),
        (["13295012700000000"], "times_in_microseconds_since_1601", [NOON]),
        (["1650539100000000000"], "times_in_nanoseconds", [NOON]),
        (["20220421-110500", "20220421_1105"], "times_as_iso_text_without_dashes", [NOON, NOON]),
        (["2022-04-21t11:05:00z"], "times_as_iso_text", [NOON]),
        (["2022-04-21T13:05:00+02:00[Europe/Berlin]"], "times_as_iso_text", [NOON]),
        (["2022-04-21 05:35:00.5-05:30"], "times_as_iso_text", [NOON]),
        (["2022-04", "2021-12"], "times_as_year_month_day", [1_648_771_200, 1_638_316_800]),
        (["21-Apr-2022 11:05", "1-May-2022 00:00"], "times_in_the_given_format", [NOON, 1_651_363_200]),
        (["April 21, 2022", "may 1, 2022"], "times_in_the_given_format", [1_650_499_200, 1_651_363_200]),
        (["Apr 21, 2022 11:05 AM"], "times_in_the_given_format", [NOON]),
        (["02 28, 2014", "12 1, 2013"], "times_in_the_given_format", [1_393_545_600, 1_385_856_000]),
        (["Thu Apr 21 11:05:00 2022"], "times_in_the_given_format", [NOON]),
        (["21/Apr/2022:13:05:00 +0200"], "times_in_the_given_format", [NOON]),
        (["2022年4月21日"], "times_in_the_given_format", [1_650_499_200]),
        (["44672", "44673"], "times_as_days_of_a_spreadsheet", [1_650_499_200, 1_650_585_600]),
    ],
)
def test_further_forms_of_moments(written: list[str], count: str, seconds: list[int], tmp_path: Path) -> None:
    log = read(tmp_path, "user;item;time\n" + "".join(f"1;{place};{time}\n" for place, time in enumerate(written)))
    assert log.interactions["timestamp"].to_list() == seconds
    assert log.counts[count] == len(written)


@pytest.mark.parametrize(
    ("written", "form", "seconds"),
    [
        (["01042022", "21042022"], "%d%m%Y", [1_648_771_200, 1_650_499_200]),
        (["04012022", "04212022"], "%m%d%Y", [1_648_771_200, 1_650_499_200]),
        (["050421", "220421"], "%y%m%d", [1_114_041_600, 1_650_499_200]),
        (["2022111", "2022112"], "%Y%j", [1_650_499_200, 1_650_585_600]),
        (["21/04/22", "01/04/22"], "%d/%m/%y", [1_650_499_200, 1_648_771_200]),
    ],
)
def test_dates_that_may_be_something_else_are_asked_for(
    written: list[str], form: str, seconds: list[int], tmp_path: Path
) -> None:
    text = "user;item;time\n" + "".join(f"1;{place};{time}\n" for place, time in enumerate(written))
    with pytest.raises(LogError, match=rf"columns\.timestamp_format.*{form}"):
        read(tmp_path, text)
    assert read(tmp_path, text, timestamp_format=form).interactions["timestamp"].to_list() == seconds


def test_dates_of_no_time_are_left_out_and_counted(tmp_path: Path) -> None:
    times = ["-0044-03-15", "0001-01-01", "0000-00-00 00:00:00", "9999-12-31", "1970-01-01", "2022-04-21"]
    log = read(tmp_path, "user,item,time\n" + "".join(f"1,2,{time}\n" for time in times))
    assert log.interactions["timestamp"].to_list() == [1_650_499_200]
    assert [log.counts[f"dropped_{why}_timestamp"] for why in ("bad", "zero", "future")] == [3, 1, 1]


@pytest.mark.parametrize(
    ("day", "clocks", "seconds"),
    [
        ("4/21/2022", ["11:05 PM", "12:00 am"], [NOON + 43_200, NOON - 39_900]),
        ("20220421", ["5", "1905", "0"], [NOON - 39_600, NOON + 28_800, NOON - 39_900]),
    ],
)
def test_times_of_day_beside_a_date(day: str, clocks: list[str], seconds: list[int], tmp_path: Path) -> None:
    log = read(tmp_path, "user,item,date,hourmin\n" + "".join(f"1,2,{day},{clock}\n" for clock in clocks))
    assert log.interactions["timestamp"].to_list() == seconds


@pytest.mark.parametrize("times", [["NULL", "NaN"], ["0", "0"], ["-1", "-1"], [None, None]])
def test_no_times_in_any_words(times: list[str | None], tmp_path: Path) -> None:
    table = pl.DataFrame({"user": [1, 2], "item": [2, 3], "timestamp": times})
    with pytest.raises(LogError, match=r"set columns\.timestamp to '-'"):
        read(tmp_path, table)
    assert read(tmp_path, table, timestamp="-").interactions.height == 2


GENRES: list[tuple[list[Any], list[list[str]]]] = [
    (["<a|b>", "<b>"], [["a", "b"], ["b"]]),
    (["['Drama', 'War'", "['War']"], [["Drama"], ["War"]]),
    (["array(['a', 'b c'], dtype=object)", "np.array(['b'])"], [["a", "b c"], ["b"]]),
    (["WrappedArray(a, b)", "List(b)"], [["a", "b"], ["b"]]),
    (["['a', 'b', ...]", "[...]"], [["a", "b"], []]),
    (['"[""a"",""b""]"', '"[\\"b\\"]"'], [["a", "b"], ["b"]]),
    (['[{"id": "g1", "displayName": "Action"}]', '[{"key": "g2", "slug": "war"}]'], [["Action"], ["war"]]),
    (['[{"name": {"de": "Tat", "en": "Action"}}]', '{"name": {"de": "Krieg", "fr": "guer"}}'], [["Action"], ["Krieg"]]),
    (["rock:100,pop:50", "pop:20"], [["rock", "pop"], ["pop"]]),
    (["Drama::War", "War::Comedy"], [["Drama", "War"], ["War", "Comedy"]]),
    (["剧情、战争", "战争"], [["剧情", "战争"], ["战争"]]),
    (["/Home/Bath", "/Home/Kitchen"], [["Home", "Bath"], ["Home", "Kitchen"]]),
    (["R&B/Soul", "Pop"], [["R&B/Soul"], ["Pop"]]),
    (["Under-, Nightwear", "Dress"], [["Under-, Nightwear"], ["Dress"]]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "genres"), GENRES)
def test_further_forms_of_genres(values: list[str], genres: list[list[str]]) -> None:
    for dtype in (pl.String, pl.Categorical, pl.Binary):
        assert read_genres(pl.Series(values).cast(dtype), None).values.to_list() == genres


def test_two_separators_in_one_column() -> None:
    mixed = read_genres(pl.Series(["Drama|War", "Drama, War", "War", "Drama"]), None)
    assert mixed.values.to_list() == [["Drama", "War"], ["Drama", "War"], ["War"], ["Drama"]]
    assert "and at ',', as in 'Drama, War'" in mixed.note


STARS = [1.0, 2.0, 3.0, 4.0, 5.0] * 20


@pytest.mark.parametrize(
    ("extra", "apart"),
    [
        ([99.0] * 9, {99.0: 9}),
        ([999.0] * 9, {999.0: 9}),
        ([-99.0, -1.0, 0.0, 99.0], {-99.0: 1, -1.0: 1, 0.0: 1, 99.0: 1}),
        ([-1.0] * 9 + [0.0], {-1.0: 9, 0.0: 1}),
        ([0.5, *[0.0] * 9], {0.0: 9}),
        ([0.5] * 9 + [0.0] * 3, {}),
    ],
)
def test_numbers_that_say_none_make_no_amount(extra: list[float], apart: dict[float, int]) -> None:
    ratings = pl.Series([*STARS, *extra])
    assert sentinels(ratings) == apart
    assert guess_liking(ratings, True)[:2] == ("threshold", 4.0)
    assert len(rating_warnings(ratings, as_amount(ratings), "stars")) == len(apart)


def test_zero_is_a_step_of_a_long_scale() -> None:
    assert sentinels(pl.Series([float(step) for step in range(101)])) == {}
    assert sentinels(pl.Series([0.0, *(float(step) for step in range(20, 101))])) == {0.0: 1}


@pytest.mark.parametrize(
    ("column", "values", "weight"),
    [
        ("Quantity", [1.0, 2.0, 3.0, -1.0, -1.0], 1.0),
        ("plays", [1.0, 2.0, 4.0], None),
        ("watch_time", [0.0, 2.5, 4.0], 2.5),
        ("x", [1.0, 2.0, 3.0, 12.0, *[1.0] * 9, -1.0], 1.0),
        ("x", [float(minute) for minute in range(1, 80)] + [99.0], None),
    ],
)
def test_amounts_by_name_and_by_their_end(column: str, values: list[float], weight: float | None) -> None:
    liking = guess_liking(pl.Series(values), True, column=column)
    assert (liking.kind, liking.like_weight) == ("implicit", weight)
    assert "no scale of opinion" in rating_warnings(pl.Series(values), as_amount(pl.Series(values), column), column)[0]


def test_shares_are_pointed_out() -> None:
    shares = pl.Series([step / 97 for step in range(98)])
    assert guess_liking(shares, True).kind == "threshold"
    assert "98 different values from 0 to 1: if these are measured" in rating_warnings(shares, None, "watch_ratio")[0]


def test_a_click_after_ten_thousand_rows(tmp_path: Path) -> None:
    rows = "".join(f"{n % 7},{n % 9},{1_600_000_000 + n},0\n" for n in range(12_000))
    log = read(tmp_path, f"user,item,time,is_click\n{rows}1,3,1600000000,1\n")
    assert log.interactions["rating"].sum() == 1
    assert any("is_click holds truth values alone" in note for note in log.notes)


def test_clicks_as_one_and_minus_one(tmp_path: Path) -> None:
    log = read(tmp_path, "user,item,time,label\n1,2,1600000000,-1\n1,3,1600000001,1\n")
    assert log.interactions["rating"].to_list() == [-1, 1]
    shown = read(tmp_path, "user,item,time,action\n1,2,1600000000,impression\n1,3,1600000001,click\n")
    assert "also impression, though that was merely shown or passed over" in shown.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,item,time\n1,2,1600000000,\n1,3,1600000001,\n", r"lines have 4 fields \(the last of them is empty"),
        ("user\titem\ttime\n1\t1\t2\t1600000000\n2\t1\t3\t1600000001\n", "4 fields: the header lacks a name"),
        ("# by x\nuser,item,time\n1,2,1600000000\n", "the first line, '# by x', is no header of the 3 fields in the"),
        ("user item time\n1 2 1600000000\n", "if spaces stand between the fields, set separator to ' '"),
        ("user,item,time,c\n1,2,1600000000,'a, b'\n", "if ' does what these do, set quote to '"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_all_lines_is_said(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=message):
        read(tmp_path, text)


def test_a_short_row_of_items_gives_no_wrong_value(tmp_path: Path) -> None:
    log = read(tmp_path, LOG, "item_id,title,genres,size\n10,A,Drama,1\n11,War,2\n12,B,War,3\n")
    assert log.items["title"].to_list() == ["A", "untitled", "B"]
    assert log.items["genres"].to_list() == [["Drama"], [], ["War"]]
    assert log.items["size"].to_list() == ["1", None, "3"]
    assert log.counts["items_rows_with_too_few_fields"] == 1


def test_a_short_row_of_interactions_describes_no_item(tmp_path: Path) -> None:
    text = "user,item,title,genres,time\n1,10,Drama,1600000000\n1,11,War\n2,10,A,Drama,1600000000\n"
    log = read(tmp_path, text)
    assert log.items.select("item_id", "title", "genres").rows() == [(10, "A", ["Drama"])]
    assert log.counts["dropped_too_few_fields"] == 2


def test_ids_that_a_column_cannot_hold(tmp_path: Path) -> None:
    times = [1_600_000_000] * 2
    for dtype, number in ((pl.Float32, 2.0**24 + 1), (pl.Float64, 2.0**53 + 1)):
        table = pl.DataFrame({"user": pl.Series([number, 1.0], dtype=dtype), "item": [1, 2], "time": times})
        with pytest.raises(LogError, match="beyond what that holds exactly, so that several may have become one"):
            read(tmp_path, table)
    long = pl.DataFrame({"user": ["12345678901234567890123", "2"], "item": [b"a", b"b"], "time": times})
    log = read(tmp_path, long.with_columns(pl.col("user").cast(pl.Decimal(38, 0))))
    assert log.interactions.select("user_id", "item_id").rows() == [("12345678901234567890123", "a"), ("2", "b")]
    nested = pl.DataFrame({"user": [[1], [2]], "item": [1, 2], "time": times})
    with pytest.raises(LogError, match=r"holds user_id as List\(Int64\): expected one value a row; .*columns\.nested"):
        read(tmp_path, nested)


def test_ids_that_differ_by_how_accents_are_written(tmp_path: Path) -> None:
    text = "user,item,time\n1,caf\u00e9,1600000000\n1,x,1600000001\n"
    log = read(tmp_path, text, "item_id,title\ncafe\u0301,A\nx,B\n")
    assert any("differ by how their accents are composed (Unicode NFC and NFD) alone" in note for note in log.notes)


def test_an_item_table_of_other_ids_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="have items such as 10, the catalogue such as 901: is it the same column"):
        read(tmp_path, LOG, "item_id,title\n901,A\n902,B\n")


SHOWN = [("a", "x", 0.0), ("a", "y z", 1.0), ("b", "x", 1.0)]


@pytest.mark.parametrize(
    ("shown", "clicks"),
    [
        (["['x', 'y z']", "['x']"], ["['y z']", "['x']"]),
        (['["x", "y z"]', '["x"]'], ["[0, 1]", "[1]"]),
        ([["x", "y z"], ["x"]], [["0", "1"], ["1"]]),
        ([["x"], []], [["y z"], ["x"]]),  # what was clicked was shown
    ],
)
def test_clicks_beside_what_was_shown(shown: list[Any], clicks: list[Any], tmp_path: Path) -> None:
    table = pl.DataFrame({"user": ["a", "b"], "time": [1_600_000_000] * 2, "shown": shown, "clicks": clicks})
    table.write_parquet(tmp_path / "log")
    columns = {"shown": "shown", "shown_clicked": "clicks"}
    log = read_tables(TablesSettings.model_validate({"interactions": str(tmp_path / "log"), "columns": columns}))
    assert log.interactions.select("user_id", "item_id", "rating").rows() == SHOWN


@pytest.mark.parametrize("form", ["lists", "text"])
def test_lists_of_the_same_length_become_rows(form: str, tmp_path: Path) -> None:
    lists = {
        "item": [["x", "y"], ["z"]],
        "time": [[1_600_000_000, 1_600_000_001], [1_600_000_002]],
        "tags": [[], ["q"]],
    }
    rows = lists if form == "lists" else {name: [str(each) for each in values] for name, values in lists.items()}
    pl.DataFrame({"user": ["a", "b"]} | rows).write_parquet(tmp_path / "log")
    log = read(tmp_path, pl.read_parquet(tmp_path / "log"), nested="item")
    assert log.interactions.select("user_id", "item_id", "timestamp").rows() == [
        ("a", "x", 1_600_000_000), ("a", "y", 1_600_000_001), ("b", "z", 1_600_000_002),
    ]  # fmt: skip
