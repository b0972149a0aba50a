"""Executors: who does the shards. The shards, their files and manifests are the same whoever does."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from trackrec.registry import find
from trackrec.writing.failures import WriteError

log = logging.getLogger("trackrec.writing")

Work = Callable[[int], dict[str, Any]]
"""Does one shard and commits it; gives the shard's manifest. It may be done twice."""

ATTEMPTS = 3
"""So often a shard is tried whose process died, before the job stops."""


class Executor(Protocol):
    """Does shards on whatever machines it knows."""

    def map(self, shards: Sequence[int], work: Work) -> Iterator[dict[str, Any]]:
        """The manifests of committed shards, as they are done.

        Raises:
            WriteError: a shard could not be done.
        """
        ...


class LocalExecutor:
    """Processes of this machine.

    Args:
        workers: how many; 0: this process itself. None: one a core.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = (os.cpu_count() or 1) if workers is None else workers

    def map(self, shards: Sequence[int], work: Work) -> Iterator[dict[str, Any]]:
        """See :class:`Executor`. A shard whose process was killed is done again."""
        if self.workers == 0:
            yield from map(work, shards)
            return
        left, deaths = list(shards), dict.fromkeys(shards, 0)
        while left:
            done: set[int] = set()
            try:
                for shard, manifest in self._round(left, work):
                    done.add(shard)
                    yield manifest
            except BrokenProcessPool:
                lost = [shard for shard in left if shard not in done]
                # Whose fault it was is not told: those that were at work are the first ones left.
                for shard in lost[: self.workers]:
                    deaths[shard] += 1
                    if deaths[shard] >= ATTEMPTS:
                        raise WriteError(
                            f"the process at work on shard {shard} was killed {ATTEMPTS} times (out of memory?): "
                            "the finished shards are kept. Give it fewer workers or smaller shards, and start again"
                        ) from None
                log.warning("a worker was killed; %d shards are left", len(lost))
            left = [shard for shard in left if shard not in done]

    def _round(self, shards: Sequence[int], work: Work) -> Iterator[tuple[int, dict[str, Any]]]:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.workers, context, initializer=_die_with_parent) as pool:
            ahead = iter(shards)
            running: dict[Future[dict[str, Any]], int] = {}
            try:
                for shard in itertools.islice(ahead, self.workers + 1):
                    running[pool.submit(work, shard)] = shard
                while running:
                    ended, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in ended:
                        shard = running.pop(future)
                        manifest = future.result()
                        following = next(ahead, None)
                        if following is not None:
                            running[pool.submit(work, following)] = following
                        yield shard, manifest
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever: it ends with it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def make_executor(name: str, workers: int | None) -> Executor:
    """The executor of a name: ``local``, ``ray``, or an import path.

    Args:
        name: which.
        workers: how many processes; None: as many as there are cores.
    """
    made: Executor = find("executor", name)(workers)
    return made
