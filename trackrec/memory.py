"""Memory of the process: what is free inside it given back to the system, and how much it has needed."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def modules_set_aside() -> Iterator[None]:
    """Leave what is there already, imported libraries above all, out of garbage collections for the block's time.

    Every stage of a run collects, and so does every training; looking through the objects of torch, transformers and
    their like took a third of a second each time. Who has set objects aside before keeps them so.
    """
    before = gc.get_freeze_count()
    if not before:
        gc.collect()
        gc.freeze()
    try:
        yield
    finally:
        if not before:
            gc.unfreeze()


def give_back_memory() -> None:
    """Give back what the C library keeps of freed memory; does nothing where it is not glibc's.

    Training leaves about a gigabyte of freed pieces behind, which glibc keeps between those still in use: a run of many
    stages would grow from stage to stage. PyTorch takes the CPU's memory from there.
    """
    gc.collect()
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def peak_gigabytes() -> float | None:
    """The most memory that the process has had so far, in GiB; None where the system does not say (Windows).

    Linux's ``ru_maxrss`` of a process begins with what the process had that started it, so ``/proc`` is read instead.
    """
    status = Path("/proc/self/status")
    if (
        sys.platform.startswith("linux")
        and status.is_file()
        and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii")))
    ):
        return round(int(found.group(1)) / 2**20, 2)
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    units = 2**30 if sys.platform == "darwin" else 2**20  # bytes on macOS, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units, 2)
