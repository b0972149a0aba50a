"""The general source: any usual form of table, its columns guessed or mapped, and what becomes of each row."""

from __future__ import annotations

import datetime
import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path

import fsspec
import polars as pl
import pytest

from trackrec.data.columns import ColumnMapping, find_columns
from trackrec.data.log import Log
from trackrec.data.open_table import open_table
from trackrec.data.table import TableSettings
from trackrec.data.tabular import TablesSettings, guess_columns, read_tables
from trackrec.errors import LogError

ROWS = {
    "Customer ID": ["7", "7", "9"],
    "SKU": ["a-1", "b-2", "a-1"],
    "Stars": ["5", "2.5", "4"],
    "Date": ["1600000000", "1600000001", "1600000002"],
}
EXPECTED = [(0, 7, "a-1", 5.0, 1_600_000_000), (1, 7, "b-2", 2.5, 1_600_000_001), (2, 9, "a-1", 4.0, 1_600_000_002)]


def csv_text(separator: str = ",", rows: dict[str, list[str]] = ROWS) -> str:
    lines = [list(rows), *zip(*rows.values(), strict=True)]
    return "".join(separator.join(line) + "\n" for line in lines)


def write_csv(path: Path) -> None:
    path.write_text(csv_text())


def write_tsv(path: Path) -> None:
    path.write_text(csv_text("\t"))


def write_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(csv_text(";").encode()))


def write_utf_16(path: Path) -> None:
    path.write_text(csv_text("|"), encoding="utf-16")


def write_with_mark(path: Path) -> None:
    path.write_text(csv_text().replace("\n", "\r\n"), encoding="utf-8-sig")


def write_json(path: Path) -> None:
    rows = [dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)]
    path.write_text("\n".join(json.dumps(row | {"Customer ID": int(row["Customer ID"])}) for row in rows))


def write_json_gzip(path: Path) -> None:
    write_json(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def write_parquet(path: Path) -> None:
    table = pl.DataFrame(ROWS).cast({"Customer ID": pl.Int32, "Stars": pl.Float32, "Date": pl.Int64})
    table.write_parquet(path)


@pytest.mark.parametrize(
    "write",
    [write_csv, write_tsv, write_gzip, write_utf_16, write_with_mark, write_json, write_json_gzip, write_parquet],
)
def test_every_form_gives_the_same_log(write: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "log"  # what it is, is seen in it
    write(file)
    log = read(file)
    assert log.interactions.rows() == EXPECTED
    assert log.items.rows() == [("a-1", "a-1", None, []), ("b-2", "b-2", None, [])]
    assert log.counts["kept_items_titled_by_their_id"] == 2
    assert log.counts["times_in_seconds"] == 3


def read(interactions: Path | str, **settings: object) -> Log:
    return read_tables(TablesSettings.model_validate({"interactions": interactions, **settings}))


def test_a_url_is_opened_by_fsspec() -> None:
    with fsspec.open("memory://shop/log.csv.gz", "wb") as file:
        file.write(gzip.compress(csv_text().encode()))
    assert read("memory://shop/log.csv.gz").interactions.rows() == EXPECTED
    with pytest.raises(LogError, match=r"memory://shop/no\.csv cannot be opened"):
        read("memory://shop/no.csv")
    with pytest.raises(LogError, match=r"nowhere://x cannot be opened: Protocol not known: nowhere"):
        read("nowhere://x")


def test_a_query_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(LogError, match=r"the query 'SELECT 1' needs DuckDB: pip install 'trackrec\[sql\]'"):
        read_tables(TablesSettings.model_validate({"interactions": {"query": "SELECT\n1"}}))


def test_a_query_is_asked(tmp_path: Path) -> None:
    """The real DuckDB: its types, a file that the query names, and its own words when it fails."""
    pytest.importorskip("duckdb")
    write_csv(tmp_path / "shop.csv")
    query = f"""SELECT "Customer ID" AS "user", SKU AS item, Stars::DECIMAL(3, 1) AS rating,
        make_timestamp("Date"::BIGINT * 1000000) AS time FROM read_csv('{tmp_path / "shop.csv"}')"""
    log = read_tables(TablesSettings.model_validate({"interactions": {"query": query}}))
    assert log.interactions.rows() == EXPECTED
    typed = "SELECT 7 AS \"user\", '01' AS item, DATE '1970-01-02' AS time"
    log = read_tables(TablesSettings.model_validate({"interactions": {"query": typed}}))
    assert log.interactions.rows() == [(0, 7, "01", 1.0, 86_400)]
    with pytest.raises(LogError, match=r"the query 'SELEKT' failed: Parser Error"):
        read_tables(TablesSettings.model_validate({"interactions": {"query": "SELEKT"}}))
    with pytest.raises(LogError, match=r"the query '-- nothing' is no statement: expected one SELECT"):
        read_tables(TablesSettings.model_validate({"interactions": {"query": "-- nothing"}}))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("COPY (SELECT 1) TO 'made'", "COPY"),
        ("SELECT 1; COPY (SELECT 1) TO 'made'", "SELECT and COPY"),
        ("COPY (SELECT 1) TO 'made'; SELECT 1", "COPY and SELECT"),
        ("WITH x AS (COPY (SELECT 1) TO 'made') SELECT 1 AS a", "COPY_QUERY_NODE"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO 'made'", "EXPLAIN"),
        ("SELECT * FROM query('WITH x AS (COPY (SELECT 1) TO ''made'') SELECT 1 AS a')", "failed"),
        ("SELECT (WITH x AS (COPY (SELECT 1) TO 'made') SELECT 1) AS a", "COPY_QUERY_NODE"),
        ("ATTACH 'made' AS m; SELECT 1", "ATTACH and SELECT"),
        ("EXPORT DATABASE 'made'", "EXPORT"),
        ("INSTALL httpfs", "LOAD"),
        ("SET autoinstall_known_extensions = true", "SET"),
        ("PRAGMA database_list", "PRAGMA"),
    ],
)
def test_a_query_reads_and_does_nothing_else(
    query: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may stand in a recipe that a stranger sent."""
    pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LogError, match=said):
        open_table(TableSettings(query=query), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("FROM 'numbers.csv' ORDER BY n", [(1,), (2,)]),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) FROM r", [(1,), (2,), (3,)]),
        ("(SELECT 1 AS n UNION SELECT 5) ORDER BY n", [(1,), (5,)]),
        ("WITH x AS MATERIALIZED (FROM 'numbers.csv') SELECT max(n) AS n FROM x", [(2,)]),
    ],
)
def test_whatever_reads_is_asked(
    query: str, rows: list[tuple[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numbers.csv").write_text("n\n1\n2\n")
    assert open_table(TableSettings(query=query), tmp_path).frame.collect().rows() == rows


def test_a_path_and_a_query_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="both a path"):
        TablesSettings.model_validate({"interactions": {"path": "a.csv", "query": "SELECT 1"}})


def test_items_and_users_with_attributes(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,rating,time\n1,10,5,1600000000\n2,11,3,1600000001\n")
    (tmp_path / "items.csv").write_text(
        'ID,Name,Release Year,Genre,Author,Pages,URL\n10,"a, b",1999,Drama|War,Ann,300,u\n11,c,n/a,War,,,v\n12,d,,,,,\n'
    )
    (tmp_path / "users.csv").write_text("id;age\n1;30\n2;\n")
    files = {"items": tmp_path / "items.csv", "users": tmp_path / "users.csv"}
    log = read(tmp_path / "log.csv", **files)
    assert log.items.columns == ["item_id", "title", "year", "genres", "creator", "Pages", "URL"]
    assert log.items.rows() == [
        (10, "a, b", 1999, ["Drama", "War"], "Ann", "300", "u"),
        (11, "c", None, ["War"], None, None, "v"),
        (12, "d", None, [], None, None, None),
    ]
    assert log.users.rows() == [(1, "30"), (2, None)]
    log = read(tmp_path / "log.csv", **files, columns={"attributes": ["Pages"], "creator": "-", "user_attributes": []})
    assert log.items.columns == ["item_id", "title", "year", "genres", "Pages"]
    assert log.users.columns == ["user_id"]
    settings = TablesSettings.model_validate({"interactions": tmp_path / "log.csv", **files})
    assert [str(columns) for columns in guess_columns(settings)] == [
        "interactions: user = user (guessed), item = item (guessed), timestamp = time (guessed), "
        "rating = rating (guessed)",
        "items: item = ID (guessed), title = Name (guessed), year = Release Year (guessed), genres = Genre (guessed), "
        "creator = Author (guessed); further columns kept: Pages, URL",
        "users: user = id (guessed); further columns kept: age",
    ]


def test_the_mapping_overrides_and_an_attribute_may_bear_a_roles_name(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("who,what,rating,stars,time\n1,10,9,5,1600000000\n")
    (tmp_path / "items.csv").write_text("what,title,label\n10,short,a long title\n")
    mapping = {"user": "who", "item": "what", "rating": "stars", "title": "label"}
    log = read(tmp_path / "log.csv", items=tmp_path / "items.csv", columns=mapping)
    assert log.interactions.rows() == [(0, 1, 10, 5.0, 1_600_000_000)]
    assert log.items.rows() == [(10, "a long title", None, [], "short")]
    assert log.items.columns[-1] == "title_"


@pytest.mark.parametrize(
    ("names", "mapping", "message"),
    [
        (
            ["a", "item", "time"],
            {},
            r"no column that looks like the user: found a, item, time; name it in columns\.user",
        ),
        (["user", "uid", "item", "time"], {}, r"user, uid all look like the user; name one in columns\.user \(found"),
        (["user_id", "userId", "item", "time"], {}, "user_id, userId all look like the user"),
        (["user", "item"], {}, "looks like the timestamp.*set columns.row_order_as_time for a log without times"),
        (["user", "item", "time"], {"item": "sku"}, r"no column 'sku', which columns\.item names: found user, item"),
        (["user", "item", "time"], {"title": "Name"}, r"no column 'Name', which columns\.title names"),
        (["user", "item", "time", "date"], {}, "time, date all look like the timestamp"),
        (["user", "item", "time", "stars", "score"], {}, "stars, score all look like the rating"),
    ],
)
def test_columns_that_cannot_be_found(names: list[str], mapping: dict[str, str], message: str) -> None:
    with pytest.raises(LogError, match=message):
        find_columns("interactions", names, ColumnMapping.model_validate(mapping), where="log.csv")


def test_the_standard_name_beats_others() -> None:
    found = find_columns("interactions", ["user", "User-ID", "asin", "item_id", "ts"], ColumnMapping(), where="x")
    assert found.roles == {"user": "User-ID", "item": "item_id", "timestamp": "ts"}
    assert found.unused == ("user", "asin")


def read_times(times: list[str], tmp_path: Path, **columns: object) -> Log:
    rows = "".join(f"1;{number};{time}\n" for number, time in enumerate(times))
    (tmp_path / "log.csv").write_text(f"user;item;time\n{rows}")
    return read(tmp_path / "log.csv", columns=columns, latest_day="2024-12-31")


@pytest.mark.parametrize(
    ("times", "form", "seconds"),
    [
        (["1600000000", "1600000000.9"], "times_in_seconds", [1_600_000_000] * 2),
        (["1600000000123", "1600000000999"], "times_in_milliseconds", [1_600_000_000] * 2),
        (["1600000000123456"], "times_in_microseconds", [1_600_000_000]),
        (["1600000000000000000"], "times_in_nanoseconds", [1_600_000_000]),
        (["3", "900"], "times_in_seconds", [3, 900]),  # counted from the log's own beginning
        (["20200913", "20200914"], "times_as_yyyymmdd", [1_599_955_200, 1_600_041_600]),
        (["2020-09-13", "2020-09-14"], "times_as_iso_text", [1_599_955_200, 1_600_041_600]),
        (
            ["2020-09-13T12:26:40", "2020-09-13 12:26:40.5Z", "2020-09-13T14:26:40+02:00", "2020-09-13 07:56:40-0430"],
            "times_as_iso_text",
            [1_600_000_000] * 4,
        ),
        (["13.09.2020 12:26:40", "1.9.2020"], "times_as_day_month_year", [1_600_000_000, 1_598_918_400]),
        (["9/13/2020 12:26:40", "9/1/2020 0:00"], "times_as_month_day_year", [1_600_000_000, 1_598_918_400]),
    ],
)
def test_times_of_every_form(times: list[str], form: str, seconds: list[int], tmp_path: Path) -> None:
    log = read_times(times, tmp_path)
    assert log.interactions["timestamp"].to_list() == seconds
    assert log.counts[form] == len(times)


def test_times_in_a_form_of_ones_own(tmp_path: Path) -> None:
    log = read_times(["13 Sep 2020", "no"], tmp_path, timestamp_format="%d %b %Y")
    assert log.interactions["timestamp"].to_list() == [1_599_955_200]
    assert (log.counts["times_in_the_given_format"], log.counts["dropped_bad_timestamp"]) == (2, 1)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["01/02/2020", "03/04/2020"], r"such as '01/02/2020', may be day first or month first; .*timestamp_format"),
        (["Autumn 2020"], r"'time', such as 'Autumn 2020', are neither numbers nor dates .*timestamp_format"),
        (["", ""], "the column 'time' holds no time at all"),
    ],
)
def test_times_that_cannot_be_understood(times: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=message):
        read_times(times, tmp_path)


def test_dates_with_zones_in_parquet(tmp_path: Path) -> None:
    moment = datetime.datetime(2020, 9, 13, 12, 26, 40, tzinfo=datetime.UTC)
    table = pl.DataFrame({"user": ["a"], "item": [1], "time": [moment]})
    table = table.with_columns(pl.col("time").dt.convert_time_zone("Asia/Tokyo"))
    table.write_parquet(tmp_path / "log.parquet")
    log = read(tmp_path / "log.parquet")
    assert log.interactions["timestamp"].to_list() == [1_600_000_000]
    assert log.counts["times_as_dates"] == 1


@pytest.mark.parametrize(
    ("genres", "separator", "expected"),
    [
        (["Drama|War", "War|War"], None, [["Drama", "War"], ["War"]]),
        (["Home, Garden; Tools", "Toys; Tools"], None, [["Home, Garden", "Tools"], ["Toys", "Tools"]]),
        (["Home, Garden", "Toys"], "", [["Home, Garden"], ["Toys"]]),
        (["A / B", ""], "/", [["A", "B"], []]),
        (['["A", "B \\"x\\""]', "['C', \"D's\"]"], None, [["A", 'B "x"'], ["C", "D's"]]),
        (['[["A","B"],["A","C"]]', "[]"], None, [["A", "B", "C"], []]),
    ],
)
def test_genres_of_every_form(
    genres: list[str], separator: str | None, expected: list[list[str]], tmp_path: Path
) -> None:
    table = pl.DataFrame({"item": [1, 2], "title": ["a", "b"], "genres": genres})
    table.write_parquet(tmp_path / "items.parquet")
    (tmp_path / "log.csv").write_text("user,item,time\n1,1,1600000000\n")
    mapping = {"genre_separator": separator}
    log = read(tmp_path / "log.csv", items=tmp_path / "items.parquet", columns=mapping)
    assert log.items["genres"].to_list() == expected


@pytest.mark.parametrize("kinds", [[["A", "B", "A"], None], [[["A"], ["B", "A"]], []]])
def test_genres_as_lists(kinds: list[object], tmp_path: Path) -> None:
    pl.DataFrame({"item": [1, 2], "title": ["a", "b"], "categories": kinds}).write_parquet(tmp_path / "items.parquet")
    (tmp_path / "log.csv").write_text("user,item,time\n1,1,1600000000\n")
    assert read(tmp_path / "log.csv", items=tmp_path / "items.parquet").items["genres"].to_list() == [["A", "B"], []]


def test_items_that_the_interactions_describe(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "user,item,time,product_name,brand\n1,10,1600000000,,x\n2,10,1600000001,Cup,\n3,11,1600000002,Pot,y\n"
    )
    log = read(tmp_path / "log.csv")
    assert log.items.rows() == [(10, "Cup", None, [], "x"), (11, "Pot", None, [], "y")]
    assert log.counts["rows_without_ratings_taken_as_1"] == 3


def test_a_title_that_differs_from_row_to_row_is_no_title_of_the_item(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "user,item,time,title\n1,10,1600000000,Great\n2,10,1600000001,Awful\n3,11,1600000002,Meh\n"
    )
    assert read(tmp_path / "log.csv").items["title"].to_list() == ["10", "11"]
    mapped = read(tmp_path / "log.csv", columns={"title": "title"})
    assert mapped.items["title"].to_list() == ["Great", "Meh"]
    assert mapped.counts["kept_items_with_several_titles"] == 1


def test_no_interactions() -> None:
    with pytest.raises(LogError, match=r"no interactions are given: name their file in tables\.interactions"):
        read_tables(TablesSettings())
