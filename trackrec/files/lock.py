"""One process at a time works in a run folder; reading needs no lock."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from trackrec.errors import RunError

LOCK, OWNER = ".lock", ".lock-owner.json"
"""The lock, which goes with its process however that ends; and who has it, for messages."""

_held: dict[Path, tuple[FileLock, list[None]]] = {}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from working in a folder inside the block; within this process the lock may be taken again.

    Args:
        folder: made if it is missing.

    Raises:
        RunError: another process has it; the message says which one and since when.
    """
    key = Path(os.path.realpath(folder))
    if key not in _held:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunError(
                f"another process is at work in {folder}: {_owner(folder)}. Wait until it has ended, or stop it; or "
                "choose another folder with --out"
            ) from error
        told = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        (folder / OWNER).write_text(json.dumps(told), encoding="utf-8")
        _held[key] = (lock, [])
    lock, times = _held[key]
    times.append(None)
    try:
        yield
    finally:
        times.pop()
        if not times:
            del _held[key]
            (folder / OWNER).unlink(missing_ok=True)
            lock.release()


def _owner(folder: Path) -> str:
    try:
        told = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        minutes = (time.time() - float(told["since"])) / 60
        return f"process {int(told['pid'])} on {told['host']}, for {minutes:.0f} minutes"
    except (OSError, ValueError, KeyError, TypeError):
        return "which one is not known"
