"""No value of a file is shifted, swallowed or dropped on its way into a table, whatever its rows and its name hold."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trackrec.data.log import Log
from trackrec.data.tabular import TablesSettings, read_tables
from trackrec.errors import LogError

LOG = "user_id,item_id,rating,timestamp\n1,10,5,1600000000\n1,11,3,1600000100\n2,10,4,1600000200\n2,12,2,1600000300\n"
ROWS = [
    (1, 10, 5.0, 1_600_000_000),
    (1, 11, 3.0, 1_600_000_100),
    (2, 10, 4.0, 1_600_000_200),
    (2, 12, 2.0, 1_600_000_300),
]


def read(folder: Path, log: str | bytes, items: str | None = None, **settings: Any) -> Log:
    given: dict[str, Any] = {"interactions": {"path": str(folder / "log")}}
    (folder / "log").write_bytes(log if isinstance(log, bytes) else log.encode())
    if items is not None:
        (folder / "items").write_bytes(items.encode())
        given["items"] = {"path": str(folder / "items")}
    for name, value in settings.items():
        table, _, key = name.partition("__")
        given[table] = {**given[table], key: value} if key else value
    return read_tables(TablesSettings.model_validate(given))


def events(log: Log) -> list[tuple[Any, ...]]:
    return log.interactions.select("user_id", "item_id", "rating", "timestamp").rows()


COMMENTED = 'user,comment,item,rating,time,device\n1,ok,10,5,1600000000,web\n1,"fine, 2",11,4,1600000001,web\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (COMMENTED + "2,so so, 7,10,3,1600000002,web\n", "line 4 has 7 fields, expected 6, separated by ','"),
        (COMMENTED + "2,so so, 7,10,3,1600000002,\n", "line 4 has 7 fields, expected 6"),
        (COMMENTED + '2,"a\nb",7,3,1600000002,web\n2,c, d,7,3,1600000002,web\n', "line 6 has 7 fields, expected 6"),
        ((COMMENTED + "2,so so, 7,10,3,1600000002,web\n").replace("\n", "\r\n"), "line 4 has 7 fields, expected 6"),
        (COMMENTED.replace(",", "\t") + "2\tso\tso\t7\t3\t1600000002\tweb\n", "line 4 has 7 fields, expected 6"),
    ],
    ids=["a comma", "an empty field at the end", "after a line break in quotes", "CRLF", "tabs"],
)
def test_a_field_too_many_is_an_error_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    """Also where the last column is not used, where polars looks no further than the columns that are."""
    for content in (text.encode(), gzip.compress(text.encode()), b"\xef\xbb\xbf" + text.encode()):
        with pytest.raises(LogError, match=message):
            read(tmp_path, content)


def test_a_field_too_many_in_the_last_of_many_rows(tmp_path: Path) -> None:
    rows = "".join(f"{n % 9},ok,{n % 7},{n % 5},{1_600_000_000 + n},web\n" for n in range(30_000))
    with pytest.raises(LogError, match="line 30002 has 7 fields, expected 6"):
        read(tmp_path, "user,comment,item,rating,time,device\n" + rows + "1,a,b,1,5,1600000000,web\n")


def test_a_field_too_few_is_left_out_and_counted(tmp_path: Path) -> None:
    """The rating is missing, not the flag: a time of 1 and a rating of 1,600,000,000 would come of it."""
    head = "user,item,rating,time,flag\n1,10,5,1600000000,1\n"
    log = read(tmp_path, head + "1,10,1600000000,1\n1,11,3,1600000001,0\n")
    assert events(log) == [(1, 10, 5.0, 1_600_000_000), (1, 11, 3.0, 1_600_000_001)]
    assert log.counts["dropped_too_few_fields"] == 1
    log = read(tmp_path, LOG, "item_id,title,genres\n10,A,Drama\n11,B\n12,C,War\n")
    assert log.items["title"].to_list() == ["A", "untitled", "C"]
    assert log.counts["items_rows_with_too_few_fields"] == 1


@pytest.mark.parametrize("late", [{"rating": 2}, {"rating": "2"}])
def test_a_key_after_ten_thousand_lines_is_seen(late: dict[str, object], tmp_path: Path) -> None:
    lines = [{"user": n % 7, "item": n % 5, "time": 1_600_000_000 + n} for n in range(12_000)]
    text = "\n".join(json.dumps(line | (late if n > 11_000 else {})) for n, line in enumerate(lines))
    log = read(tmp_path, text)
    assert log.interactions["rating"].to_list() == [2.0] * 999
    assert log.counts["dropped_without_rating"] == 11_001


def test_ids_that_become_text_after_ten_thousand_lines(tmp_path: Path) -> None:
    lines = [{"user": n % 7 if n < 11_000 else "x", "item": "01", "time": 1_600_000_000 + n} for n in range(11_001)]
    log = read(tmp_path, "\n".join(map(json.dumps, lines)))
    assert log.users["user_id"].to_list()[-1] == "x"
    assert log.items["item_id"].to_list() == ["01"]


NAMES = ["log[1].csv", "log*.csv", "log?.csv", "a[b]*?.csv", "key=value.csv", "{a,b}.csv", "~.csv", "a%20b.csv"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["csv", "json", "parquet", "gzip"])
def test_a_name_is_no_pattern(name: str, form: str, tmp_path: Path) -> None:
    """Beside files that the pattern fits: the very one is read."""
    home = tmp_path / "of [2024] *"
    home.mkdir()
    table = pl.read_csv(LOG.encode())
    other = table.with_columns(pl.lit(99).alias("item_id"))

    def write(frame: pl.DataFrame, file: Path) -> None:
        if form == "parquet":
            frame.write_parquet(file)
        elif form == "json":
            frame.write_ndjson(file)
        else:
            content = frame.write_csv().encode()
            file.write_bytes(gzip.compress(content) if form == "gzip" else content)

    for decoy in ("log1.csv", "logx.csv", "log.csv", "ab.csv", "abxy.csv", "a b.csv"):
        write(other, home / decoy)
    write(table, home / name)
    log = read_tables(TablesSettings.model_validate({"interactions": str(home / name)}))
    assert events(log) == ROWS


def test_every_read_of_polars_goes_through_the_helper() -> None:
    """Elsewhere a path would be a pattern."""
    folder = Path(__file__).resolve().parent.parent / "trackrec" / "data"
    calls = re.compile(r"\bpl\.(?:read|scan)_\w+\(")
    found = {str(file) for file in folder.rglob("*.py") if calls.search(file.read_text(encoding="utf-8"))}
    assert found == {str(folder / "scan.py")}


HEROES = 'item_id,title\n10,A\n11,"Heroes\n12,B\n13,TV 55"\n14,C\n'


@pytest.mark.parametrize(
    ("items", "titles"),
    [
        ('item_id,title\n10,Laptop 15.6" black\n11,Mouse\n12,Pad\n', ['Laptop 15.6" black', "Mouse", "Pad"]),
        ('item_id,title\n10,TV 55"\n11,27" and 32"\n12,"6"" pipe"\n', ['TV 55"', '27" and 32"', '6" pipe']),
        ('item_id\ttitle\n10\t"Weird Al" Yankovic\n11\tx\n12\ty\n', ['"Weird Al" Yankovic', "x", "y"]),
        ('item_id\ttitle\n10\t"Heroes"\n11\tLow\n12\tLodger\n', ['"Heroes"', "Low", "Lodger"]),
        ('item_id\ttitle\n10\t"Toy, Story"\n11\tLow\n12\tLodger\n', ["Toy, Story", "Low", "Lodger"]),
        ('"item_id"\t"title"\n"10"\t"Heroes"\n"11"\t"Low"\n"12"\t"Lodger"\n', ["Heroes", "Low", "Lodger"]),
        ('item_id\ttitle\n10\t"two\nlines"\n11\t"a ""b"""\n12\tc\n', ["two\nlines", 'a "b"', "c"]),
        (HEROES.replace(",", "\t"), ["A", '"Heroes', "B", 'TV 55"', "C"]),
        ('item_id\ttitle\n10\tA\n11\t"Heroes\n12\tB\n', ["A", '"Heroes', "B"]),
        ('item_id,title\n10,"Weird, Al" Yankovic\n11,b\n12,c\n', ['"Weird, Al" Yankovic', "b", "c"]),
        ('item_id,title\n10,"He said \\"hi, you\\""\n11,b\n12,c\n', ['He said "hi, you"', "b", "c"]),
        (
            'item_id,title\n10,"two\nlines, of it"\n11,"B ""x"", y"\n12,5" z\n',
            ["two\nlines, of it", 'B "x", y', '5" z'],
        ),
        ('item_id, title\n10, "a, b"\n11, c\n12, d\n', ["a, b", " c", " d"]),
        ('item_id;title\n10;27";\n11;"a;b"\n12;c\n'.replace('27";', '27"'), ['27"', "a;b", "c"]),
    ],
)
def test_quotation_marks(items: str, titles: list[str], tmp_path: Path) -> None:
    log = read(tmp_path, LOG, items)
    assert log.items["title"].to_list() == titles
    assert events(log) == ROWS


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (HEROES, r"line 3: a quotation mark is closed only 2 lines further on.*set quote to none"),
        ('item_id,title\n10,A\n11,"Heroes\n12,B\n', r"line 3: a quotation mark is not closed.*set quote to none"),
        ('item_id,title\nB1,"Heroes\nB2,x\nB3,y 5"\n', r"line 2: a quotation mark is closed only 2 lines .*none"),
    ],
)
def test_an_open_quotation_is_an_error_with_a_way_out(items: str, message: str, tmp_path: Path) -> None:
    log = LOG if "10," in items else LOG.replace(",10,", ",B1,").replace(",11,", ",B2,").replace(",12,", ",B3,")
    with pytest.raises(LogError, match=message):
        read(tmp_path, log, items)
    titles = read(tmp_path, log, items, items__quote="none").items["title"].to_list()
    assert titles == [line.split(",")[1] for line in items.splitlines()[1:]]
    assert (
        events(read(tmp_path, log.replace("1600000000", '"1600000000"'), interactions__quote='"'))[0][3]
        == 1_600_000_000
    )


def test_another_quotation_mark_is_named(tmp_path: Path) -> None:
    log = read(tmp_path, LOG, "item_id,title\n10,'a, b'\n11,'c''s'\n12,d\n", items__quote="'")
    assert log.items["title"].to_list() == ["a, b", "c's", "d"]
    with pytest.raises(ValueError, match="quote is 'no': expected one character, 'none', or nothing"):
        read(tmp_path, LOG, interactions__quote="no")


JSON_LOG = "\n".join(json.dumps(dict(zip(("user", "item", "rating", "time"), row, strict=True))) for row in ROWS)
FORMS = {"csv": LOG, "tsv": LOG.replace(",", "\t"), "json": JSON_LOG}
FORMS["no header"] = LOG.split("\n", 1)[1]


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_and_line_ends_of_every_form(form: str, encoding: str, end: str, tmp_path: Path) -> None:
    names = {"interactions__column_names": ["user", "item", "rating", "time"]} if form == "no header" else {}
    content = FORMS[form].replace("\n", end).encode(encoding)
    assert events(read(tmp_path, content, **names)) == ROWS
    assert events(read(tmp_path, gzip.compress(content), **names)) == ROWS


def test_a_mark_under_a_named_encoding(tmp_path: Path) -> None:
    content = b"\xff\xfe" + LOG.encode("utf-16-le")
    assert events(read(tmp_path, content, interactions__encoding="utf-16-le")) == ROWS


def test_a_file_url_with_percent_signs(tmp_path: Path) -> None:
    (tmp_path / "a b.csv").write_text(LOG)
    log = read_tables(TablesSettings.model_validate({"interactions": f"file://{tmp_path}/a%20b.csv"}))
    assert events(log) == ROWS


def test_the_line_in_which_excel_names_the_separator(tmp_path: Path) -> None:
    assert events(read(tmp_path, "sep=;\r\n" + LOG.replace(",", ";"))) == ROWS
    assert events(read(tmp_path, b"\xef\xbb\xbfsep=\t\n" + LOG.replace(",", "\t").encode())) == ROWS
