"""How many threads PyTorch computes with."""

from __future__ import annotations

import os
import sys
from typing import Any


def use_threads(number: int) -> None:
    """Let PyTorch compute with so many threads, or with as many as ``OMP_THREAD_LIMIT`` allows.

    PyTorch does not ask for that limit, and oneDNN then leaves out the part of a product that is meant for the threads
    which do not start: wrong numbers instead of an error.
    """
    import torch

    limit = os.environ.get("OMP_THREAD_LIMIT", "")
    torch.set_num_threads(min(number, max(1, int(limit))) if limit.isdigit() else number)


def threads_in_use() -> dict[str, Any]:
    """What of the process's threads may change the last bits of a result."""
    loaded = sys.modules.get("torch")  # a stage that computes without it need not load it
    limit = os.environ.get("OMP_THREAD_LIMIT")
    return {"torch": loaded.get_num_threads() if loaded else None, "omp_thread_limit": limit}
