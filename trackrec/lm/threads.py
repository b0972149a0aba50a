"""How many threads PyTorch computes with."""

from __future__ import annotations

import os

import torch


def use_threads(number: int) -> None:
    """Let PyTorch compute with so many threads, or with as many as ``OMP_THREAD_LIMIT`` allows.

    PyTorch does not ask for that limit, and oneDNN then leaves out the part of a product that is meant for the threads
    which do not start: wrong numbers instead of an error.
    """
    limit = os.environ.get("OMP_THREAD_LIMIT", "")
    torch.set_num_threads(min(number, max(1, int(limit))) if limit.isdigit() else number)
