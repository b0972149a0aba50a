"""What every executor of ``trackrec write`` must pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHARDS = (3, 0, 2, 5, 1, 4)


@dataclass(frozen=True)
class _Leaves:
    """Work that leaves a file a shard, wherever it is done, and fails on one."""

    folder: str
    fails_on: int | None = None

    def __call__(self, shard: int) -> dict[str, Any]:
        if shard == self.fails_on:
            raise RuntimeError(f"shard {shard} cannot be done")
        (Path(self.folder) / str(shard)).write_text(str(shard))
        return {"shard": shard, "name": f"{shard:05d}", "counts": {"users": shard}}


def check_executor(executor: Any, folder: Path) -> None:
    """Check an executor: each shard is done, each manifest comes back once, and what fails stops the job.

    Args:
        executor: made by ``make``.
        folder: an empty folder that all its workers can write to.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    assert list(executor.map([], _Leaves(str(folder)))) == [], "no shards, no manifests"
    found = list(executor.map(SHARDS, _Leaves(str(folder))))
    told = sorted(manifest["shard"] for manifest in found)
    assert told == sorted(SHARDS), f"one manifest a shard, in any order: expected {sorted(SHARDS)}, got {told}"
    done = sorted(int(file.name) for file in folder.iterdir())
    assert done == sorted(SHARDS), f"every shard is done: expected {sorted(SHARDS)}, got {done}"
    expected = {shard: _Leaves(str(folder))(shard) for shard in SHARDS}
    assert all(manifest == expected[manifest["shard"]] for manifest in found), (
        "manifests come back as the work gave them"
    )
    again = list(executor.map(SHARDS[:2], _Leaves(str(folder))))
    assert len(again) == 2, "an executor can be used again"
    said = None
    try:
        list(executor.map(SHARDS, _Leaves(str(folder), fails_on=2)))
    except Exception as error:
        said = str(error)
    assert said is not None, "a shard that cannot be done stops the job; this executor went on"
    assert "shard 2" in said, f"the error says which shard failed and why, this one: {said}"
