"""The Ray executor: the same files as one process, with a worker killed and with a node gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from writing_world import files_of, job, made_log, publish, write_run

from trackrec.writing.place import Place

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, str]]:
    """Run, log and the hashes of what one process writes."""
    folder = tmp_path_factory.mktemp("world")
    run = write_run(folder / "run")
    made_log(users=300).write_parquet(folder / "log.parquet")
    manifest = publish(run, folder / "local", folder / "log.parquet", shards=12, batch_users=5)
    return run, folder / "log.parquet", files_of(Place(str(folder / "local")), manifest)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    cluster.add_node(num_cpus=4)  # nodes are added from the main thread alone
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.parametrize("harm", ["nothing", "worker", "node"])
def test_as_one_process(harm: str, cluster: Any, world: tuple[Path, Path, dict[str, str]], tmp_path: Path) -> None:
    from trackrec.writing.ray_executor import RayExecutor, RaySettings

    run, log, expected = world
    done: list[str] = []
    harmed = threading.Event()

    def tell(event: str, what: dict[str, Any]) -> None:
        if event == "shard":
            done.append(what["name"])
        if len(done) == 3 and harm == "node" and not harmed.is_set():
            harmed.set()
            cluster.remove_node(next(iter(cluster.worker_nodes)))

    def kill_a_worker() -> None:
        while not harmed.is_set():
            time.sleep(0.05)
            for process in psutil.process_iter(["name", "cmdline"]):
                if "MapWorker" in " ".join(process.info["cmdline"] or []) and len(done) >= 3:
                    os.kill(process.pid, signal.SIGKILL)
                    harmed.set()
                    return

    if harm == "worker":
        threading.Thread(target=kill_a_worker, daemon=True).start()
    manifest = job(run, tmp_path / "to", log, shards=12, batch_users=5).run(RayExecutor(RaySettings(workers=2)), tell)
    assert harm == "nothing" or harmed.is_set()
    assert files_of(Place(str(tmp_path / "to")), manifest) == expected
