"""The service under load: one person, 100 vectors, 200 candidates, beside a bare FastAPI route in the same run.

    python benchmarks/service.py --into docs/service-load.md
    python benchmarks/service.py --only-steady --steady 1800 --rate 100 --every 300

needs ``wrk`` (Debian's package) and the extra ``serve``. The first takes under four minutes on a machine that does
nothing else, two of them to load the store if it is not there yet, and puts its tables into the page. The steady load
of the second comes at a fixed rate, of all kinds of requests, while the memory of the service is watched.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from trackrec.features.projection import Projection
from trackrec.rankers.compare import RankingSettings
from trackrec.serving.ranker import fit_serving_ranker
from trackrec.store.opening import open_store
from trackrec.store.record import Event, Record, Sentence
from trackrec.store.store import Store

ITEMS, RUN_USERS = 1_700, 400
SECOND = 100_000
"""People of the second version, for the switch under load."""
MARK = "<!-- made by benchmarks/service.py -->"
BARE = """
import json, sys
from fastapi import FastAPI
from starlette.responses import Response
body = open(sys.argv[1], "rb").read()
app = FastAPI()
@app.get("/v1/users/{user_id}")
async def user(user_id: str) -> Response:
    return Response(body, media_type="application/json")
import uvicorn
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=False, log_level="warning")
"""
POST = """function some(number, most)
  local ids = {}
  for k = 1, number do ids[k] = math.random(most) end
  return table.concat(ids, ",")
end
function post(path, body)
  return wrk.format("POST", path, {["Content-Type"] = "application/json"}, body)
end
"""
RANK = """request = function()
  local user = math.random(USERS)
  return post("/v1/rank", '{"user_id":' .. user .. ',"candidates":[' .. some(200, ITEMS) .. "]}")
end"""
SCRIPTS = {
    "one person": 'request = function() return wrk.format("GET", "/v1/users/" .. math.random(USERS)) end',
    "100 vectors": "request = function() return post('/v1/vectors', '{\"ids\":[' .. some(100, USERS) .. ']}') end",
    "rank 200": RANK,
}


class Load(NamedTuple):
    """What wrk saw; milliseconds."""

    p50: float
    p99: float
    requests: float
    failed: int
    cpu: float
    """Processor time of the server a request; what the machine's other work changes least."""


def made_records(users: int, version: str) -> Iterator[Record]:
    """People with texts of five sentences, 30 events, and vectors by chance."""
    chance = np.random.default_rng(0)
    raw = chance.normal(0, 0.05, (1_000, 384)).astype(np.float32)
    words = "This viewer is fonder of one kind of film than of another, as these events bear out"
    sentences = tuple(Sentence(f"{words} [{n}, {n + 1}].", "supported", "liked", (n, n + 1)) for n in range(1, 6))
    text = " ".join(one.text for one in sentences)
    for user in range(1, users + 1):
        first = user % (ITEMS - 31)
        history = tuple(Event(n, first + n, float(1 + n % 5), 1_700_000_000 + n) for n in range(1, 31))
        vector = raw[user % 1_000]
        yield Record(
            user, text, sentences, vector[:6], vector, history, 30, 1_700_000_030, int(time.time()), None, version
        )


def made_run(folder: Path) -> Path:
    """A run with a fitted DIN."""
    chance = np.random.default_rng(1)
    (folder / "tables").mkdir(parents=True)
    genres = ["Comedy", "Drama", "Crime", "War"]
    items = {"item_id": range(1, ITEMS + 1), "title": [f"Film {n}" for n in range(1, ITEMS + 1)]}
    items |= {"year": [1930 + n % 90 for n in range(ITEMS)], "genres": [[genres[n % 4]] for n in range(ITEMS)]}
    pl.DataFrame(items).write_parquet(folder / "tables" / "items.parquet")
    users = np.repeat(np.arange(1, RUN_USERS + 1), 30)
    rows = {"user_id": users, "item_id": chance.integers(1, ITEMS + 1, len(users))}
    rows |= {"rating": chance.integers(1, 6, len(users)).astype(float), "label": chance.integers(0, 2, len(users))}
    events = pl.DataFrame(rows).with_row_index("event_id")
    events.write_parquet(folder / "tables" / "histories.parquet")
    recent = pl.lit(list(range(1, 11)))
    events = events.with_columns(recent_item_ids=recent, recent_ratings=pl.lit([float(1 + n % 5) for n in range(10)]))
    events.write_parquet(folder / "tables" / "examples.parquet")
    vectors = chance.normal(0, 0.05, (RUN_USERS, 384)).astype(np.float32)
    Projection(np.zeros(384, np.float32), np.eye(384, 6, dtype=np.float32) * 20).save(folder / "projection.safetensors")
    table = pl.DataFrame({"user_id": np.arange(1, RUN_USERS + 1), "vector": vectors.tolist()})
    fit_serving_ranker(folder, table, RankingSettings(), folder / "ranker", seed=0)
    return folder


def store_times(store: Store, users: int, reads: int = 20_000) -> tuple[float, float]:
    """p50 and p99 of a read with its record taken apart, in microseconds."""
    chance, times = np.random.default_rng(2), []
    for user in chance.integers(1, users + 1, reads).tolist():
        started = time.perf_counter()
        found = store.read([user]).found[0]
        assert found is not None
        assert found.body["text"]
        assert found.vector is not None
        times.append(1e6 * (time.perf_counter() - started))
    return float(np.percentile(times, 50)), float(np.percentile(times, 99))


@contextmanager
def serving(*command: str) -> Iterator[tuple[str, int]]:
    """A server in a process of its own; its address and process id."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *(part.replace("PORT", str(port)) for part in command)], env=environment
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/v1/users/1", timeout=5).read()
                break
            except OSError:  # it takes minutes on a machine that has much else to do
                if process.poll() is not None:
                    sys.exit(f"the server ended with {process.returncode} before it answered")
                time.sleep(0.2)
        yield address, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken, all its threads."""
    parts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def load(address: str, pid: int, script: str, users: int, seconds: int, connections: int) -> Load:
    """What wrk measures."""
    head = f"USERS = {users} ITEMS = {ITEMS} math.randomseed(os.time())\n{POST}"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(head + script)
        file.flush()
        options = f"-t1 -c{connections} -d{seconds}s --latency --timeout 10s"
        command = ["wrk", *options.split(), "-s", file.name, address]
        before = cpu_seconds(pid)
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        spent = cpu_seconds(pid) - before
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3}

    def percentile(share: int) -> float:
        found = re.search(rf"{share}%\s+([\d.]+)(us|ms|s)", told)
        assert found, told
        return float(found[1]) * units[found[2]]

    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", told)
    failures = int(failed[1]) if failed else 0
    failures += sum(map(int, broken.groups())) if broken else 0
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    number = re.search(r"(\d+) requests in", told)
    assert rate, told
    assert number, told
    cpu = 1000 * spent / max(1, int(number[1]))
    return Load(percentile(50), percentile(99), float(rate[1]), failures, cpu)


def resident(pid: int) -> tuple[float, float]:
    """Memory of a process in MB, and how much of it is no page of a file (the store's pages leave when asked to)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    whole, own = (re.search(rf"{name}:\s+(\d+) kB", status) for name in ("VmRSS", "RssAnon"))
    assert whole
    assert own
    return int(whole[1]) / 1024, int(own[1]) / 1024


def steady(address: str, pid: int, users: int, seconds: int, rate: float, every: float) -> None:
    """Ask at a fixed rate, and print again and again the memory of the service and how long answers took.

    Of twenty requests sixteen are for a person, three for 100 vectors, one for a ranking. A request that is late
    because the one before was slow is not left out, and its waiting counts.
    """
    chance = np.random.default_rng(4)
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    head = {"Content-Type": "application/json"}

    def ask(kind: int) -> bool:
        if kind < 16:
            connection.request("GET", f"/v1/users/{chance.integers(1, users + 1)}")
        elif kind < 19:
            body = json.dumps({"ids": chance.integers(1, users + 1, 100).tolist()})
            connection.request("POST", "/v1/vectors", body, head)
        else:
            candidates = chance.integers(1, ITEMS + 1, 200).tolist()
            body = json.dumps({"user_id": int(chance.integers(1, users + 1)), "candidates": candidates})
            connection.request("POST", "/v1/rank", body, head)
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200

    print(f"\nsteady load of {rate:g} requests/s for {seconds} s\n")
    print(
        "| after s | MB | without pages of files | requests | failed | p50 ms | p99 ms | CPU s |\n" + "|---" * 8 + "|"
    )
    started = time.perf_counter()
    times: list[float] = []
    number = failed = 0
    shown = 0.0
    print("| 0 | {:.0f} | {:.0f} | | | | | |".format(*resident(pid)), flush=True)
    while (now := time.perf_counter() - started) < seconds + every / 10:
        due = number / rate
        if due > now:
            time.sleep(due - now)
        failed += not ask(number % 20)
        number += 1
        times.append(1000 * (time.perf_counter() - started - due))
        if now - shown >= every:
            shown += every
            p50, p99 = np.percentile(times, [50, 99])
            whole, own = resident(pid)
            told = f"| {now:.0f} | {whole:.0f} | {own:.0f} | {number:,} | {failed} | {p50:.1f} | {p99:.1f} | "
            print(f"{told}{cpu_seconds(pid):.0f} |", flush=True)
            times.clear()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement")
    parser.add_argument("--steady", type=int, default=0, help="seconds of steady load while memory is watched")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second of the steady load")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two looks at the memory")
    parser.add_argument("--into", type=Path, help="a page with the two marks between which the tables are put")
    parser.add_argument("--only-steady", action="store_true", help="leave the other measurements out")
    parser.add_argument("--rounds", type=int, default=4, help="turns of the bare route and the service")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "trackrec-service")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not there: apt-get install wrk")
    place, run = given.folder / f"store-{given.users}.sqlite", given.folder / "run"
    store = open_store(str(place))
    for name, users in (("one", given.users), ("two", min(SECOND, given.users))):
        known = store.state().versions.get(name)
        if known is None or known.state != "ready":
            started = time.perf_counter()
            store.load(name, made_records(users, name))
            print(f"loaded and checked {users:,} people in {time.perf_counter() - started:.0f} s")
    store.switch("one")
    if not (run / "ranker").is_dir():
        made_run(run)
    with place.open("rb") as file:  # what is measured is the store, not the disk: it fits into memory
        while file.read(1 << 24):
            pass
    command = ("-m", "trackrec.cli", "serve", "--store", str(place), "--run", str(run), "--port", "PORT")
    with serving(*command, "--set", "rate=0") as (address, pid):
        if not given.only_steady:
            compare(address, pid, store, given)
        if given.steady:
            steady(address, pid, given.users, given.steady, given.rate, given.every)


def compare(address: str, pid: int, store: Store, given: argparse.Namespace) -> None:
    """Every kind of request as fast as it goes, beside a bare route turn and turn about: the machine's mood changes."""
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    def row(name: str, found: Load) -> Load:
        told = f"| {name} | {found.p50:.2f} | {found.p99:.2f} | {found.requests:,.0f} | {found.cpu:.3f} | "
        say(f"{told}{found.failed} |")
        return found

    def one(where: str, process: int, users: int = given.users) -> Load:
        return load(where, process, SCRIPTS["one person"], users, given.seconds, given.connections)

    place = given.folder / f"store-{given.users}.sqlite"
    say(
        f"{given.users:,} people, {place.stat().st_size / 1e9:.1f} GB, {os.cpu_count()} cores, load of the machine "
        f"before {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, {date.today()}:\n"
    )
    read_p50, read_p99 = store_times(store, given.users)
    say("| request | p50 ms | p99 ms | requests/s | CPU ms a request | failed |\n|---|---|---|---|---|---|")
    body = given.folder / "body.json"
    body.write_bytes(urllib.request.urlopen(f"{address}/v1/users/1").read())
    with serving("-c", BARE, str(body), "PORT") as (bare_address, bare_pid):
        rounds = [(one(bare_address, bare_pid), one(address, pid)) for _ in range(given.rounds)]
    for bare, ours in rounds:
        row("bare FastAPI route, the same bytes", bare)
        row("one person", ours)
    for name in ("100 vectors", "rank 200"):
        row(name, load(address, pid, SCRIPTS[name], given.users, given.seconds, given.connections))
    ranked = row("rank 200, one connection", load(address, pid, SCRIPTS["rank 200"], given.users, given.seconds, 1))
    stop = threading.Event()

    def switching() -> None:
        while not stop.wait(0.5):
            store.switch("two")
            store.switch("one")

    thread = threading.Thread(target=switching)
    thread.start()
    switched = one(address, pid, min(SECOND, given.users))
    stop.set()
    thread.join()
    row("one person while versions are switched 4 times a second", switched)
    rate = statistics.median(bare.requests / ours.requests for bare, ours in rounds)
    cpu = statistics.median(ours.cpu / bare.cpu for bare, ours in rounds)

    def aim(what: str, found: str, met: bool) -> None:
        say(f"| {what} | {found} | {'yes' if met else 'no'} |")

    say("\n| aim | found | met |\n|---|---|---|")
    found = f"{rate:.2f} times in requests/s, {cpu:.2f} in processor time (median of {given.rounds} turns)"
    aim("one person within 1.5 times of the bare route", found, rate <= 1.5)
    found = f"p50 {read_p50:.0f} us, p99 {read_p99:.0f} us"
    aim("a read of the store, its record taken apart, in less than 1 ms (p99)", found, read_p99 < 1000)
    aim("200 candidates ranked in less than 20 ms (p99, one connection)", f"{ranked.p99:.1f} ms", ranked.p99 < 20)
    aim("a switch of versions fails no request", f"{switched.failed} failed", switched.failed == 0)
    if given.into:
        put_into(given.into, "\n".join(lines))


def put_into(page: Path, text: str) -> None:
    """Put the tables in the place of those of the last time.

    Raises:
        ValueError: the page has not the two marks.
    """
    parts = page.read_text(encoding="utf-8").split(MARK)
    if len(parts) != 3:
        raise ValueError(f"{page} has {len(parts) - 1} lines {MARK!r}, but the tables go between two of them")
    page.write_text(f"{parts[0]}{MARK}\n{text}\n{MARK}{parts[2]}", encoding="utf-8")
    print(f"\nput into {page}")


if __name__ == "__main__":
    main()
