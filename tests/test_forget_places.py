"""A person who is forgotten leaves every version at a place of publications, and no later one has the person."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from writing_world import STARTED, job, made_log, publish, rows_of, write_run

from trackrec.errors import RunError, TargetBusy, WriteError
from trackrec.files.forgotten import remember
from trackrec.store.opening import open_store
from trackrec.store.publication import Publication
from trackrec.store.publication import publish as load
from trackrec.writing import forgotten
from trackrec.writing.executor import LocalExecutor, LocalSettings
from trackrec.writing.forgotten import forget_at
from trackrec.writing.lock import Holder, only_writer
from trackrec.writing.place import Place
from trackrec.writing.shard_file import shard_file
from trackrec.writing.versions import Versions

ZOE = "zq7741-zoe"


def named_log() -> pl.DataFrame:
    """A log with names as ids, in which one of them is improbable enough to be searched for."""
    log = made_log(users=30).with_columns(pl.format("user-{}", "user_id").alias("user_id"))
    return log.with_columns(pl.col("user_id").replace("user-7", ZOE))


@pytest.fixture
def world(tmp_path: Path) -> tuple[Path, Path, Place]:
    log = tmp_path / "log.parquet"
    named_log().write_parquet(log)
    return write_run(tmp_path / "run"), log, Place(str(tmp_path / "place"))


def traces(folder: Path, marker: str) -> list[str]:
    """Files with a marker in them, as bytes or unpacked."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if content[:4] == b"PAR1":
            content += pl.read_parquet(io.BytesIO(content)).write_json().encode()
        if marker.encode() in content:
            found.append(str(path.relative_to(folder)))
    return found


def check_whole(place: Place, version: str) -> None:
    """What a manifest says is what its shards hold, as the store's loader and a count by hand have it."""
    manifest = Versions(place).manifest(version)
    assert manifest is not None
    publication = Publication(place.url)
    rows = pl.concat([publication.shard(version, shard) for shard in manifest["shards"]])
    rejected = rows_of(place, manifest, "rejected")
    counts = manifest["counts"]
    assert counts["rows"] == rows.height
    assert counts["rejected"] == rejected.height
    assert counts["users"] == rows.height + rejected.height
    assert counts["characters"] == rows["text"].str.len_chars().sum()
    assert counts.get("carried", 0) == rows.filter(pl.col("version") != version).height
    assert sum(manifest["reasons"].values()) == rejected.height
    parts = [place.read_json(f"versions/{version}/shards/{shard['name']}.json") for shard in manifest["shards"]]
    for part, shard in zip(parts, manifest["shards"], strict=True):
        content = place.read(shard_file(version, shard))
        assert part["sha256"] == shard["sha256"] == hashlib.sha256(content).hexdigest()
        assert (part["rows"], part["bytes"]) == (shard["rows"], shard["bytes"])
        assert shard["bytes"] == len(content)
    for name in (name for name in counts if name.startswith("sentences_")):
        verdicts = rows["sentences"].explode().drop_nulls().struct.field("verdict")
        assert counts[name] == (verdicts == name.removeprefix("sentences_")).sum()


def two_versions(run: Path, log: Path, place: Place) -> None:
    """A whole version and one that carries rows over from it, the person's among them; one person is rejected."""
    table = pl.read_parquet(log)
    bad = table.filter(pl.col("user_id") == "user-9").with_columns(rating=pl.lit(None, pl.Float64))
    pl.concat([table.filter(pl.col("user_id") != "user-9"), bad]).write_parquet(log)
    publish(run, place.url, log, max_rejected=1.0)
    more = pl.DataFrame({"user_id": ["user-3"], "item_id": [39], "rating": [5.0], "timestamp": [1_690_000_000]})
    pl.concat([pl.read_parquet(log), more]).write_parquet(log)
    publish(run, place.url, log, only_changed=True, started=STARTED + 100, max_rejected=1.0)


def test_nobody_finds_the_person_in_any_version(world: tuple[Path, Path, Place], tmp_path: Path) -> None:
    run, log, place = world
    two_versions(run, log, place)
    carried = rows_of(place, Versions(place).manifest("000002") or {}).filter(pl.col("user_id") == ZOE)
    assert carried["version"].to_list() == ["000001"]
    assert len(traces(tmp_path / "place", ZOE)) == 1, "the second version refers to the first one's file"
    others = {name: rows_of(place, Versions(place).manifest(name) or {}) for name in ("000001", "000002")}
    told = forget_at(ZOE, place)
    assert "Removed 2 rows from versions at" in told
    assert "000001, 000002" in told
    assert ZOE not in told
    assert traces(tmp_path / "place", ZOE) == []
    assert traces(tmp_path / "place", carried["text"][0]) == []
    for name, before in others.items():
        check_whole(place, name)
        after = rows_of(place, Versions(place).manifest(name) or {})
        assert_frame_equal(after, before.filter(pl.col("user_id") != ZOE))
    forget_at("user-9", place)  # who was rejected is in another table
    assert traces(tmp_path / "place", '"user-9"') == []
    check_whole(place, "000002")
    assert "none has any" in forget_at(ZOE, place), "twice is no error"
    store = open_store(str(tmp_path / "store.sqlite"))
    load(Publication(place.url), store, None, True, 2)
    assert store.state().versions["000002"].records == others["000002"].height - 1


def test_no_later_version_has_the_person(world: tuple[Path, Path, Place], tmp_path: Path) -> None:
    run, log, place = world
    publish(run, place.url, log)
    forget_at(ZOE, place)
    manifest = publish(run, place.url, log, only_changed=True, started=STARTED + 100)
    assert manifest["counts"]["carried"] == manifest["counts"]["rows"] == 29
    remember(run, "user-3")  # forgotten in the run
    whole = publish(run, place.url, log, started=STARTED + 200)
    assert whole["counts"]["users"] == 28
    assert traces(tmp_path / "place", ZOE) == []
    assert "user-3" not in rows_of(place, whole)["user_id"].to_list()


def test_an_unfinished_version_goes_on_without_the_person(
    world: tuple[Path, Path, Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, log, place = world
    half = job(run, place.url, log)
    monkeypatch.setattr(type(half), "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        half.run(LocalExecutor(LocalSettings(workers=0)))
    monkeypatch.undo()
    left = tmp_path / "place" / "versions" / "000001" / "work" / ".deal-killed" / "shard-00000"
    left.parent.mkdir()
    left.write_text(ZOE)
    assert len(traces(tmp_path / "place", ZOE)) == 3
    forget_at(ZOE, place)
    assert traces(tmp_path / "place", ZOE) == []
    manifest = publish(run, place.url, log)
    assert (manifest["version"], manifest["counts"]["rows"]) == ("000001", 29)
    check_whole(place, "000001")


@pytest.mark.parametrize("call", range(1, 13))
def test_killed_in_the_middle_the_same_command_ends_it(
    call: int, world: tuple[Path, Path, Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each of its writes in turn; then somebody else is forgotten first."""
    run, log, place = world
    two_versions(run, log, place)
    left, put = [call], Place.write

    def dies(self: Place, name: str, content: bytes) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        put(self, name, content)

    monkeypatch.setattr(Place, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        forget_at(ZOE, place)
    monkeypatch.undo()
    forget_at("user-9", place)
    forget_at(ZOE, place)
    assert traces(tmp_path / "place", ZOE) == []
    for version in ("000001", "000002"):
        check_whole(place, version)


def test_a_damaged_shard_cannot_hide_the_person_nor_pass_for_whole(world: tuple[Path, Path, Place]) -> None:
    run, log, place = world
    manifest = publish(run, place.url, log, shards=1)
    shard = f"versions/000001/shards/{manifest['shards'][0]['name']}.parquet"
    other = pl.read_parquet(io.BytesIO(place.read(shard))).with_columns(text=pl.lit("changed by hand"))
    other.write_parquet(place.path(shard))
    forget_at(ZOE, place)
    after = Versions(place).manifest("000001")
    assert after is not None
    assert after["shards"][0]["sha256"] == manifest["shards"][0]["sha256"], "what was wrong stays wrong"
    place.write(shard, b"PAR1" + b"user-3")
    assert f"write anew: {shard}" in forget_at("user-3", place)
    assert not place.exists(shard)


def test_it_is_refused_where_it_cannot_be_done(world: tuple[Path, Path, Place], tmp_path: Path) -> None:
    run, log, place = world
    with pytest.raises(WriteError, match="holds no publication"):
        forget_at(ZOE, place)
    assert not (tmp_path / "place").exists()
    publish(run, place.url, log)
    with only_writer(place), pytest.raises(TargetBusy):
        forget_at(ZOE, Place(place.url))
    place.write("forgotten.json", b"{")
    with pytest.raises(RunError, match=r"forgotten\.json is damaged"):
        forget_at(ZOE, place)
    with pytest.raises(RunError, match=r"forgotten\.json is damaged"):
        publish(run, place.url, log)


def test_it_changes_nothing_once_another_job_took_the_place(
    world: tuple[Path, Path, Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease on object storage runs out while a process is stopped; what comes after is the other one's to change."""
    run, log, place = world
    publish(run, place.url, log)
    before = traces(tmp_path / "place", ZOE)
    monkeypatch.setattr(Holder, "holds", property(lambda _: False))
    with pytest.raises(TargetBusy, match="another job took it"):
        forget_at(ZOE, place)
    assert traces(tmp_path / "place", ZOE) == before != []
    monkeypatch.undo()
    forget_at(ZOE, place)
    assert traces(tmp_path / "place", ZOE) == []
    check_whole(place, "000001")


@pytest.mark.parametrize("user", ["7", "-3", "x" * 300, "", "1_000", str(2**70)])
def test_any_text_can_be_asked_about(user: str) -> None:
    assert forgotten._may_hold(user, 100)


def test_numbers_and_names_are_the_same_person(tmp_path: Path) -> None:
    run, log, place = write_run(tmp_path / "run"), tmp_path / "log.parquet", Place(str(tmp_path / "place"))
    made_log(users=30).write_parquet(log)
    made: dict[str, Any] = publish(run, place.url, log, shards=7)
    forget_at("12", place)
    after = Versions(place).manifest("000001") or {}
    assert 12 not in rows_of(place, after)["user_id"].to_list()
    assert after["counts"]["rows"] == made["counts"]["rows"] - 1
    assert json.loads((tmp_path / "place" / "forgotten.json").read_text()).keys() == {"salt", "users"}
