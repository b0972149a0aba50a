"""Killed at any moment, on a full disk, on storage that fails: nobody lost, nobody twice, nothing half to be seen."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from polars.testing import assert_frame_equal
from writing_world import made_log, publish, rows_of, write_run

from trackrec.writing.place import Place
from trackrec.writing.versions import Versions

SCRIPT = Path(__file__).parent / "writing_world.py"
USERS = 160


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    made_log(users=USERS).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that takes long enough for thirty kills."""
    path = tmp_path_factory.mktemp("log") / "long.parquet"
    made_log(users=400).write_parquet(path)
    return path


def start(run: Path, to: Path, log: Path, **changes: Any) -> subprocess.Popen[bytes]:
    told = {"run": str(run), "to": str(to), "log": str(log), "workers": 2, "shards": 12, "batch_users": 5} | changes
    environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), json.dumps(told)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)


def look_whole(place: Place) -> None:
    """What a reader may find at any moment: no pointer, or one to a version whose every shard is what it says."""
    current = Versions(place).current()
    for name in Versions(place).names():
        for file in place.names(f"versions/{name}/shards"):
            if file.endswith(".parquet"):
                place.read_table(f"versions/{name}/shards/{file}")
    if current is None:
        return
    manifest = Versions(place).manifest(current)
    assert manifest is not None
    written, rejected = rows_of(place, manifest), rows_of(place, manifest, "rejected")
    users = pl.concat([written["user_id"], rejected["user_id"]])
    assert users.n_unique() == len(users) == manifest["counts"]["users"]


def kill_until_done(run: Path, to: Path, log: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill the job or one of its workers at random moments, start it again, and let the last start end."""
    draw, place = random.Random(seed), Place(str(to))
    for _ in range(kills):
        job = start(run, to, log)
        assert job.stdout is not None
        assert job.stdout.readline() == b"begins\n"  # a kill while Python imports would hit nothing
        deadline = time.monotonic() + draw.uniform(0.0, 2.5)
        while time.monotonic() < deadline and job.poll() is None:
            time.sleep(0.02)
        if draw.random() < 0.3 and (workers := children(job.pid)):
            os.kill(draw.choice(workers), signal.SIGKILL)
            time.sleep(draw.uniform(0, 1))
        job.kill()
        job.wait()
        look_whole(place)
    job = start(run, to, log)
    _, said = job.communicate()
    assert job.returncode == 0, said.decode()
    look_whole(place)
    versions = Versions(place)
    manifest = versions.manifest(versions.current() or "")
    assert manifest is not None
    return manifest


def children(pid: int) -> list[int]:
    """The worker processes of a job that are there."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def undisturbed(run: Path, log: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The rows of a job that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return rows_of(Place(str(folder)), publish(run, folder, log, shards=12, batch_users=5))


def as_undisturbed(place: Place, manifest: dict[str, Any], undisturbed: pl.DataFrame) -> None:
    """The same rows to the bit; the version's name alone may be a later one."""
    assert_frame_equal(rows_of(place, manifest).drop("version"), undisturbed.drop("version"), check_exact=True)


def test_killed_at_random_moments(run: Path, log: Path, undisturbed: pl.DataFrame, tmp_path: Path) -> None:
    manifest = kill_until_done(run, tmp_path / "to", log, kills=2, seed=2)
    as_undisturbed(Place(str(tmp_path / "to")), manifest, undisturbed)
    assert not list((tmp_path / "to").rglob("*.partial"))


@pytest.mark.slow
def test_killed_thirty_times(run: Path, long_log: Path, tmp_path: Path) -> None:
    expected = publish(run, tmp_path / "undisturbed", long_log, shards=12, batch_users=5)
    manifest = kill_until_done(run, tmp_path / "to", long_log, kills=30, seed=30)
    as_undisturbed(Place(str(tmp_path / "to")), manifest, rows_of(Place(str(tmp_path / "undisturbed")), expected))
    assert not list((tmp_path / "to").rglob("*.partial"))


def test_what_a_kill_left_half_made_is_gone_when_a_version_is_published(run: Path, log: Path, tmp_path: Path) -> None:
    left = [tmp_path / f".current.json.{'0' * 12}.partial"]
    left += [tmp_path / f"versions/000001/{name}/.00000-of-00002.{'0' * 12}.partial" for name in ("shards", "rejected")]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    publish(run, tmp_path, log, shards=2)
    assert not [file for file in left if file.exists()]


def test_workers_end_with_their_driver(run: Path, log: Path, tmp_path: Path) -> None:
    job = start(run, tmp_path / "to", log, shards=200)
    deadline = time.monotonic() + 60
    while not (workers := children(job.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    job.kill()
    job.wait()
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if alive(pid)]


def alive(pid: int) -> bool:
    """Whether a process is at work (not a zombie that nobody has asked about)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_full_disk(run: Path, log: Path, undisturbed: pl.DataFrame, tmp_path: Path) -> None:
    """A limit on the size of files fails writes as a full disk does; with room again the same command goes on."""
    code = (
        "import resource, runpy, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); sys.argv[:] = sys.argv[2:];"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    told = {"run": str(run), "to": str(tmp_path / "to"), "log": str(log), "shards": 12, "batch_users": 5}
    place = Place(str(tmp_path / "to"))
    for size in (1_000, 12_000):
        full = subprocess.run(
            [sys.executable, "-c", code, str(size), str(SCRIPT), json.dumps(told)], capture_output=True, check=False
        )
        assert full.returncode != 0
        assert b"File too large" in full.stderr
        assert Versions(place).current() is None
        look_whole(place)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    manifest = publish(run, tmp_path / "to", log, shards=12, batch_users=5)
    as_undisturbed(place, manifest, undisturbed)


class Flaky(MemoryFileSystem):
    """Object storage that fails one request in ten, half of them after they have done their work."""

    protocol = "flaky"
    store: dict[str, Any] = {}  # noqa: RUF012 - as in the class that it stands on
    pseudo_dirs = [""]  # noqa: RUF012
    draw = random.Random(5)
    failures = 0

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: Any) -> None:
        fails, before = self.draw.random() < 0.1, self.draw.random() < 0.5
        Flaky.failures += fails
        if fails and before:
            raise OSError("503: slow down")
        super().pipe_file(path, value, mode=mode, **more)
        if fails:
            raise OSError("the connection broke off")


def test_storage_that_fails_one_put_in_ten(
    run: Path, log: Path, undisturbed: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackrec.writing.place._FIRST_PAUSE", 0.0)
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    manifest = publish(run, "flaky://bucket/profiles", log, shards=12, batch_users=5)
    place = Place("flaky://bucket/profiles")
    assert Flaky.failures > 3
    as_undisturbed(place, manifest, undisturbed)
    assert place.read_json("current.json") == {"version": "000001"}


def test_a_put_that_arrived_though_its_answer_was_lost_is_ours() -> None:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    place = Place("flaky://bucket/create")
    for number in range(40):
        assert place.create(f"{number}", b"mine")
        assert not place.create(f"{number}", b"theirs")
        assert place.read(f"{number}") == b"mine"


def test_a_version_whose_publishing_was_cut_off_is_published(
    run: Path, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the manifest and the pointer, the next start moves the pointer and writes nothing anew."""

    def dies(self: Versions, name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Versions, "point", dies)
    with pytest.raises(KeyboardInterrupt):
        publish(run, tmp_path / "to", log)
    monkeypatch.undo()
    place = Place(str(tmp_path / "to"))
    assert Versions(place).current() is None
    before = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "to").rglob("*.parquet") if "work" not in path.parts
    }
    manifest = publish(run, tmp_path / "to", log)
    assert manifest["version"] == "000001"
    assert Versions(place).current() == "000001"
    assert all(path.stat().st_mtime_ns == moment for path, moment in before.items())
    assert_frame_equal(rows_of(place, manifest).select("user_id"), pl.DataFrame({"user_id": range(1, USERS + 1)}))
