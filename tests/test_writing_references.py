"""Shards in which nothing changed are files of an older version: none is copied, and none dropped that is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from writing_world import STARTED, files_of, made_log, publish, rows_of, write_run

from trackrec.errors import StoreError, WriteError
from trackrec.store.publication import Publication
from trackrec.writing.forgotten import forget_at
from trackrec.writing.partition import shard_of
from trackrec.writing.place import Place
from trackrec.writing.shard_file import shard_file
from trackrec.writing.versions import Versions, publication_status

EVERY = {"only_changed": True, "shards": None, "refresh": {"new_items": 1}}
"""Only who changed, by whatever little."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    made_log().write_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def one_more_event(log: Path, user: int, item: int) -> None:
    old = pl.read_parquet(log)
    new = pl.DataFrame([(user, item, 5.0, 1_650_000_000 + item)], schema=old.schema, orient="row")
    pl.concat([old, new]).write_parquet(log)


def shard_of_user(user: int) -> int:
    return int(shard_of(pl.Series([user]), 4)[0])


def parquet_files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.glob("versions/*/shards/*.parquet"))


def as_written_in_full(run: Path, log: Path, to: str | Path, full: Path, manifest: dict[str, Any]) -> None:
    """All columns but where and when a row was written, all rejected users and all counts of what is there."""
    whole, mine, theirs = publish(run, full, log), Place(str(to)), Place(str(full))
    assert_frame_equal(rows_of(mine, manifest).drop("version"), rows_of(theirs, whole).drop("version"))
    assert_frame_equal(rows_of(mine, manifest, "rejected"), rows_of(theirs, whole, "rejected"))
    counts = {key: n for key, n in manifest["counts"].items() if key not in ("bytes", "carried", "shards_by_reference")}
    assert counts == {key: n for key, n in whole["counts"].items() if key != "bytes"}


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_one_changed_user_costs_one_shard(where: str, run: Path, log: Path, tmp_path: Path) -> None:
    to = tmp_path / "to" if where == "folder" else "memory://references/profiles"
    first = publish(run, to, log)
    one_more_event(log, user=3, item=39)
    second = publish(run, to, log, **EVERY)
    changed = shard_of_user(3)
    assert [shard.get("file_version") for shard in second["shards"]] == [
        None if number == changed else "000001" for number in range(4)
    ]
    assert second["counts"]["shards_by_reference"] == 3
    assert second["counts"]["carried"] == second["counts"]["rows"] - 1
    for number, name in enumerate(files_of(Place(str(to)), first)):
        same = files_of(Place(str(to)), first)[name] == files_of(Place(str(to)), second)[name]
        assert same == (number != changed)
    place = Place(str(to))
    written = [file for file in place.names("versions/000002/shards") if file.endswith(".parquet")]
    assert written == [f"{changed:05d}-of-00004.parquet"]
    as_written_in_full(run, log, to, tmp_path / "full", second)


def test_references_are_flat(run: Path, log: Path, tmp_path: Path) -> None:
    """A third version refers to the first one's files, not to the second one's references."""
    publish(run, tmp_path / "to", log)
    one_more_event(log, user=3, item=39)
    publish(run, tmp_path / "to", log, **EVERY)
    third = publish(run, tmp_path / "to", log, **EVERY)
    changed = shard_of_user(3)
    assert [shard["file_version"] for shard in third["shards"]] == [
        "000002" if number == changed else "000001" for number in range(4)
    ]
    as_written_in_full(run, log, tmp_path / "to", tmp_path / "full", third)


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_retention_keeps_what_is_referred_to_and_no_longer(where: str, run: Path, log: Path, tmp_path: Path) -> None:
    to = str(tmp_path / "to") if where == "folder" else "memory://retention/profiles"
    place = Place(to)
    publish(run, to, log, keep_versions=1)
    one_more_event(log, user=3, item=39)
    second = publish(run, to, log, keep_versions=1, **EVERY)
    assert Versions(place).manifest("000001") is None
    assert place.names("versions/000001") == ["shards"]
    assert len(place.names("versions/000001/shards")) == 3
    as_written_in_full(run, log, to, tmp_path / "full", second)
    states = {row["version"]: (row["state"], row["shards"]) for row in publication_status(place)["versions"]}
    assert states == {
        "000001": ("dropped", "3 that later versions refer to"),
        "000002": ("current", "4, 3 of them files of older versions"),
    }
    with pytest.raises(WriteError, match="no whole version '000001': expected one of 000002"):
        Versions(place).rollback("000001")
    # Whoever changes next is in another shard: that one's old file is needed no longer.
    other = next(user for user in range(1, 60) if shard_of_user(user) != shard_of_user(3))
    one_more_event(log, user=other, item=38)
    publish(run, to, log, keep_versions=1, **EVERY)
    assert len(place.names("versions/000001/shards")) == 2
    # After a full write nothing of the older ones is.
    publish(run, to, log, keep_versions=1)
    assert Versions(place).names() == ["000004"]


def test_rollback_and_publishing_read_the_older_files(run: Path, log: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "to", log)
    one_more_event(log, user=3, item=39)
    second = publish(run, tmp_path / "to", log, **EVERY)
    publish(run, tmp_path / "to", log)
    place = Place(str(tmp_path / "to"))
    assert Versions(place).rollback(None) == "000002"
    publication = Publication(str(tmp_path / "to"))
    read = sorted(record.user_id for record in publication.records(publication.current()))
    assert read == rows_of(place, second)["user_id"].to_list()
    # From a version that is made of references, the next one takes over as well.
    fourth = publish(run, tmp_path / "to", log, **EVERY)
    assert (fourth["base"], fourth["counts"]["shards_by_reference"]) == ("000002", 4)


def test_a_reference_is_read_only_if_the_file_is_what_was_written(run: Path, log: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "to", log)
    second = publish(run, tmp_path / "to", log, **EVERY)
    publication = Publication(str(tmp_path / "to"))
    file = tmp_path / "to" / shard_file("000002", second["shards"][0])
    assert file.parent.parent.name == "000001"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match=r"versions/000001/shards/00000-of-00004.parquet .* was changed or damaged"):
        publication.shard("000002", second["shards"][0])
    path = tmp_path / "to" / "versions" / "000002" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["shards"][0]["file_version"] = "../../elsewhere"
    path.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="cannot be used"):
        publication.manifest("000002")


def test_who_is_forgotten_is_gone_from_the_files_that_others_refer_to(run: Path, log: Path, tmp_path: Path) -> None:
    """In a version that is dropped but for its files, in one that wrote the shard, and in two that refer to it."""
    for number in range(4):
        publish(run, tmp_path / "to", log, keep_versions=3, **(EVERY if number else {}))
    place, versions = Place(str(tmp_path / "to")), Versions(Place(str(tmp_path / "to")))
    assert versions.manifest("000001") is None
    said = forget_at("3", place)
    assert "Removed 4 rows from versions" in said, said
    for file in parquet_files(tmp_path / "to"):
        assert 3 not in place.read_table(file)["user_id"]
    for name in ("000002", "000003", "000004"):
        manifest = versions.manifest(name)
        assert manifest is not None
        assert manifest["counts"]["rows"] == rows_of(place, manifest).height == 59
        assert manifest["counts"]["shards_by_reference"] == 3
        records = list(Publication(str(tmp_path / "to")).records(name))
        assert sorted(record.user_id for record in records) == [user for user in range(1, 61) if user != 3]
    last = publish(run, tmp_path / "to", log, **EVERY)
    assert 3 not in rows_of(place, last)["user_id"]
    assert last["counts"]["shards_by_reference"] == 4


def test_users_who_left_and_users_without_text_cost_their_shard_or_nothing(
    run: Path, log: Path, tmp_path: Path
) -> None:
    """Somebody gone: that shard is written. Somebody new whose rows cannot be used: only the list of the rejected."""
    publish(run, tmp_path / "to", log)
    old = pl.read_parquet(log)
    gone = old.filter(pl.col("user_id") != 7)
    bad = pl.DataFrame([(700, 1, 4.0, STARTED + 50)], schema=old.schema, orient="row")
    pl.concat([gone, bad]).write_parquet(log)
    second = publish(run, tmp_path / "to", log, **EVERY)
    lost = shard_of_user(7)
    assert [number for number, shard in enumerate(second["shards"]) if "file_version" not in shard] == [lost]
    as_written_in_full(run, log, tmp_path / "to", tmp_path / "full", second)
    assert rows_of(Place(str(tmp_path / "to")), second, "rejected")["user_id"].to_list() == [700]


def test_what_rows_hold_must_be_the_same(run: Path, log: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "to", log)
    with pytest.raises(WriteError, match="raw_vectors is False, but version 000001 was written with True"):
        publish(run, tmp_path / "to", log, raw_vectors=False, **EVERY)


def test_a_version_that_is_killed_while_it_is_dropped_is_nobodys_unfinished_one(
    run: Path, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(run, tmp_path / "to", log)
    place = Place(str(tmp_path / "to"))
    versions = Versions(place)

    removed: list[str] = []

    def dies(name: str) -> None:
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(name)
        (tmp_path / "to" / name).unlink()

    monkeypatch.setattr(place, "remove", dies)
    with pytest.raises(KeyboardInterrupt):
        versions.drop("000001")
    assert removed == ["versions/000001/plan.json", "versions/000001/manifest.json"]
    assert versions.unfinished() is None
