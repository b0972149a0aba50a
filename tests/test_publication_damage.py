"""Files of a publication that are not what was written: each is named, and nothing is taken from them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from writing_world import STARTED, made_log, publish, write_run

from trackrec.errors import RunError, StoreError, WriteError
from trackrec.files.tables import read_table, table_of
from trackrec.store.opening import open_store
from trackrec.store.publication import Publication
from trackrec.store.publication import publish as load
from trackrec.store.record import Stored, encode_record, read_value, record_from_row
from trackrec.writing.place import Place
from trackrec.writing.shard_file import parquet_bytes
from trackrec.writing.versions import Versions, publication_status


@pytest.fixture
def world(tmp_path: Path) -> tuple[Path, Path, Place]:
    run, log, place = write_run(tmp_path / "run"), tmp_path / "log.parquet", Place(str(tmp_path / "place"))
    made_log(users=20).write_parquet(log)
    publish(run, place.url, log, shards=1)
    return run, log, place


SHARD = "versions/000001/shards/00000-of-00001"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("current.json", b"{"),
        ("current.json", b"[]"),
        ("current.json", b'{"version": 5}'),
        ("current.json", b"\xff\xfe"),
        ("versions/000001/manifest.json", b'{"counts": {}}'),
        ("versions/000001/manifest.json", b"[" * 100_000),
        ("versions/000001/plan.json", b'{"version": "000001"}'),
    ],
)
def test_a_damaged_json_file_is_named(file: str, content: bytes, world: tuple[Path, Path, Place]) -> None:
    run, log, place = world
    place.write(file, content)
    with pytest.raises(WriteError, match=f"{file} is damaged .*delete the version"):
        publication_status(place)
    with pytest.raises(WriteError, match=f"{file} is damaged"):
        publish(run, place.url, log, only_changed=True)


@pytest.mark.parametrize("content", [b"{", b"[]", b"null", b'{"version": 5}', b'{"version": "../.."}', b"[" * 100_000])
def test_a_pointer_that_names_no_version_is_refused(content: bytes, world: tuple[Path, Path, Place]) -> None:
    place = world[2]
    place.write("current.json", content)
    publication = Publication(place.url)
    with pytest.raises(StoreError):
        publication.manifest(publication.current())


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../../../elsewhere"},
        {"name": "/etc/elsewhere"},
        {"name": 5},
        {"file_version": ".."},
        {"rows": "many"},
        {"sha256": None},
    ],
)
def test_a_received_manifest_leads_nowhere_else(
    change: dict[str, Any], world: tuple[Path, Path, Place], tmp_path: Path
) -> None:
    """Who sends a publication also writes its manifest: what it names is in the publication, or refused."""
    place = world[2]
    (tmp_path / "elsewhere.parquet").write_bytes(place.read(f"{SHARD}.parquet"))
    manifest = place.read_json("versions/000001/manifest.json")
    manifest["shards"][0].update(change)
    place.write_json("versions/000001/manifest.json", manifest)
    with pytest.raises(StoreError, match="cannot be used"):
        list(Publication(place.url).records("000001"))


COLUMNS = (
    "user_id",
    "text",
    "sentences",
    "vector",
    "raw_vector",
    "history",
    "events",
    "last_event",
    "written",
    "expires",
    "version",
)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_received_shard_of_another_form_is_refused(column: str, world: tuple[Path, Path, Place]) -> None:
    """With the right hash in its manifest: a column is gone, is something else, or holds nothing."""
    place = world[2]
    whole = place.read_table(f"{SHARD}.parquet")
    other = pl.lit(True) if column == "user_id" else pl.lit(1.5) if column == "text" else pl.lit("x\x1b[2J")
    forms = [whole.drop(column), whole.with_columns(pl.lit(None, whole.schema[column]).alias(column))]
    if column not in ("user_id", "version"):
        forms.append(whole.with_columns(other.alias(column)))
    manifest = place.read_json("versions/000001/manifest.json")
    refused = []
    for table in forms:
        content = parquet_bytes(table)
        place.write(f"{SHARD}.parquet", content)
        manifest["shards"][0]["sha256"] = hashlib.sha256(content).hexdigest()
        place.write_json("versions/000001/manifest.json", manifest)
        try:
            load(Publication(place.url), open_store(f"{place.root}-{column}-{len(refused)}.sqlite"))
            refused.append(False)
        except StoreError as error:
            assert "00000-of-00001" in str(error) or "records" in str(error)  # noqa: PT017 - of several
            refused.append(True)
    assert refused[0]
    assert all(refused[2:])


def test_no_row_is_carried_from_a_shard_that_is_not_what_was_written(world: tuple[Path, Path, Place]) -> None:
    run, log, place = world
    table = pl.read_parquet(place.path(f"{SHARD}.parquet"))
    table.with_columns(text=pl.lit("They like what I sell.")).write_parquet(place.path(f"{SHARD}.parquet"))
    with pytest.raises(WriteError, match="not what its manifest says"):
        publish(run, place.url, log, only_changed=True, started=STARTED + 100, shards=1)
    assert Versions(place).current() == "000001"
    place.write(f"{SHARD}.json", b'{"name": "00000-of-00001"}')
    with pytest.raises(WriteError, match=r"00000-of-00001\.json is damaged \(rows: Field required\)"):
        publish(run, place.url, log, only_changed=True, started=STARTED + 100, shards=1)


def test_the_reader_s_own_errors_name_the_file(tmp_path: Path) -> None:
    """Arrow raises some of them as errors of the system, which have no file's name."""
    whole = tmp_path / "whole.parquet"
    pl.DataFrame({"user_id": list(range(99)), "text": ["a"] * 99}).write_parquet(whole)
    content = whole.read_bytes()
    kinds = set()
    for place in range(len(content) - 200, len(content) - 4):
        path = tmp_path / "t.parquet"
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            read_table(path)
        except RunError as error:
            assert str(path) in str(error)  # noqa: PT017 - of many, which all must say so
            kinds.add(type(error.__cause__))
    assert OSError in kinds
    with pytest.raises(RunError, match="some name is damaged"):
        table_of(b"PAR1", "some name")
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.parquet")


def test_a_record_with_changed_bytes_is_refused(world: tuple[Path, Path, Place]) -> None:
    _, _, place = world
    row = pl.read_parquet(place.path(f"{SHARD}.parquet")).row(0, named=True)
    whole = encode_record(record_from_row(row))
    assert Stored(whole).record.user_id == row["user_id"]
    for old, new in (
        (b'{"', b'["'),
        (b'"sentences"', b'"sentencez"'),
        (b'"text"', b'"\xff\xfe\xfd\xfc"'),
        (b"}", b"]"),
    ):
        assert old in whole
        with pytest.raises(StoreError, match="a record of the store is damaged"):
            _ = Stored(whole.replace(old, new, 1)).record
    with pytest.raises(StoreError, match="damaged"):
        read_value(b"{")
