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
from typing import Any, Protocol, Self

from pydantic import Field, ValidationError

from trackrec.errors import RecipeError, WriteError
from trackrec.registry import make, settings_class
from trackrec.settings import ComponentSettings
from trackrec.terminal import log_harmlessly

log = logging.getLogger("trackrec.writing")

Work = Callable[[int], dict[str, Any]]
"""Does one shard and commits it; gives the shard's manifest. It may be done twice."""


class Executor(Protocol):
    """Does shards on whatever machines it knows."""

    def map(self, shards: Sequence[int], work: Work) -> Iterator[dict[str, Any]]:
        """The manifests of committed shards, as they are done.

        Raises:
            WriteError: a shard could not be done.
        """
        ...


class LocalSettings(ComponentSettings):
    """How processes of this machine do the shards."""

    type: str = "local"
    workers: int | None = Field(default=None, ge=0)
    """How many processes. 0: this process itself. Null: one a core."""
    attempts: int = Field(default=3, ge=1)
    """So often a shard is tried whose process died, before the job stops."""


class LocalExecutor:
    """Processes of this machine.

    Args:
        settings: how many there are.
    """

    Settings = LocalSettings

    @classmethod
    def make(cls, settings: LocalSettings, context: None = None) -> Self:
        """See :mod:`trackrec.registry`."""
        return cls(settings)

    def __init__(self, settings: LocalSettings | None = None) -> None:
        self.settings = settings or LocalSettings()
        self.workers = (os.cpu_count() or 1) if self.settings.workers is None else self.settings.workers

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
                    if deaths[shard] >= self.settings.attempts:
                        raise WriteError(
                            f"the process at work on shard {shard} was killed {deaths[shard]} times (out of memory?): "
                            "the finished shards are kept. Give it fewer workers or smaller shards, and start again"
                        ) from None
                log.warning("a worker was killed; %d shards are left", len(lost))
            left = [shard for shard in left if shard not in done]

    def _round(self, shards: Sequence[int], work: Work) -> Iterator[tuple[int, dict[str, Any]]]:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.workers, context, initializer=_begin) as pool:
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


def _begin() -> None:
    """What a worker does first."""
    log_harmlessly()
    _die_with_parent()


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever: it ends with it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def make_executor(tree: dict[str, Any]) -> Executor:
    """The executor that settings describe.

    Args:
        tree: its ``type`` (``local``, ``ray``, an entry point or an import path) and the settings of that type.

    Raises:
        RecipeError: there is no such executor, or a setting that it does not know.
    """
    try:
        settings = settings_class("executor", str(tree["type"])).model_validate(tree)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(["executor", *map(str, problem["loc"])])
        known = ", ".join(settings_class("executor", str(tree["type"])).model_fields)
        raise RecipeError(f"{name}: {problem['msg']}, got {problem['input']!r}; known: {known}") from error
    made: Executor = make("executor", settings)
    return made
