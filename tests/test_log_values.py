"""What the values of a log mean: numbers, times, genres, ids and ratings, each with the right value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trackrec.data.columns import ColumnMapping, find_columns
from trackrec.data.feedback import guess_liking
from trackrec.data.genres import find_separator, read_genres
from trackrec.data.log import Log
from trackrec.data.rating_scale import sentinels
from trackrec.data.tabular import TablesSettings, guess_columns, read_tables
from trackrec.errors import LogError

LOG = "user_id,item_id,rating,timestamp\n1,10,5,1600000000\n1,11,3,1600000100\n2,10,4,1600000200\n2,12,2,1600000300\n"


def read(folder: Path, log: str | pl.DataFrame, items: str | pl.DataFrame | None = None, **columns: Any) -> Log:
    given: dict[str, Any] = {"columns": columns, "latest_day": "2025-12-31"}
    for name, content in (("interactions", log), ("items", items)):
        if isinstance(content, pl.DataFrame):
            content.write_parquet(folder / name)
        elif content is not None:
            (folder / name).write_text(content, encoding="utf-8")
        if content is not None:
            given[name] = str(folder / name)
    return read_tables(TablesSettings.model_validate(given))


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        (["1,200", "850", "15,000", "12"], [1200, 850, 15000, 12]),
        (["1.200", "850", "15.000", "12"], [1200, 850, 15000, 12]),
        (["1 200", "850", "15 000"], [1200, 850, 15000]),
        (["1\u00a0200", "1'200", "1_200,5"], [1200, 1200, 1200.5]),
        (["1,200,300", "5"], [1_200_300, 5]),
        (["1.200.300", "5"], [1_200_300, 5]),
        (["1,200.50", "5"], [1200.5, 5]),
        (["1.200,50", "5"], [1200.5, 5]),
        (["1,200", "850.5"], [1200, 850.5]),
        (["1.200", "850,5"], [1200, 850.5]),
        (["-1,200", "-80,995", "15"], [-1200, -80995, 15]),
        (["4,5", "3"], [4.5, 3]),
        (["0,125", "12"], [0.125, 12]),
        (["4.125", "3.667"], [4.125, 3.667]),
        (["0.722", "12.345", "1"], [0.722, 12.345, 1]),
        (["true", "False", "TRUE"], [1, 0, 1]),
        (["yes", "No", "y"], [1, 0, 1]),
    ],
)
def test_numbers_as_they_are_written(written: list[str], numbers: list[float], tmp_path: Path) -> None:
    rows = "".join(f"1\t{place}\t{number}\t{1_600_000_000 + place}\n" for place, number in enumerate(written))
    log = read(tmp_path, "user\titem\tplays\ttime\n" + rows, rating="plays")
    assert log.interactions["rating"].to_list() == numbers


@pytest.mark.parametrize("written", [["4,500", "3", "3,667"], ["1,200", "2,500"], ["1.250", "3"], ["1,200", "1500"]])
def test_numbers_of_two_readings_are_asked_for(written: list[str], tmp_path: Path) -> None:
    rows = "".join(f"1\t{place}\t{number}\t1600000000\n" for place, number in enumerate(written))
    text = "user\titem\tplays\ttime\n" + rows
    with pytest.raises(LogError, match=r"the numbers in 'plays' may have thousands or a fraction .*columns\.decimal"):
        read(tmp_path, text, rating="plays")
    for mark in (".", ","):
        log = read(tmp_path, text, rating="plays", decimal=mark)
        other = "," if mark == "." else "."
        expected = [float(number.replace(other, "").replace(mark, ".")) for number in written]
        assert log.interactions["rating"].to_list() == expected


def test_quantities_with_thousands(tmp_path: Path) -> None:
    log = read(tmp_path, 'user,item,quantity,time\n1,2,"1,200",1600000000\n1,3,-15,1600000001\n1,4,850,1600000002\n')
    assert log.counts["dropped_quantity_not_positive"] == 1
    assert log.interactions.height == 2


def test_truth_values_of_parquet_are_ratings(tmp_path: Path) -> None:
    table = pl.DataFrame({"user": [1, 1], "item": [2, 3], "rating": [True, False], "time": [1_600_000_000] * 2})
    assert read(tmp_path, table).interactions["rating"].to_list() == [1.0, 0.0]


NOON = 1_650_539_100  # 2022-04-21T11:05:00


@pytest.mark.parametrize(
    ("written", "count", "seconds"),
    [
        (["202204211105", "202204220000"], "times_as_yyyymmddhhmm", [NOON, 1_650_585_600]),
        (["2022042111", "2022042200"], "times_as_yyyymmddhh", [NOON - 300, 1_650_585_600]),
        (["20220421110500", "20220422000059"], "times_as_yyyymmddhhmmss", [NOON, 1_650_585_659]),
        (["20220421110500123"], "times_as_yyyymmddhhmmssmmm", [NOON]),
        (["20220421"], "times_as_yyyymmdd", [1_650_499_200]),
        (["202204", "202112"], "times_as_yyyymm", [1_648_771_200, 1_638_316_800]),
        (["2022", "2021"], "times_as_yyyy", [1_640_995_200, 1_609_459_200]),
        (["1650539100"], "times_in_seconds", [NOON]),
        (["1650539100123"], "times_in_milliseconds", [NOON]),
        (["315532800000"], "times_in_milliseconds", [315_532_800]),  # 1980, twelve digits, and no stamp
        (["2022/04/21 11:05", "2022/4/22"], "times_as_year_month_day", [NOON, 1_650_585_600]),
        (["2022-4-21 11:05:00"], "times_as_year_month_day", [NOON]),
        (["20220421T110500Z", "20220421 1105"], "times_as_iso_text_without_dashes", [NOON, NOON]),
        (["Thu Apr 21 03:05:00 -0800 2022"], "times_as_text_with_names_of_days", [NOON]),
        (["Thu, 21 Apr 2022 11:05:00 GMT"], "times_as_in_mail_headers", [NOON]),
        (["4/21/2022 11:05 AM", "4/21/2022 11:05 PM"], "times_as_month_day_year", [NOON, NOON + 43_200]),
        (["21.4.2022 12:05 am", "21.4.2022 12:05 pm"], "times_as_day_month_year", [NOON - 39_600, NOON + 3600]),
    ],
)
def test_moments_as_they_are_written(written: list[str], count: str, seconds: list[int], tmp_path: Path) -> None:
    text = "user;item;time\n" + "".join(f"1;{place};{time}\n" for place, time in enumerate(written))
    log = read(tmp_path, text)
    assert log.interactions["timestamp"].to_list() == seconds
    assert log.counts[count] == len(written)


def test_stamps_as_numbers_of_parquet(tmp_path: Path) -> None:
    table = pl.DataFrame({"user": [1, 1], "item": [2, 3], "time": [202_204_211_105, 202_204_220_000]})
    assert read(tmp_path, table).interactions["timestamp"].to_list() == [NOON, 1_650_585_600]


def test_a_stamp_that_is_none_is_counted(tmp_path: Path) -> None:
    stamps = [*(f"2022042111{minute:02d}" for minute in range(20)), "202204219999"]
    text = "user,item,time\n" + "".join(f"1,{place},{stamp}\n" for place, stamp in enumerate(stamps))
    assert read(tmp_path, text).counts["dropped_bad_timestamp"] == 1


def test_the_form_of_times_is_seen_after_ten_thousand_rows(tmp_path: Path) -> None:
    """Up to 12 January nothing tells day and month apart."""
    days = [f"{1 + n // 1000:02d}/01/2020" for n in range(12_000)] + ["13/01/2020", "14/01/2020"]
    log = read(tmp_path, "user,item,time\n" + "".join(f"1,{n % 5},{day}\n" for n, day in enumerate(days)))
    assert log.counts["times_as_day_month_year"] == 12_002
    assert log.interactions["timestamp"][-1] == 1_578_960_000


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        ({"date": ["20220421"], "time_ms": ["1650539123456"]}, "time_ms"),
        ({"timestamp": ["2022-04-21"], "time_ms": ["1650539123456"]}, "time_ms"),
        ({"reviewTime": ["02 28, 2014"], "unixReviewTime": ["1393545600"]}, "unixReviewTime"),
        ({"date": ["2022-04-21"], "datetime": ["2022-04-21 11:05:00"]}, "datetime"),
        ({"date": ["2022-04-21"], "time": ["11:05"]}, "date"),
        ({"time": ["202204211105"], "timestamp": ["1650539123"]}, "timestamp"),
        ({"timestamp": ["1650539123"], "unix_time": ["1650539123"]}, "timestamp"),
    ],
)
def test_the_finer_time_is_taken(columns: dict[str, list[str]], taken: str, tmp_path: Path) -> None:
    table = pl.DataFrame({"user": ["1"], "item": ["2"]} | columns)
    table.write_csv(tmp_path / "log.csv")
    found = guess_columns(TablesSettings.model_validate({"interactions": str(tmp_path / "log.csv")}))[0]
    assert found.roles["timestamp"] == taken
    assert "timestamp" in found.guessed


@pytest.mark.parametrize(
    ("day", "clock", "name"),
    [
        ("20220421", "1105", "hourmin"),
        ("2022-04-21", "11:05", "time"),
        ("2022-04-21", "11:05:00", "Time"),
        ("4/21/2022", "11:05", "time_of_day"),
    ],
)
def test_a_day_and_a_time_of_day_are_a_moment(day: str, clock: str, name: str, tmp_path: Path) -> None:
    log = read(tmp_path, f"user,item,date,{name}\n1,2,{day},{clock}\n1,3,{day},\n")
    assert log.interactions["timestamp"].to_list() == [NOON, NOON - 39_900]
    assert read(tmp_path, f"user,item,day_,x\n1,2,{day},{clock}\n", timestamp="day_", clock="x").interactions[
        "timestamp"
    ].to_list() == [NOON]


def test_days_of_a_spreadsheet(tmp_path: Path) -> None:
    log = read(tmp_path, "user,item,time\n1,2,44672.4618055556\n1,3,44673.25\n")
    assert log.interactions["timestamp"].to_list() == [NOON, 1_650_607_200]
    assert log.counts["times_as_days_of_a_spreadsheet"] == 2
    whole = read(tmp_path, "user,item,time\n1,2,44672\n1,3,44673\n")
    assert whole.interactions["timestamp"].to_list() == [1_650_499_200, 1_650_585_600]
    assert any("taken as days since 1899-12-30, as spreadsheets count" in note for note in whole.notes)
    small = read(tmp_path, "user,item,time\n1,2,1\n1,3,44673\n")  # seconds from the log's own beginning
    assert small.interactions["timestamp"].to_list() == [1, 44_673]
    assert any("small numbers, taken as seconds from a beginning" in note for note in small.notes)


def test_ids_that_a_spreadsheet_has_shortened(tmp_path: Path) -> None:
    with pytest.raises(
        LogError, match=r"holds 1 of its user_id as 1\.23457E\+11 or so: a spreadsheet has shortened them"
    ):
        read(tmp_path, "user,item,time\n1.23457E+11,2,1600000000\n7,3,1600000000\n")


def test_ids_as_exact_numbers_of_a_data_base(tmp_path: Path) -> None:
    table = pl.DataFrame({"user": ["1", "2"], "item": ["10", "11"], "rating": ["4.5", "3"], "time": ["1600000000"] * 2})
    exact = {
        "user": pl.Decimal(38, 0),
        "item": pl.Decimal(38, 0),
        "rating": pl.Decimal(3, 1),
        "time": pl.Decimal(20, 0),
    }
    log = read(tmp_path, table.cast(exact))
    assert log.interactions.rows() == [(0, 1, 10, 4.5, 1_600_000_000), (1, 2, 11, 3.0, 1_600_000_000)]


def test_two_times_that_are_alike_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("user,item,created_at,event_time\n1,2,2022-04-21 11:05:00,2022-04-22 11:05:00\n")
    with pytest.raises(LogError, match="event_time, created_at all look like the timestamp"):
        guess_columns(TablesSettings.model_validate({"interactions": str(tmp_path / "log")}))


@pytest.mark.parametrize("name", ["is_click", "click", "Clicked", "label", "isClick"])
def test_clicks_are_no_likes_where_they_are_none(name: str, tmp_path: Path) -> None:
    text = f"user,item,time,{name},tab\n1,2,1600000000,0,3\n1,3,1600000001,1,3\n2,3,1600000002,0,3\n"
    log = read(tmp_path, text)
    assert log.interactions["rating"].to_list() == [0.0, 1.0, 0.0]
    assert any(f"{name} holds truth values alone" in note for note in log.notes)
    assert read(tmp_path, text, rating="-").interactions["rating"].to_list() == [1.0] * 3
    found = guess_columns(TablesSettings.model_validate({"interactions": str(tmp_path / "interactions")}))[0]
    assert found.impressions
    ratings = pl.Series([0.0, 1.0, 0.0])
    assert guess_liking(ratings, True, found.impressions).kind == "impressions"


def test_clicks_alone_are_no_exposures(tmp_path: Path) -> None:
    log = read(tmp_path, "user,item,time,is_click\n1,2,1600000000,1\n1,3,1600000001,1\n")
    assert log.counts["rows_without_ratings_taken_as_1"] == 2
    log = read(tmp_path, "user,item,time,label\n1,2,1600000000,3\n1,3,1600000001,5\n")
    assert log.counts["rows_without_ratings_taken_as_1"] == 2


def test_columns_of_lists_are_no_clicks_and_no_times(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "user": [1],
            "item": [2],
            "time": [1_600_000_000],
            "date": [["x"]],
            "label": [[1]],
            "more": [{"a": 1}],
            "b": [b"x"],
        }
    )
    assert read(tmp_path, table).interactions.row(0) == (0, 1, 2, 1.0, 1_600_000_000)


def test_kinds_of_events_are_pointed_out(tmp_path: Path) -> None:
    log = read(tmp_path, "user,item,time,event_type\n1,2,1600000000,view\n1,3,1600000001,buy\n")
    assert log.notes == (
        "interactions: event_type looks like the kind of an event (view, buy), and each kind counts alike: "
        "columns.event and columns.event_weights tell them apart",
    )


def test_recommended_is_an_opinion(tmp_path: Path) -> None:
    log = read(tmp_path, "user,item,time,recommended\n1,2,1600000000,True\n1,3,1600000001,False\n")
    assert log.interactions["rating"].to_list() == [1.0, 0.0]
    assert guess_liking(log.interactions["rating"], True)[:2] == ("threshold", 1.0)


GENRES: list[tuple[list[Any], list[list[str]]]] = [
    (["[{'id': 16, 'name': 'Animation'}, {'id': 35, 'name': 'Comedy'}]", "[]"], [["Animation", "Comedy"], []]),
    (['[{"id": 1, "name": "O\'Neill, A"}]', None], [["O'Neill, A"], []]),
    (["[27, 9]", "[8]"], [["27", "9"], ["8"]]),
    (["[Drama, War]", "[Sci-Fi, Children's]"], [["Drama", "War"], ["Sci-Fi", "Children's"]]),
    (["{Drama,War}", '{"Sci-Fi, Fantasy",War,NULL}'], [["Drama", "War"], ["Sci-Fi, Fantasy", "War"]]),
    (["{}", "[]"], [[], []]),
    (["['Drama' 'War']", "['Drama'\n 'Film Noir']"], [["Drama", "War"], ["Drama", "Film Noir"]]),
    (["[id=16, name=A]", "[{id=16, name=Drama}, {id=35, name=War}]"], [["id=16", "name=A"], ["Drama", "War"]]),
    (['{"history, biography": 1, "fiction": 12}', "{}"], [["fiction", "history, biography"], []]),
    (['{"/m/01": "Thriller", "/m/02": "Drama"}', "{}"], [["Thriller", "Drama"], []]),
    (["('Drama', 'War')", "(no genres listed)"], [["Drama", "War"], ["(no genres listed)"]]),
    (["<java><c#>", "<sql>"], [["java", "c#"], ["sql"]]),
    (["[[Drama, War], [Drama]]", "[Live] Rock"], [["Drama", "War"], ["[Live] Rock"]]),
    (["[nan, None, 'A']", "nan"], [["A"], []]),
    (['"Drama", "War"', '"War"'], [["Drama", "War"], ["War"]]),
    ([[{"id": 1, "name": "A"}, {"id": 2, "name": "B"}], []], [["A", "B"], []]),
    ([[{"genre_id": 1, "genre_name": "A"}], []], [["A"], []]),
    ([{"id": 1, "name": "A"}, None], [["A"], []]),
    (["[{'id': 3, 'name': None}, {'id': 1, 'name': 'A'}]", "{'id': 2, 'name': 'B'}"], [["A"], ["B"]]),
    ([[1, 2], [2]], [["1", "2"], ["2"]]),
    (["Health &amp; Beauty", "Toys;Health &amp; Beauty"], [["Health & Beauty"], ["Toys", "Health & Beauty"]]),
    (["Home > Kitchen > Pans", "Home > Bath"], [["Home", "Kitchen", "Pans"], ["Home", "Bath"]]),
]


@pytest.mark.parametrize(("values", "genres"), GENRES)
def test_genres_of_every_form(values: list[Any], genres: list[list[str]], tmp_path: Path) -> None:
    items = pl.DataFrame({"item_id": [10, 11, 12], "title": ["a", "b", "c"], "genres": [*values, None]})
    log = read(tmp_path, LOG, items)
    assert log.items["genres"].to_list() == [*genres, []]
    assert log.counts["items_with_nothing_in_their_genres"] == 1 + sum(not each for each in genres)


def test_genres_of_fixed_width() -> None:
    values = pl.Series([[27, 9], None], dtype=pl.Array(pl.Int64, 2))
    assert read_genres(values, None).values.to_list() == [["27", "9"], []]


@pytest.mark.parametrize(
    ("texts", "separator"),
    [
        ([*(f"Kind {n}" for n in range(19)), "Under-, Nightwear"], ""),
        ([*(f"Kind {n}" for n in range(19)), "Nightwear", "Under-, Nightwear"], ""),
        (["Clothing, Shoes & Jewelry", "Home, Garden & Tools", *"abcdef"], ""),
        (["Drama, War", "War", "Comedy", "Comedy, War", "Horror", "Western"], ","),
        (["Drama, War"], ","),
        ([*(f"Kind {n}" for n in range(19)), "A|B"], ""),
        ([*(f"Kind {n}" for n in range(19)), "Kind 3|Kind 4"], "|"),
        (["Food &amp; Drink", "Home &amp; Garden", *"abcdef"], ""),
    ],
)
def test_one_hit_decides_no_separator(texts: list[str], separator: str) -> None:
    found, note = find_separator(texts)
    assert found == separator
    assert separator == "" or repr(separator) in note


def test_the_separator_is_told(tmp_path: Path) -> None:
    log = read(tmp_path, LOG, 'item_id,title,genres\n10,a,"Drama, War"\n11,b,War\n12,c,Drama\n')
    assert any("genres in genres: cut at ',', which 1 of 3 different texts have" in note for note in log.notes)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0, 0, 5, 4, 3, 1], {0.0: 2}),
        ([0, 0.5, 1, 4, 5], {}),
        ([-1, -1, 10, 8, 7, 1], {-1.0: 2}),
        ([99, -9.5, 3.2, 8.8, 1], {99.0: 1}),
        ([-1, 0, 5, 4, 3, 2, 1], {-1.0: 1, 0.0: 1}),
        ([-1, 1, -1], {}),
        ([0, 1], {}),
        ([1, 2, 3, 4, 5], {}),
        ([-10, -5, 0, 5, 10], {}),
    ],
)
def test_values_that_stand_apart(values: list[float], found: dict[float, int]) -> None:
    assert sentinels(pl.Series(values, dtype=pl.Float64)) == found


def test_what_says_that_there_is_no_rating_is_left_out(tmp_path: Path) -> None:
    log = read(tmp_path, LOG.replace(",3,", ",-1,").replace(",2,1", ",99,1"), no_rating=[-1, 99])
    assert log.interactions["rating"].to_list() == [5.0, 4.0]
    assert log.counts["dropped_rating_that_says_none"] == 2


@pytest.mark.parametrize(
    ("values", "kind", "weight"),
    [
        ([1, 2, 6, 12, 80_995, -80_995], "implicit", 1.0),  # pieces and returns
        ([1, 1, 2, 3, 24], "implicit", None),
        ([12.5, 3.0, 4000.0, 9.99], "implicit", None),  # money
        ([13_883, 9, 123], "implicit", None),  # plays
        ([1, 2, 3, 4, 5], "threshold", None),
        ([70, 85, 100, 40], "threshold", None),
        ([-9.5, 3.2, 8.8, 1.0], "threshold", None),
        ([0.1, 0.5, 1.0], "threshold", None),
    ],
)
def test_amounts_are_no_opinions(values: list[float], kind: str, weight: float | None) -> None:
    liking = guess_liking(pl.Series(values, dtype=pl.Float64), True)
    assert (liking.kind, liking.like_weight) == (kind, weight)


ITEMS = "article_id,prod_name\n"


@pytest.mark.parametrize(
    ("ids", "others", "what"),
    [
        (["0108775015", "0108775044"], ["108775015", "108775044"], "leading zeros"),
        (["0345", "0346", "99X"], ["345", "346", "99X"], "leading zeros"),
        (["B001", "B002"], ["b001", "b002"], "capital and small letters"),
        (["978-3-16", "978-3-17"], ["978316", "978317"], "spaces and punctuation"),
        (["movie_12", "movie_13"], ["12", "13"], "what stands before their number"),
    ],
)
def test_ids_that_differ_in_their_spelling(ids: list[str], others: list[str], what: str, tmp_path: Path) -> None:
    log = "t_dat,customer_id,article_id\n" + "".join(f"2020-09-1{n},a,{name}\n" for n, name in enumerate(ids))
    items = ITEMS + "".join(f"{name},T{name}\n" for name in others)
    with pytest.raises(LogError, match=f"differ by {what} alone, such as '{ids[0]}' there '{others[0]}'"):
        read(tmp_path, log, items)


def test_users_whose_ids_differ_are_told_and_kept(tmp_path: Path) -> None:
    for name, text in (("log", LOG), ("users", "user_id,age\n01,30\n02,40\n")):
        (tmp_path / name).write_text(text)
    given = {"interactions": str(tmp_path / "log"), "users": str(tmp_path / "users")}
    log = read_tables(TablesSettings.model_validate(given))
    assert log.counts["kept_user_without_attributes"] == 2
    assert any("differ by leading zeros alone, such as '1' there '01'" in note for note in log.notes)


def test_few_ids_that_differ_are_told(tmp_path: Path) -> None:
    log = LOG.replace("1,10", "1,x10").replace("12,2", "07,2") + "1,x10,3,1600000000\n" * 4
    read_log = read(tmp_path, log, "item_id,title\nx10,a\n11,b\n10,c\n7,d\n")
    assert read_log.counts["dropped_item_not_in_catalogue"] == 1
    assert any("differ by leading zeros alone, such as '07' there '7'" in note for note in read_log.notes)


ATOMIC = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t1\t3\t881250949\n186\t2\t3\t891717742\n"
ATOMIC_ITEMS = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "1\tToy Story\t1995\tAnimation Children's Comedy\n2\tGoldenEye\t1995\tAction Adventure Thriller\n"
)


def test_atomic_files_of_recbole(tmp_path: Path) -> None:
    log = read(tmp_path, ATOMIC, ATOMIC_ITEMS)
    assert log.interactions.row(0) == (0, 196, 1, 3.0, 881_250_949)
    assert log.items.rows() == [
        (1, "Toy Story", 1995, ["Animation", "Children's", "Comedy"]),
        (2, "GoldenEye", 1995, ["Action", "Adventure", "Thriller"]),
    ]
    named = read(tmp_path, ATOMIC, ATOMIC_ITEMS, user="user_id", rating="rating:float", genre_separator="")
    assert named.interactions.equals(log.interactions)
    assert named.items["genres"].to_list()[0] == ["Animation Children's Comedy"]


def test_a_column_has_one_role() -> None:
    names = ["user", "artist", "plays", "time"]
    found = find_columns("interactions", names, ColumnMapping(), where="x")
    assert found.roles == {"user": "user", "item": "artist", "timestamp": "time"}
