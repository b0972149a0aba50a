"""TrackRec: recommendation that reasons, and whose reasoning is checked."""

import os
from typing import Any

# Threads of torch that wait for each other spin by default; beside one other busy process that costs most of the speed
# (benchmarks/threads.py). The variable is read when torch is loaded, so it stands here.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def __getattr__(name: str) -> Any:
    """``trackrec.__version__``, read from the installed package when somebody asks: pyproject.toml alone states it."""
    if name != "__version__":
        raise AttributeError(f"module 'trackrec' has no attribute {name!r}")
    from importlib.metadata import version

    return version("trackrec")
