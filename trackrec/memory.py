"""Memory that is free inside the process, given back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys


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
