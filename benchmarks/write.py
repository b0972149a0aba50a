"""Users a second, memory and efficiency of `trackrec write` on made-up logs, the pipeline's own part.

    python benchmarks/write.py --users 10000 100000 1000000 --workers 1 2 --folder /tmp/write --out write.jsonl
    python benchmarks/write.py --users 10000 40000 --executor local ray cluster --workers 1 2
    python benchmarks/write.py --users 100000 --workers 1 --changed 0 0.0001 0.05

Texts are the template teacher's and vectors are hashed words, so that no model's time is in it. Each measurement is
one `trackrec write` in processes of its own; memory and processor time are sums over all of them, Ray's own included,
seen ten times a second. ``cluster`` is Ray with two nodes on this machine, which start before the clock does.

On a machine that others use too, seconds say how busy it was. Processor time says what the work costs: what an
executor adds is in ``core_seconds_all_processes``, and its fixed part goes when two sizes are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))  # the studies are not installed

from research.synthetic_log import SyntheticLogSettings, write_synthetic_log

QUIET = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "RAY_memory_monitor_refresh_ms": "0"}
"""One thread a process: workers are what is counted."""


def make_log(folder: Path, users: int, events: float) -> Path:
    """A made-up log of about so many users."""
    place = folder / f"log-{users}"
    if not (place / "counts.json").is_file():
        counts = write_synthetic_log(
            place, SyntheticLogSettings(interactions=int(users * events), events_per_user=events)
        )
        (place / "counts.json").write_text(json.dumps(counts))
    return place


def make_run(folder: Path, log: Path) -> Path:
    """A run whose data stage saw 3,000 users of the log."""
    from rich.console import Console

    from trackrec.pipeline.dataset import prepare
    from trackrec.progress import Reporter
    from trackrec.recipe import dump_recipe, make_recipe
    from trackrec.run import Run

    place = folder / f"run-{log.name}"
    if (place / "manifests" / "data.json").is_file():
        return place
    some = pl.scan_parquet(log / "interactions.parquet").filter(pl.col("user_id") <= 3_000).collect(engine="streaming")
    place.mkdir(parents=True, exist_ok=True)
    some.write_parquet(place / "some.parquet")
    tables = {"interactions": str(place / "some.parquet"), "items": str(log / "items.parquet")}
    recipe = make_recipe({"name": "made-up", "source": {"source": "tables", "tables": tables}})
    run = Run(place, Reporter(Console(quiet=True)), recipe.seed)
    (place / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    prepare(recipe, run)
    return place


@contextmanager
def cluster(executor: str) -> Iterator[dict[str, str]]:
    """Two Ray nodes for the block's time, if the executor asks for them; what a job's environment says of them."""
    if executor != "cluster":
        yield {}
        return
    os.environ |= QUIET
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    nodes.add_node(num_cpus=4)
    try:
        yield {"RAY_ADDRESS": nodes.address}
    finally:
        nodes.shutdown()


def make_grown_log(log: Path, share: float) -> Path:
    """The log with a new event of some users, the first ones by their numbers' hash."""
    place = log.parent / f"{log.name}-{share:g}"
    if not (place / "interactions.parquet").is_file():
        place.mkdir(exist_ok=True)
        rows = pl.scan_parquet(log / "interactions.parquet")
        newest = rows.select(pl.col("timestamp").max()).collect(engine="streaming").item()
        drawn = pl.col("user_id").hash(seed=1) % 10_000 < round(10_000 * share)
        new = rows.filter(drawn).group_by("user_id").last().select(rows.collect_schema().names())
        grown = pl.concat([rows, new.with_columns(pl.lit(newest + 60, pl.Int64).alias("timestamp"))])
        grown.sink_parquet(place / "interactions.parquet")
        shutil.copyfile(log / "items.parquet", place / "items.parquet")
    return place


def measure(
    run: Path, log: Path, to: Path, executor: str, workers: int, changes: list[str], only_changed: bool = False
) -> dict[str, Any]:
    """One `trackrec write`: in full to a new place, or of those who changed to the place as it is."""
    if not only_changed:
        shutil.rmtree(to, ignore_errors=True)
    with cluster(executor) as address:
        return _measure(run, log, to, executor, workers, changes, address, only_changed)


def _measure(
    run: Path,
    log: Path,
    to: Path,
    executor: str,
    workers: int,
    changes: list[str],
    address: dict[str, str],
    only_changed: bool,
) -> dict[str, Any]:
    command = [sys.executable, "-m", "trackrec.cli", "write", "--run", str(run), "--to", str(to), "--json"]
    command += ["--log", str(log / "interactions.parquet"), "--items", str(log / "items.parquet")]
    command += ["--engine", "template", "--executor", "ray" if address else executor, "--workers", str(workers)]
    for change in ["encoder=hashing", *changes]:
        command += ["--set", change]
    if only_changed:
        command += ["--only", "changed", "--set", "refresh.new_items=1"]
    environment = os.environ | QUIET | address
    begin = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    usage = Usage()
    moments: dict[str, float] = {}
    events: dict[str, dict[str, Any]] = {}
    assert process.stdout is not None
    for line in process.stdout:
        if not line.startswith("{"):
            continue
        event = json.loads(line)
        moments.setdefault(f"first_{event['event']}", time.monotonic() - begin)
        moments[event["event"]] = time.monotonic() - begin
        events[event["event"]] = event
    code = process.wait()
    usage.stop()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    manifest = json.loads((to / "versions" / events["published"]["version"] / "manifest.json").read_text())
    users, seconds = manifest["counts"]["users"], time.monotonic() - begin
    shards = moments["shard"] - moments["dealt"]
    return {
        "users": users,
        "events": manifest["counts"]["log_rows"],
        "executor": executor,
        "workers": workers,
        "settings": changes,
        "carried": manifest["counts"].get("carried", 0),
        "shards_by_reference": manifest["counts"].get("shards_by_reference", 0),
        "seconds": round(seconds, 1),
        "deal_seconds": events["dealt"]["seconds"],
        "shard_seconds": round(shards, 1),
        "shard_seconds_without_start": round(moments["shard"] - moments["first_shard"], 1),
        "shards": len(manifest["shards"]),
        "users_a_second": round(users / seconds, 1),
        "core_ms_a_user": round(1000 * manifest["cost"]["core_seconds"] / users, 3),
        "core_ms_by_step": {step: round(1000 * s / users, 4) for step, s in manifest["core_seconds"].items()},
        "core_seconds_all_processes": round(usage.core_seconds, 1),
        "peak_gb_all_processes": round(usage.peak / 2**30, 2),
        "peak_gb_largest_process": round(usage.largest / 2**30, 2),
        "bytes_a_user": round(manifest["counts"]["bytes"] / users, 1),
        "load_before": round(os.getloadavg()[0], 1),
    }


class Usage:
    """The most memory that this process' descendants hold, together and the largest of them, and the processor time
    that they take from now on."""

    def __init__(self) -> None:
        self.peak = self.largest = 0
        self._begin, self._now = self._times(), {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def core_seconds(self) -> float:
        """Of all processes, those that have ended included, up to a tenth of a second each."""
        return sum(seconds - self._begin.get(pid, 0.0) for pid, seconds in self._now.items())

    @staticmethod
    def _times() -> dict[int, float]:
        found = {}
        for process in psutil.Process().children(recursive=True):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            found[process.pid] = times.user + times.system
        return found

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            sizes = []
            for process in psutil.Process().children(recursive=True):
                try:
                    sizes.append(process.memory_info().rss)
                except psutil.Error:
                    continue
            self.peak, self.largest = max(self.peak, sum(sizes)), max(self.largest, *sizes, 0)
            self._now |= self._times()


def put(row: dict[str, Any], out: Path) -> None:
    """Show a measurement and keep it."""
    print(json.dumps(row), flush=True)
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def main() -> None:
    """Measure and append one line of JSON a measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--events", type=float, default=40.0, help="events a user, on the average")
    parser.add_argument("--executor", nargs="+", default=["local"], choices=["local", "ray", "cluster"])
    parser.add_argument("--workers", type=int, nargs="+", default=[2])
    parser.add_argument(
        "--changed", type=float, nargs="*", default=[], help="then refresh: shares of users who changed"
    )
    parser.add_argument("--folder", type=Path, default=Path("/tmp/write"))
    parser.add_argument("--out", type=Path, default=Path("write.jsonl"))
    parser.add_argument("--set", action="append", default=[], dest="changes")
    options = parser.parse_args()
    for users in options.users:
        log = make_log(options.folder, users, options.events)
        run = make_run(options.folder, log)
        for executor in options.executor:
            for workers in options.workers:
                told = (options.folder / "to", executor, workers, options.changes)
                put(measure(run, log, *told), options.out)
                for share in options.changed:
                    put(measure(run, make_grown_log(log, share), *told, only_changed=True), options.out)


if __name__ == "__main__":
    main()
