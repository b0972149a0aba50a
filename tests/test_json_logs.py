"""JSON in every layout, keys that come late or in other letters, values of several kinds: nothing is lost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from trackrec.data.log import Log
from trackrec.data.tabular import TablesSettings, read_tables
from trackrec.errors import LogError

ROWS = [{"user": n % 5, "item": n % 7, "time": 1_600_000_000 + n} for n in range(3)]
TRIPLES = [(0, 0, 1_600_000_000), (1, 1, 1_600_000_001), (2, 2, 1_600_000_002)]


def read(folder: Path, text: str | bytes, items: str = "", **columns: Any) -> Log:
    (folder / "log.json").write_bytes(text.encode() if isinstance(text, str) else text)
    given: dict[str, Any] = {"interactions": str(folder / "log.json"), "columns": columns}
    if items:
        (folder / "items.json").write_text(items, encoding="utf-8")
        given["items"] = str(folder / "items.json")
    return read_tables(TablesSettings.model_validate(given))


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


LAYOUTS = {
    "array": json.dumps(ROWS),
    "array over lines": json.dumps(ROWS, indent=1),
    "array, gzipped": gzip.compress(json.dumps(ROWS).encode()),
    "array of lines": "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    "lines that end in commas": ",\n".join(map(json.dumps, ROWS)) + ",\n",
    "objects over several lines": "\n".join(json.dumps(row, indent=2) for row in ROWS),
    "one after the other": "".join(map(json.dumps, ROWS)),
    "as Python writes them": "\n".join(map(str, [{**row, "ok": None} for row in ROWS])),
    "a mark, CRLF and blank lines": "\ufeff\r\n" + lines(*ROWS).replace("\n", "\r\n\r\n"),
}


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=list(LAYOUTS))
def test_every_layout(text: str | bytes, tmp_path: Path) -> None:
    log = read(tmp_path, text)
    assert log.interactions.select("user_id", "item_id", "timestamp").rows() == TRIPLES


def test_an_object_around_the_list(tmp_path: Path) -> None:
    log = read(tmp_path, json.dumps({"data": ROWS}), nested="data")
    assert log.interactions.select("user_id", "item_id", "timestamp").rows() == TRIPLES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" + json.dumps(ROWS[0]) + ", {oops}]", r"line 1 is not JSON \(.*, '\{oops\}\]'"),
        ('[\n{"user": 1},\n{"user": 2\n', "line 3 is not JSON"),
        ("[]", "holds no objects with keys"),
        ("{'user': 1}\n{'user': \n", "line 2 is neither JSON nor Python's form of it"),
        ('{"user": 1}\n[2]\n', "line 2 is no JSON object"),
    ],
)
def test_what_is_torn_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=message):
        read(tmp_path, text)


def test_values_that_come_late_or_in_several_kinds(tmp_path: Path) -> None:
    late = [
        {"user": 1, "item": 2, "time": 1_600_000_001, "rating": 4},
        {"user": 1, "item": 3, "time": 1_600_000_002, "rating": "3.5", "more": {"a": [1]}},
        {"user": 1, "item": 4, "time": 1_600_000_003, "rating": {"x": 1}, "more": [1]},
        {"user": 1, "item": 5, "time": 1_600_000_004, "rating": [2], "more": "x"},
    ]
    log = read(tmp_path, lines(*ROWS * 4000, *late))
    assert log.interactions["rating"].to_list() == [4.0, 3.5]
    assert log.counts["dropped_without_rating"] == 12_002
    assert any("what is no number in rating (2 of them" in note for note in log.notes)


def test_what_json_does_not_know(tmp_path: Path) -> None:
    text = '{"user": 1, "item": 2, "time": 1600000000, "rating": NaN}\n'
    log = read(tmp_path, text + text.replace("NaN", "3").replace("1,", "1e2,"))
    assert log.interactions.select("user_id", "rating").rows() == [(100, 3.0)]
    assert log.counts["dropped_without_rating"] == 1


def test_keys_in_other_letters_are_one(tmp_path: Path) -> None:
    other = {"User": 7, "ITEM": 8, "Time": 1_600_000_009}
    log = read(tmp_path, lines(*ROWS, other))
    assert log.interactions["user_id"].to_list() == [0, 1, 2, 7]
    assert "interactions: the keys user and User are taken as one, since no row has both" in log.notes
    both = {"user": 1, "User": 2, "item": 3, "time": 1_600_000_000}
    with pytest.raises(LogError, match="the columns user, User all look like the user"):
        read(tmp_path, lines(both))


def test_objects_of_mongo(tmp_path: Path) -> None:
    day = {"$date": "2020-01-01T00:00:00Z"}
    row = {"user": {"$oid": "a1"}, "item": {"$numberLong": "5"}, "time": day}
    log = read(tmp_path, lines(row))
    assert log.interactions.select("user_id", "item_id", "timestamp").rows() == [("a1", 5, 1_577_836_800)]
    moment = {"$date": {"$numberLong": "1577836800123"}}
    assert read(tmp_path, lines({**row, "time": moment})).interactions["timestamp"].to_list() == [1_577_836_800]


def test_parts_of_objects(tmp_path: Path) -> None:
    row = {"user": {"id": "u1", "age": 30}, "track": {"id": 3, "name": "A"}, "time": 1_600_000_000}
    log = read(tmp_path, lines(row, {**row, "user": {"id": "u2"}}), title="track.name")
    assert log.interactions.select("user_id", "item_id").rows() == [("u1", 3), ("u2", 3)]
    assert log.items.row(0)[:2] == (3, "A")
    assert read(tmp_path, lines(row), user="user.age").interactions["user_id"].to_list() == [30]


def test_ids_that_are_lists_are_an_error_and_braces_are_none(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="holds item_id as lists or objects: expected one value a row"):
        read(tmp_path, lines({"user": 1, "item": [1, 2], "time": 1_600_000_000}))
    guid = "{6F9619FF-8B86-D011-B42D-00C04FC964FF}"
    log = read(tmp_path, lines({"user": guid, "item": "[REC]", "time": 1_600_000_000}))
    assert log.interactions.select("user_id", "item_id").row(0) == (guid, "[REC]")


def test_items_in_an_array_with_values_of_several_kinds(tmp_path: Path) -> None:
    items = [
        {"item_id": 0, "title": "a", "genres": ["A", "B"]},
        {"item_id": 1, "title": 1984, "genres": "C|D"},
        {"item_id": 2, "title": "c", "genres": {"name": "E"}},
    ]
    log = read(tmp_path, lines(*ROWS), json.dumps(items))
    assert log.items["title"].to_list() == ["a", "1984", "c"]
    assert log.items["genres"].to_list() == [["A", "B"], ["C", "D"], ["E"]]
