"""Several processes under one launcher (``torchrun``, ``accelerate launch``): who this one is, and what they agree on.

All of them train together; everything else, and every file, is the first one's. The launcher says by environment
variables how many there are (``WORLD_SIZE``), which one this is (``RANK``) and which of its machine (``LOCAL_RANK``).
"""

from __future__ import annotations

import atexit
import os
from datetime import timedelta

from trackrec.errors import RunError

LONGEST_WAIT = timedelta(days=14)
"""How long the others wait while the first one writes for everybody. A process that dies is noticed by the launcher."""
_SHARDING = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}


def count() -> int:
    """How many processes there are; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def number() -> int:
    """Which one this is, from 0."""
    return int(os.environ.get("RANK") or 0) if count() > 1 else 0


def local_number() -> int:
    """Which one of its machine this is, from 0: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK") or 0) if count() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that writes files."""
    return number() == 0


def only_one(what: str) -> None:
    """Refuse several processes.

    Raises:
        RunError: there are several.
    """
    if count() > 1:
        raise RunError(
            f"{what} runs in one process, but WORLD_SIZE says that a launcher started {count()}: start it without "
            "torchrun or accelerate launch. Only `trackrec run` and `trackrec demo` train in several processes"
        )


def start(cpu: bool) -> None:
    """Join the other processes; does nothing where this is the only one, or after the first call.

    Args:
        cpu: whether the model is on the CPU.

    Raises:
        RunError: the launcher wants weights to be sharded, which the trees' losses are not made for.
    """
    if count() == 1:
        return
    for variable, name in _SHARDING.items():
        if os.environ.get(variable, "").lower() in ("1", "true", "yes"):
            raise RunError(
                f"the launcher is configured for {name} ({variable}), but training here keeps all weights in every "
                "process and averages gradients (DDP): choose multi-GPU without FSDP and DeepSpeed, or use torchrun"
            )
    import torch
    from torch import distributed

    if distributed.is_initialized():
        return
    if not cpu:
        torch.cuda.set_device(local_number())
    distributed.init_process_group("gloo" if cpu else "cpu:gloo,cuda:nccl", timeout=LONGEST_WAIT)
    atexit.register(distributed.destroy_process_group)  # threads that still wait end a process by an abort


def wait() -> None:
    """Go on when all processes are here."""
    _summed([0.0])


def first_says(yes: bool = False) -> bool:
    """What the first process says; the others' word does not count."""
    return _summed([float(yes and is_first())])[0] > 0


def summed(rows: list[list[float]]) -> list[list[float]]:
    """The sum over all processes of a table that has the same shape in each of them."""
    flat = _summed([value for row in rows for value in row])
    return [flat[start : start + len(row)] for start, row in zip(_starts(rows), rows, strict=True)]


def _starts(rows: list[list[float]]) -> list[int]:
    return [sum(map(len, rows[:place])) for place in range(len(rows))]


def _summed(values: list[float]) -> list[float]:
    if count() == 1:
        return values
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        raise RunError("processes.start must be called first: the other processes are not known yet")
    tensor = torch.tensor(values, dtype=torch.float64)
    distributed.all_reduce(tensor)
    return [float(value) for value in tensor.tolist()]
