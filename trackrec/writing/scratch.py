"""Folders in which a log is dealt out before its parts are put where they belong, and what killed jobs left of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

DEALING = ".deal-"
"""How the name of such a folder begins."""
_HELD = "in-use.lock"


@contextmanager
def scratch_folder(within: Path | None) -> Iterator[Path]:
    """A folder for the block's time.

    Args:
        within: None: among the machine's temporary files, as for object storage. It is locked there for the block's
            time, since jobs that write to other places may be at work.
    """
    if within is not None:
        with tempfile.TemporaryDirectory(prefix=DEALING, dir=within) as name:
            yield Path(name)
        return
    begun = Path(tempfile.mkdtemp(prefix=".begun-"))
    lock = FileLock(begun / _HELD)
    lock.acquire()
    folder = begun.rename(begun.with_name(f"{DEALING}{begun.name.removeprefix('.begun-')}"))  # from here on it is found
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def clear_scratch() -> None:
    """Remove what killed jobs left among the machine's temporary files: users' events are in it."""
    for left in Path(tempfile.gettempdir()).glob(f"{DEALING}*"):
        if not (left / _HELD).is_file():
            continue  # not ours
        try:
            lock = FileLock(left / _HELD)
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue  # at work, or somebody else's
        shutil.rmtree(left, ignore_errors=True)
        lock.release()
