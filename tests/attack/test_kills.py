"""Killed at random moments, many times: a run, a job of writing and a store being loaded end as undisturbed ones."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from made_publication import made_row, write_publication
from polars.testing import assert_frame_equal
from test_writing_faults import as_undisturbed, kill_until_done
from writing_world import made_log, rows_of, write_run
from writing_world import publish as write_place

from tests.attack.conftest import World
from tests.attack.size import times
from trackrec.store.opening import open_store
from trackrec.store.publication import Publication, publish
from trackrec.writing.place import Place

pytestmark = pytest.mark.slow
ROUND = 10
"""Kills until a target is let end and another one is begun."""


def test_a_run(world: World, tmp_path: Path) -> None:
    kills = times(100)
    for first in range(0, kills, ROUND):
        draw, folder = random.Random(first), tmp_path / f"run-{first}"
        for _ in range(min(ROUND, kills - first)):
            run = world.start(folder)
            try:
                run.communicate(timeout=draw.uniform(2, 25))
            except subprocess.TimeoutExpired:
                run.kill()
                run.communicate()
        run = world.start(folder)
        said, _ = run.communicate()
        assert run.returncode == 0, said.decode()
        expected, found = (tables(place) for place in (world.finished, folder))
        assert list(found) == list(expected)
        for name, table in expected.items():
            assert_frame_equal(found[name], table, check_exact=True)
        assert (folder / "metrics.json").read_bytes() == (world.finished / "metrics.json").read_bytes()
        assert not list(folder.rglob("*.partial"))


def tables(folder: Path) -> dict[str, pl.DataFrame]:
    return {str(p.relative_to(folder)): pl.read_parquet(p, glob=False) for p in sorted(folder.rglob("*.parquet"))}


def test_a_job_of_writing(tmp_path: Path) -> None:
    kills = times(100)
    run, log = write_run(tmp_path / "run"), tmp_path / "log.parquet"
    made_log(users=400).write_parquet(log)
    plain = rows_of(Place(str(tmp_path / "plain")), write_place(run, tmp_path / "plain", log, shards=12, batch_users=5))
    for first in range(0, kills, ROUND):
        to = tmp_path / f"to-{first}"
        manifest = kill_until_done(run, to, log, min(ROUND, kills - first), seed=first)
        as_undisturbed(Place(str(to)), manifest, plain)


LOADING = """
import sys
from trackrec.store.opening import open_store
from trackrec.store.publication import Publication
from trackrec.store.publication import publish
print("ready", flush=True)
publish(Publication(sys.argv[1]), open_store(sys.argv[2]), "two")
"""
USERS = 1500


@pytest.mark.parametrize("kind", ["sqlite:", "lmdb:"])
def test_a_store_being_loaded(kind: str, tmp_path: Path) -> None:
    """At every moment it serves one version whole: the old one until the new one is there."""
    kills, place = times(50), tmp_path / "place"
    for version in ("one", "two"):
        write_publication(place, [made_row(user, version) for user in range(1, USERS + 1)], version, shards=8)
    begun, first = time.monotonic(), kind + str(tmp_path / "first")
    publish(Publication(str(place)), open_store(first), "one")
    whole = time.monotonic() - begun
    killed = 0
    for number in range(kills):
        draw, store = random.Random(number), f"{kind}{tmp_path / f'store-{number // ROUND}'}"
        if number % ROUND == 0:
            publish(Publication(str(place)), open_store(store), "one")
        code = [sys.executable, "-c", LOADING, str(place), store]
        loading = subprocess.Popen(code, stdout=subprocess.PIPE)
        assert loading.stdout is not None
        assert loading.stdout.readline() == b"ready\n"
        try:
            loading.wait(draw.uniform(0, 1.2 * whole))
        except subprocess.TimeoutExpired:
            loading.kill()
            killed += 1
        loading.communicate()
        serves_one_whole(store, draw)
    assert killed
    publish(Publication(str(place)), open_store(store), "two")
    assert open_store(store).state().current == "two"
    serves_one_whole(store, random.Random(0))


def serves_one_whole(place: str, draw: random.Random) -> None:
    store = open_store(place)
    current = store.state().current
    assert current in ("one", "two")
    store.check(current)
    asked = draw.sample(range(1, USERS + 1), 20)
    found: Any = store.read(asked).found
    assert [one.record.user_id for one in found] == asked
    assert {one.record.version for one in found} == {current}
