"""The executor for clusters: Ray Data maps shard numbers to committed shards, on whatever nodes there are."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any, Self

from pydantic import Field

from trackrec.errors import WriteError
from trackrec.settings import ComponentSettings
from trackrec.writing.executor import Work

# The newer reader loses a job with a node that goes away, and doubles the start-up.
os.environ.setdefault("RAY_DATA_USE_DATASOURCE_V2", "0")

log = logging.getLogger("trackrec.writing")

STARTS = 3
"""So often Ray is started before its error stands."""


class RaySettings(ComponentSettings):
    """How a Ray cluster does the shards."""

    type: str = "ray"
    workers: int | None = Field(default=None, ge=1)
    """Actors. Null: one for each CPU of the cluster."""
    cpus: float = Field(default=0.25, gt=0)
    """CPUs that an actor asks for. Less than 1, so that the reading tasks always find some: with all CPUs taken by
    actors Ray Data waits for ever."""
    rounds: int = Field(default=3, ge=1)
    """So often shards are given out that are not done yet, before the job stops."""


class RayExecutor:
    """Actors of a Ray cluster. Ray's own checkpoints are not used: committed shards are what is kept.

    A cluster that is already joined is used as it is; else the one of ``RAY_ADDRESS``, else one is started here.

    Args:
        settings: how many actors there are, and what they ask for.
    """

    Settings = RaySettings

    @classmethod
    def make(cls, settings: RaySettings, context: None = None) -> Self:
        """See :mod:`trackrec.registry`."""
        return cls(settings)

    def __init__(self, settings: RaySettings | None = None) -> None:
        self.settings = settings or RaySettings()

    def map(self, shards: Sequence[int], work: Work) -> Iterator[dict[str, Any]]:
        """See :class:`trackrec.writing.executor.Executor`.

        Raises:
            WriteError: Ray is not installed or does not start, or shards are left after all rounds.
        """
        try:
            import ray
            from ray.data import ActorPoolStrategy
        except ImportError as error:
            raise WriteError("the executor ray needs Ray: pip install 'trackrec[ray]'") from error
        started = not ray.is_initialized()
        if started:
            self._start(ray)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        try:
            cluster: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
            size = self.settings.workers or max(1, int(cluster.get("CPU", 1)))
            left = list(shards)
            for _ in range(self.settings.rounds):
                if not left:
                    return
                size_now = min(size, len(left))
                # A block a shard: what a lost node was doing is done again alone.
                numbers = ray.data.from_items([{"shard": shard} for shard in left], override_num_blocks=len(left))
                results = numbers.map_batches(
                    _Worker,
                    fn_constructor_args=(work,),
                    batch_size=1,
                    compute=ActorPoolStrategy(size=size_now),
                    num_cpus=self.settings.cpus,
                )
                done, failures = set(), []
                for row in results.iter_rows():
                    if row["error"]:
                        failures.append(f"shard {row['shard']}: {row['error']}")
                        continue
                    done.add(int(row["shard"]))
                    yield _parsed(row["manifest"])
                left = [shard for shard in left if shard not in done]
            if left:
                raise WriteError(
                    f"{len(left)} of {len(shards)} shards could not be done: {'; '.join(failures[:3]) or 'no answer'}. "
                    "Those that are finished are kept; start again"
                )
        finally:
            if started:
                ray.shutdown()

    def _start(self, ray: Any) -> None:
        """Join the cluster of ``RAY_ADDRESS``, or start one here; a busy machine may need longer than Ray waits."""
        # Without an address Ray would join whatever cluster it finds on this machine.
        address = None if os.environ.get("RAY_ADDRESS") else "local"
        for attempt in range(1, STARTS + 1):
            try:
                ray.init(address=address, log_to_driver=False, include_dashboard=False, num_cpus=self._own_cpus())
            except Exception as error:
                ray.shutdown()
                if attempt == STARTS:
                    where = "joined" if address is None else "started"
                    raise WriteError(
                        f"Ray could not be {where}, {STARTS} times: {error}. See its logs in /tmp/ray, or write with "
                        "--executor local; finished shards are kept"
                    ) from error
                log.warning("Ray did not start (%s); once more", error)
            else:
                return

    def _own_cpus(self) -> int | None:
        """CPUs of a cluster that is started here: more than actors take, whatever the machine has."""
        if os.environ.get("RAY_ADDRESS"):
            return None
        return max(8, 4 * (self.settings.workers or os.cpu_count() or 1))


class _Worker:
    """One actor."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        import json

        shard = int(batch["shard"][0])
        try:
            return {"shard": [shard], "manifest": [json.dumps(self.work(shard))], "error": [""]}
        except Exception as error:  # told to the driver, which tries once more
            return {"shard": [shard], "manifest": [""], "error": [f"{type(error).__name__}: {error}"[:500]]}


def _parsed(text: str) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads(text)
    return found
