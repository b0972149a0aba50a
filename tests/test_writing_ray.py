"""The Ray executor: what every executor promises, and the same files as one process, whatever is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from writing_world import files_of, job, made_log, publish, write_run

from trackrec.errors import WriteError
from trackrec.testing.component_suites import check_executor
from trackrec.writing.executor import make_executor
from trackrec.writing.place import Place
from trackrec.writing.ray_executor import RayExecutor, RaySettings

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")

World = tuple[Path, Path, dict[str, str]]
SHARDS: dict[str, Any] = {"shards": 12, "batch_users": 5}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Run, log and the hashes of what one process writes."""
    folder = tmp_path_factory.mktemp("world")
    run = write_run(folder / "run")
    made_log(users=300).write_parquet(folder / "log.parquet")
    manifest = publish(run, folder / "local", folder / "log.parquet", **SHARDS)
    return run, folder / "log.parquet", files_of(Place(str(folder / "local")), manifest)


@pytest.fixture(scope="module")
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        yield


@pytest.fixture(scope="module")
def cluster(environment: None) -> Iterator[Any]:
    """Two nodes on this machine, joined."""
    cluster = patiently(start_cluster)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def start_cluster() -> Any:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=4)  # nodes are added from the main thread alone
        ray.init(address=cluster.address, log_to_driver=False)
    except BaseException:
        ray.shutdown()
        cluster.shutdown()
        raise
    return cluster


def patiently(start: Callable[[], Any]) -> Any:
    """Ray waits half a minute for its own processes, which a busy machine may exceed."""
    for left in reversed(range(4)):
        try:
            return start()
        except Exception:
            if not left:
                raise
    raise AssertionError("unreachable")


@pytest.mark.usefixtures("environment")
def test_without_a_cluster_one_is_started_here(world: World, tmp_path: Path) -> None:
    run, log, expected = world
    manifest = job(run, tmp_path / "to", log, **SHARDS).run(RayExecutor(RaySettings(workers=2)))
    assert files_of(Place(str(tmp_path / "to")), manifest) == expected
    assert not ray.is_initialized(), "and ended with the job"


def test_a_ray_that_does_not_start_is_tried_again_and_then_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    tries: list[object] = []

    def fails(**told: object) -> None:
        tries.append(told["address"])
        raise ConnectionError("nobody answers at 127.0.0.1:1")

    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(WriteError, match=r"Ray could not be joined, 3 times: nobody answers .*--executor local"):
        list(RayExecutor(RaySettings(workers=1)).map([0], print))  # type: ignore[arg-type]
    assert tries == [None] * 3


def test_a_cluster_that_is_joined_passes_the_shared_suite(cluster: Any, tmp_path: Path) -> None:
    check_executor(make_executor({"type": "ray", "workers": 2, "rounds": 1}), tmp_path)
    assert ray.is_initialized(), "it is somebody else's to leave"


@pytest.mark.parametrize("harm", ["worker", "node"])
def test_as_one_process_with_something_killed_at_work(harm: str, cluster: Any, world: World, tmp_path: Path) -> None:
    run, log, expected = world
    done: list[str] = []
    harmed = threading.Event()

    def tell(event: str, what: dict[str, Any]) -> None:
        if event == "shard":
            done.append(what["name"])
        if len(done) == 3 and harm == "node" and not harmed.is_set():
            harmed.set()
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)  # kill -9 of all it runs

    def kill_a_worker() -> None:
        while not harmed.is_set():
            time.sleep(0.05)
            for process in psutil.Process().children(recursive=True):
                try:
                    if "MapWorker" in " ".join(process.cmdline()) and len(done) >= 3:
                        os.kill(process.pid, signal.SIGKILL)
                        harmed.set()
                        return
                except (psutil.Error, ProcessLookupError):
                    continue

    if harm == "worker":
        threading.Thread(target=kill_a_worker, daemon=True).start()
    try:
        manifest = job(run, tmp_path / "to", log, **SHARDS).run(RayExecutor(RaySettings(workers=2)), tell)
        assert harmed.is_set()
    finally:
        harmed.set()
    assert files_of(Place(str(tmp_path / "to")), manifest) == expected
