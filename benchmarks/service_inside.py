"""What a request costs inside the service: processor time of its thread, without network or waiting for a core.

    python -m benchmarks.service_inside --users 50000

One person's text beside a bare FastAPI route that gives the same bytes, turn and turn about; rankings of 200
candidates; and how long a full look for garbage takes, before and after what `trackrec serve` does against it. Store
and ranker are those of benchmarks/service.py, which makes them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastapi import FastAPI
from starlette.responses import Response

from benchmarks.service import ITEMS
from trackrec.serving.app import build_app
from trackrec.serving.service import Service
from trackrec.serving.settings import ServiceSettings
from trackrec.store.opening import open_store

TURNS, LOOKUPS = 12, 2_000


def asked(path: str, method: str = "GET") -> dict[str, Any]:
    """A request as uvicorn hands it on."""
    headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50_000),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
    }


async def answer(app: Any, scope: dict[str, Any], body: bytes = b"") -> bytes:
    """The body of an answer, which must be a good one."""
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    await app(scope, receive, send)
    assert told[0]["status"] == 200, told[1]["body"]
    found: bytes = told[1]["body"]
    return found


def bare_app(body: bytes) -> FastAPI:
    """The ceiling."""
    app = FastAPI()

    @app.get("/v1/users/{user_id}")
    async def user(user_id: str) -> Response:
        return Response(body, media_type="application/json")

    return app


async def lookups(app: Any, users: int, chance: random.Random) -> float:
    """Microseconds of processor time a look-up."""
    paths = [f"/v1/users/{chance.randint(1, users)}" for _ in range(LOOKUPS)]
    started = time.thread_time()
    for path in paths:
        await answer(app, asked(path))
    return 1e6 * (time.thread_time() - started) / LOOKUPS


async def rankings(app: Any, users: int, chance: random.Random, number: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each ranking: of processor time, and by the clock."""
    cpu, clock = [], []
    for _ in range(number):
        candidates = [chance.randint(1, ITEMS) for _ in range(200)]
        body = json.dumps({"user_id": chance.randint(1, users), "candidates": candidates}).encode()
        before = time.perf_counter(), time.thread_time()
        await answer(app, asked("/v1/rank", "POST"), body)
        clock.append(1e3 * (time.perf_counter() - before[0]))
        cpu.append(1e3 * (time.thread_time() - before[1]))
    return cpu, clock


def milliseconds(work: Callable[[], Any]) -> float:
    """Of processor time."""
    started = time.thread_time()
    work()
    return 1e3 * (time.thread_time() - started)


async def measure(given: argparse.Namespace) -> None:
    """Print it all."""
    torch.set_num_threads(1)
    chance = random.Random(0)
    store = open_store(str(given.folder / f"store-{given.users}.sqlite"))
    service = Service.of(store, ServiceSettings(rate=0), given.folder / "run")
    service.warm_up()
    ours = build_app(service)
    bare = bare_app(await answer(ours, asked("/v1/users/1")))
    turns = [(await lookups(bare, given.users, chance), await lookups(ours, given.users, chance)) for _ in range(TURNS)]
    told = [statistics.median(column) for column in zip(*turns, strict=True)]
    least = [min(column) for column in zip(*turns, strict=True)]
    print(f"one person, us of processor time, median: {told[1]:.1f}; bare route: {told[0]:.1f}")
    print(f"the same, least: {least[1]:.1f}; bare route: {least[0]:.1f}")
    gc.collect()
    objects, whole = len(gc.get_objects()), milliseconds(gc.collect)
    gc.freeze()
    left = milliseconds(gc.collect)
    print(f"a full look for garbage, {objects:,} objects: {whole:.0f} ms; after gc.freeze: {left:.3f} ms")
    for name, times in zip(
        ("processor time", "clock"), await rankings(ours, given.users, chance, given.rankings), strict=True
    ):
        shown = ", ".join(f"p{share:g} {np.percentile(times, share):.1f}" for share in (50, 99, 99.9))
        print(f"200 candidates ranked, ms by {name}: {shown} ({len(times):,} rankings)")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--rankings", type=int, default=4_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "trackrec-service")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
