"""Writing for everybody: nobody is lost, the files are the same whoever makes them, versions are whole or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command_line import call
from polars.testing import assert_frame_equal
from writing_world import STARTED, files_of, job, made_log, publish, rows_of, write_run

from trackrec.errors import GateError, LogError, TargetBusy, TooManyRejected, WriteError
from trackrec.writing.executor import LocalExecutor, LocalSettings
from trackrec.writing.gates import GateSettings
from trackrec.writing.lock import only_writer
from trackrec.writing.partition import shard_of
from trackrec.writing.place import Place
from trackrec.writing.shard import halving
from trackrec.writing.versions import Versions, publication_status


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    made_log().write_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def test_everybody_gets_a_text_or_a_reason(run: Path, tmp_path: Path) -> None:
    """Users with one event, with none that can be used, with an unknown item and with a future one."""
    more = [
        (501, 1, 5.0, 1_600_000_000),  # a single event
        (502, 1, float("nan"), 1_600_000_000),
        (503, 1, 4.0, STARTED + 50),  # after now
        (504, 777, 4.0, 1_600_000_000),  # an item that the run does not know
    ]
    log = made_log()
    rows = pl.concat([log, pl.DataFrame(more, schema=log.schema, orient="row")])
    rows.write_parquet(tmp_path / "log.parquet")
    place = Place(str(tmp_path / "to"))
    manifest = publish(run, tmp_path / "to", tmp_path / "log.parquet")
    written, rejected = rows_of(place, manifest), rows_of(place, manifest, "rejected")
    assert written["user_id"].to_list() == [*range(1, 61), 501, 504]
    assert written["text"].str.len_chars().min() > 0  # type: ignore[operator]
    assert dict(rejected.iter_rows()) == {502: "no_usable_event", 503: "no_usable_event: after_now"}
    assert manifest["counts"]["users"] == 64
    mine = written.row(by_predicate=pl.col("user_id") == 1, named=True)
    events = log.filter(pl.col("user_id") == 1)
    assert mine["events"] == events.height
    assert mine["last_event"] == events["timestamp"].max()
    assert [e["timestamp"] for e in mine["history"]] == events["timestamp"].to_list()[-10:]
    assert [e["number"] for e in mine["history"]] == list(range(1, min(10, events.height) + 1))
    assert len(mine["vector"]) == 384
    assert (mine["written"], mine["expires"], mine["version"]) == (STARTED, None, "000001")
    assert all(1 <= n <= len(mine["history"]) for s in mine["sentences"] for n in s["events"])
    assert {s["verdict"] for s in mine["sentences"]} <= {"supported", "not_checkable"}
    assert not place.exists("versions/000001/work")


def test_the_files_are_the_same_with_one_process_or_more(run: Path, log: Path, tmp_path: Path) -> None:
    one = publish(run, tmp_path / "one", log)
    two = publish(run, tmp_path / "two", log, workers=2)
    assert files_of(Place(str(tmp_path / "one")), one) == files_of(Place(str(tmp_path / "two")), two)
    assert one["counts"] == two["counts"]


def test_a_text_depends_on_its_user_alone(run: Path, log: Path, tmp_path: Path) -> None:
    """Shuffled rows of others, other shards and other batches change nothing."""
    place = Place(str(tmp_path / "a"))
    whole = rows_of(place, publish(run, tmp_path / "a", log))
    some = pl.read_parquet(log).filter(pl.col("user_id") <= 20).sort("user_id", "timestamp")
    some.write_parquet(tmp_path / "some.parquet")
    place = Place(str(tmp_path / "b"))
    few = rows_of(place, publish(run, tmp_path / "b", tmp_path / "some.parquet", shards=3, batch_users=7))
    assert_frame_equal(few, whole.filter(pl.col("user_id") <= 20))


def test_changed_users_alone_equal_a_full_write(run: Path, log: Path, tmp_path: Path) -> None:
    """With every change counting, all columns agree but when and where a row was written."""
    publish(run, tmp_path / "to", log)
    old = pl.read_parquet(log)
    gone = (pl.col("user_id") == 7) | (
        (pl.col("user_id") == 9) & (pl.col("timestamp") == pl.col("timestamp").max().over("user_id"))
    )
    new = [(3, 40, 5.0, 1_650_000_000), (3, 39, 1.0, 1_650_000_000), (800, 5, 4.0, 1_650_000_100)]
    grown = pl.concat([old.filter(~gone), pl.DataFrame(new, schema=old.schema, orient="row")])
    grown.write_parquet(tmp_path / "grown.parquet")
    every = {"refresh": {"new_items": 1}}
    changed = publish(run, tmp_path / "to", tmp_path / "grown.parquet", only_changed=True, shards=None, **every)
    full = publish(run, tmp_path / "full", tmp_path / "grown.parquet")
    mine, theirs = rows_of(Place(str(tmp_path / "to")), changed), rows_of(Place(str(tmp_path / "full")), full)
    assert_frame_equal(mine.drop("version"), theirs.drop("version"))
    rewritten = mine.filter(pl.col("version") == "000002")["user_id"].to_list()
    had = old.filter(pl.col("user_id") == 9).height
    assert rewritten == ([3, 9, 800] if had > 1 else [3, 800])
    assert changed["counts"]["carried"] == mine.height - len(rewritten)
    assert changed["base"] == "000001"


def test_a_small_change_is_carried_over(run: Path, log: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "to", log)
    old = pl.read_parquet(log)
    long = old.group_by("user_id").len().filter(pl.col("len") == pl.col("len").max())["user_id"].min()
    grown = pl.concat([old, pl.DataFrame([(long, 40, 5.0, 1_650_000_000)], schema=old.schema, orient="row")])
    grown.write_parquet(log)
    manifest = publish(run, tmp_path / "to", log, only_changed=True, shards=None)
    assert manifest["counts"]["carried"] == manifest["counts"]["rows"]
    expired = publish(run, tmp_path / "to", log, only_changed=True, shards=None, refresh={"new_items": 1})
    assert expired["counts"]["carried"] == manifest["counts"]["rows"] - 1


def test_expired_texts_are_written_anew(run: Path, log: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "to", log, expires_days=2.0)
    soon = publish(run, tmp_path / "to", log, only_changed=True, shards=None, started=STARTED + 86_400)
    assert soon["counts"]["carried"] == soon["counts"]["rows"]
    late = publish(run, tmp_path / "to", log, only_changed=True, shards=None, started=STARTED + 2 * 86_400)
    assert late["counts"]["carried"] == 0


def test_texts_of_another_run_are_not_carried_over(run: Path, log: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "to", log)
    other = write_run(tmp_path / "other", items=41)
    with pytest.raises(
        WriteError, match=r"tables/items.parquet.* is not what version 000001 was written with.*in full"
    ):
        publish(other, tmp_path / "to", log, only_changed=True, shards=None)


def test_rollback_and_retention(run: Path, log: Path, tmp_path: Path) -> None:
    for _ in range(4):
        publish(run, tmp_path / "to", log, keep_versions=3)
    versions = Versions(Place(str(tmp_path / "to")))
    assert versions.names() == ["000002", "000003", "000004"]
    assert versions.rollback(None) == "000003"
    assert versions.current() == "000003"
    with pytest.raises(WriteError, match=r"no whole version '000001': expected one of 000002, 000003, 000004"):
        versions.rollback("000001")
    assert publish(run, tmp_path / "to", log)["version"] == "000005"


def test_a_gate_keeps_a_bad_version_from_readers(run: Path, log: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "to", log)
    pl.read_parquet(log).filter(pl.col("user_id") < 40).write_parquet(log)  # a partition of the log is lost
    with pytest.raises(
        GateError, match=r"version 000002 .*not published: 35.00% of the earlier version's users are gone"
    ):
        publish(run, tmp_path / "to", log)
    place = Place(str(tmp_path / "to"))
    versions = Versions(place)
    assert versions.current() == "000001"
    assert [row["state"] for row in publication_status(place)["versions"]] == ["current", "refused"]
    with pytest.raises(WriteError, match="--force"):
        versions.rollback("000002")
    assert versions.rollback("000002", force=True) == "000002"
    assert publish(run, tmp_path / "to", log, gates=GateSettings(users_lost=None))["version"] == "000003"


def test_two_writers(run: Path, log: Path, tmp_path: Path) -> None:
    with only_writer(Place(str(tmp_path / "to"))), pytest.raises(TargetBusy, match="another job writes to"):
        publish(run, tmp_path / "to", log)
    assert publish(run, tmp_path / "to", log)["version"] == "000001"


def test_a_lease_runs_out_by_the_storage_clock() -> None:
    place = Place("memory://lease")
    with only_writer(place, lease=60.0) as first:
        with pytest.raises(TargetBusy), only_writer(place, lease=60.0):
            pass
        with only_writer(place, lease=0.0):  # the first one counts as dead at once
            assert not first.holds
            with pytest.raises(TargetBusy, match="ran out and another job took it"):
                first.check()
    assert not place.exists("writer.lock")


def test_object_storage_holds_the_same(run: Path, log: Path, tmp_path: Path) -> None:
    here = publish(run, tmp_path / "to", log)
    there = publish(run, "memory://same/profiles", log)
    place = Place("memory://same/profiles")
    assert files_of(place, there) == files_of(Place(str(tmp_path / "to")), here)
    assert place.read_json("current.json") == {"version": "000001"}
    assert_frame_equal(rows_of(place, there), rows_of(Place(str(tmp_path / "to")), here))


class Breaks:
    """Fails on some users, as a writer does on rows that it was not made for."""

    name = "breaks"

    def write(self, histories: pl.DataFrame) -> pl.DataFrame:
        if histories["user_id"].is_in([3, 4, 9]).any():
            raise ValueError("a row that nobody thought of")
        users = histories["user_id"].unique(maintain_order=True)
        return pl.DataFrame({"user_id": users, "text": [f"text of {user}" for user in users]})


def test_faulty_rows_are_found_by_halving() -> None:
    failed: list[tuple[Any, str]] = []
    histories = pl.DataFrame({"user_id": [user for user in range(10) for _ in range(1 + user % 3)]})
    written = halving(Breaks().write, histories, failed)
    assert written["user_id"].to_list() == [0, 1, 2, 5, 6, 7, 8]
    assert failed == [(user, "ValueError: a row that nobody thought of") for user in (3, 4, 9)]


def test_too_many_failures_stop_the_job(run: Path, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackrec.writing.shard.make_writer", lambda *_: Breaks())
    with pytest.raises(TooManyRejected, match=r"3 of 60 users failed, at most 1.0% are allowed"):
        publish(run, tmp_path / "to", log)
    monkeypatch.undo()
    place = Place(str(tmp_path / "to"))
    assert Versions(place).current() is None
    from trackrec.writing import shard

    shard._TOOLS.clear()
    events: list[str] = []
    manifest = job(run, tmp_path / "to", log, again=True).run(
        LocalExecutor(LocalSettings(workers=0)), lambda event, _: events.append(event)
    )
    assert events[0] == "resumed"
    assert manifest["version"] == "000001"
    assert manifest["counts"]["failed"] == 0
    assert rows_of(place, manifest)["user_id"].to_list() == list(range(1, 61))


def test_poisoned_rows(run: Path, tmp_path: Path) -> None:
    """A title of 10 MB and a user with 10^6 events cost nobody anything."""
    log = made_log(users=10)
    many = pl.DataFrame({"item_id": [1 + n % 40 for n in range(1_000_000)]}).with_columns(
        pl.lit(77, pl.Int64).alias("user_id"),
        pl.lit(4.0).alias("rating"),
        (1_600_000_000 + pl.int_range(pl.len())).alias("timestamp"),
    )
    pl.concat([log, many.select(log.columns)]).write_parquet(tmp_path / "log.parquet")
    poisoned = write_run(tmp_path / "poisoned")
    items = pl.read_parquet(poisoned / "tables" / "items.parquet")
    huge = pl.when(pl.col("item_id") == 5).then(pl.lit("x" * 10_000_000)).otherwise("title")
    items.with_columns(huge.alias("title")).write_parquet(poisoned / "tables" / "items.parquet")
    place = Place(str(tmp_path / "to"))
    manifest = publish(poisoned, tmp_path / "to", tmp_path / "log.parquet")
    written = rows_of(place, manifest)
    assert written["user_id"].to_list() == [*range(1, 11), 77]
    mine = written.row(by_predicate=pl.col("user_id") == 77, named=True)
    assert (mine["events"], len(mine["history"])) == (1_000_000, 10)
    assert written["text"].str.len_chars().max() < 2_000  # type: ignore[operator]


def test_clocks_have_no_say(run: Path, log: Path, tmp_path: Path) -> None:
    """A machine whose clock is two years behind writes the next version, which is the current one."""
    publish(run, tmp_path / "to", log)
    second = publish(run, tmp_path / "to", log, started=STARTED - 63_072_000)
    assert second["version"] == "000002"
    assert Versions(Place(str(tmp_path / "to"))).current() == "000002"


def test_a_lost_partition_of_a_log_is_no_log(run: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with pytest.raises(LogError, match="holds no file"):
        publish(run, tmp_path / "to", tmp_path / "logs")


@pytest.mark.parametrize("form", ["folder", "pattern", "csv", "delta", "iceberg"])
def test_any_form_of_a_log(form: str, run: Path, log: Path, tmp_path: Path) -> None:
    rows, path = pl.read_parquet(log), tmp_path / "many"
    if form in ("folder", "pattern"):
        for day, part in enumerate(rows.iter_slices(100)):
            (path / f"day={day:03d}").mkdir(parents=True)
            part.write_parquet(path / f"day={day:03d}" / "part.parquet")
        where = str(path) if form == "folder" else f"{path}/day=*/*.parquet"
    elif form == "csv":
        path.mkdir()
        for number, part in enumerate(rows.iter_slices(300)):
            part.write_csv(path / f"{number}.csv")
        where = str(path)
    elif form == "delta":
        pytest.importorskip("deltalake")
        for part in rows.iter_slices(300):
            part.write_delta(str(path), mode="append")
        where = str(path)
    else:
        pytest.importorskip("pyiceberg")
        where = _iceberg(rows, tmp_path)
    plain, other = publish(run, tmp_path / "a", log), publish(run, tmp_path / "b", where)
    assert_frame_equal(
        rows_of(Place(str(tmp_path / "a")), plain), rows_of(Place(str(tmp_path / "b")), other), check_exact=True
    )


def _iceberg(rows: pl.DataFrame, folder: Path) -> str:
    from pyiceberg.catalog.memory import InMemoryCatalog

    catalog = InMemoryCatalog("test", warehouse=f"file://{folder}/warehouse")
    catalog.create_namespace("logs")
    table = catalog.create_table("logs.events", schema=rows.to_arrow().schema)
    table.append(rows.to_arrow())
    return str(table.metadata_location).removeprefix("file://")


def test_text_ids_are_dealt_too() -> None:
    users = pl.Series(["ann", "bob", None, "ann", ""])
    shards = shard_of(users, 97)
    assert shards[0] == shards[3]
    assert shards[2] == 0
    assert shards.to_list() == shard_of(users, 97).to_list()
    many = shard_of(pl.Series([f"user-{n}" for n in range(9700)]), 97).value_counts()
    assert many.height == 97
    assert many["count"].max() < 160  # type: ignore[operator]
    numbers = shard_of(pl.Series(range(9700)), 97).value_counts()
    assert numbers["count"].max() < 160  # type: ignore[operator]


def test_the_command_line_speaks_to_schedulers(
    run: Path, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    to = str(tmp_path / "to")
    common = [
        "write",
        "--run",
        str(run),
        "--log",
        str(log),
        "--to",
        to,
        "--engine",
        "template",
        "--workers",
        "0",
        "--json",
    ]
    settings = ["--set", "encoder=hashing", "--set", "shards=3"]
    assert call(monkeypatch, *common, *settings) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["begun", "dealt", "shard", "shard", "shard", "published"]
    assert lines[-1]["counts"]["rows"] == 60
    assert call(monkeypatch, *common, *settings, "--set", "gates.contradicted=0", "--set", "gates.coverage=1") == 0
    capsys.readouterr()
    pl.read_parquet(log).filter(pl.col("user_id") < 5).write_parquet(log)
    assert call(monkeypatch, *common, *settings) == 3
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["event"] == "refused"
    with only_writer(Place(to)):
        assert call(monkeypatch, *common) == 5
    assert call(monkeypatch, *common, "--set", "shard_user=3") == 1
    assert call(monkeypatch, "rollback", to, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"event": "rolled_back", "version": "000001"}
    assert call(monkeypatch, "status", to, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in told["versions"]] == ["current", "whole", "refused"]
