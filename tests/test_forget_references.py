"""Forgetting where versions refer to files of older ones: each is whole afterwards, and nobody finds the person."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from test_forget_places import ZOE, check_whole, named_log, traces
from writing_world import STARTED, publish, rows_of, write_run

from trackrec.store.opening import open_store
from trackrec.store.publication import Publication
from trackrec.store.publication import publish as load
from trackrec.writing.forgotten import forget_at
from trackrec.writing.partition import shard_of
from trackrec.writing.place import Place
from trackrec.writing.shard_file import known_part, read_shard
from trackrec.writing.versions import Versions, publication_status

World = tuple[Path, Path, Path]
VERSIONS = ("000001", "000002", "000003")
CHANGED = {"only_changed": True, "refresh": {"new_items": 1}}
SOMEBODY = [f"user-{number}" for number in range(1, 31) if number != 7]


def shard_number(user: str) -> int:
    return int(shard_of(pl.Series([user]), 4)[0])


OTHER = next(user for user in SOMEBODY if shard_number(user) != shard_number(ZOE))
"""Somebody in another shard than the person."""
ACTIVE = next(user for user in SOMEBODY if shard_number(user) not in (shard_number(ZOE), shard_number(OTHER)))
"""Somebody in a third shard, who is the only one of whom there is news."""


def news_of_one(log: Path, item: int) -> None:
    more = pl.DataFrame({"user_id": [ACTIVE], "item_id": [item], "rating": [5.0], "timestamp": [1_690_000_000 + item]})
    pl.concat([pl.read_parquet(log), more]).write_parquet(log)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A run, a log and a place with a whole version, and two after it that refer to its files."""
    folder = tmp_path_factory.mktemp("world")
    run, log, place = write_run(folder / "run"), folder / "log.parquet", folder / "place"
    named_log().write_parquet(log)
    publish(run, place, log)
    for turn in (1, 2):
        news_of_one(log, 37 + turn)
        publish(run, place, log, started=STARTED + 100 * turn, **CHANGED)
    return run, log, place


@pytest.fixture
def place(world: World, tmp_path: Path) -> Place:
    shutil.copytree(world[2], tmp_path / "place")
    return Place(str(tmp_path / "place"))


def rows(place: Place, version: str) -> pl.DataFrame:
    return rows_of(place, Versions(place).manifest(version) or {})


def check_all(place: Place, *gone: str) -> None:
    """Every version is whole, by its own and its shards' manifests, and holds everybody but those."""
    for version in Versions(place).names():
        check_whole(place, version)
        manifest = Versions(place).manifest(version) or {}
        total = Counter[str]()
        for shard in manifest["shards"]:
            part = known_part(place, version, shard["name"])
            total.update(part["counts"] | {"rows": part["rows"], "bytes": part["bytes"]})
            assert part.get("file_version") == shard.get("file_version")
            assert read_shard(place, version, shard).height == shard["rows"]
        same = ("users", "rows", "bytes", "characters", "carried", "shards_by_reference")
        assert {name: total[name] for name in same} == {name: manifest["counts"].get(name, 0) for name in same}
        by_reference = sum("file_version" in shard for shard in manifest["shards"])
        assert manifest["counts"].get("shards_by_reference", 0) == by_reference
        assert set(rows(place, version)["user_id"]) == {*SOMEBODY, ZOE} - set(gone)
    for user in gone:
        assert traces(Path(place.root), f'"{user}"') == []


def test_who_is_in_a_shard_that_later_versions_refer_to_leaves_all_of_them(
    world: World, place: Place, tmp_path: Path
) -> None:
    name = f"{shard_number(ZOE):05d}-of-00004"
    assert [known_part(place, version, name).get("file_version") for version in VERSIONS] == [None, "000001", "000001"]
    before = {version: rows(place, version) for version in VERSIONS}
    told = forget_at(ZOE, place)
    assert "Removed 3 rows" in told
    assert ", ".join(VERSIONS) in told
    check_all(place, ZOE)
    for version in VERSIONS:
        assert_frame_equal(rows(place, version), before[version].filter(pl.col("user_id") != ZOE))
    assert [row["texts"] for row in publication_status(place)["versions"]] == [29, 29, 29]
    store = open_store(str(tmp_path / "store.sqlite"))
    assert Versions(place).rollback(None) == "000002"
    load(Publication(place.url), store, None, True, 2)
    assert store.state().versions["000002"].records == 29
    # The next version refers to what is left, and to each file where it lies now.
    run, log, _ = world
    last = publish(run, place.url, log, started=STARTED + 300, keep_versions=9, **CHANGED)
    assert (last["base"], last["counts"]["rows"], last["counts"]["shards_by_reference"]) == ("000002", 29, 3)
    check_all(place, ZOE)
    publish(run, place.url, log, started=STARTED + 400, keep_versions=1, **CHANGED)
    assert Versions(place).manifest("000003") is None
    check_whole(place, "000005")
    forget_at(OTHER, place)
    assert traces(Path(place.root), f'"{OTHER}"') == []
    check_whole(place, "000005")


def dies_before(call: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A kill before the so-manieth file is put or removed, of files that are not the lock's."""
    left = [call]

    def dying(inner: Callable[..., None]) -> Callable[..., None]:
        def change(self: Place, name: str, *content: bytes) -> None:
            if name.startswith("versions/"):
                left[0] -= 1
                if left[0] == 0:
                    raise KeyboardInterrupt
            inner(self, name, *content)

        return change

    for method in ("write", "remove"):
        monkeypatch.setattr(Place, method, dying(getattr(Place, method)))
    return left


KILLS = 21
"""Files that are put or removed: in two versions a copy and two manifests, in three what changes a shard."""


def test_that_many_files_are_changed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    left = dies_before(0, monkeypatch)
    forget_at(ZOE, place)
    assert -left[0] == KILLS


QUICK = {(3, "the same"), (9, "the same"), (14, "somebody else"), (19, "somebody else"), (19, "a job")}
"""Between the manifests of a copy; with a shard changed but its manifest; between that one and the shard's."""


@pytest.mark.parametrize(
    ("call", "first"),
    [
        pytest.param(call, first, marks=() if (call, first) in QUICK else pytest.mark.slow)
        for call in range(1, KILLS + 1)
        for first in ("the same", "somebody else", "a job")
    ],
)
def test_a_kill_is_healed_by_the_same_command_whatever_comes_before_it(
    call: int, first: str, world: World, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies_before(call, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        forget_at(ZOE, place)
    monkeypatch.undo()
    if first == "somebody else":
        forget_at(OTHER, place)
    if first == "a job":
        run, log, _ = world
        made = publish(run, place.url, log, started=STARTED + 300, keep_versions=9, **CHANGED)
        assert set(rows_of(place, made)["user_id"]) == set(SOMEBODY)
    forget_at(ZOE, place)
    check_all(place, ZOE, *([OTHER] if first == "somebody else" else []))
