"""A process that dies in the middle of its work, without the seconds that a new interpreter needs."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system starts every process anew")


def exit_code_of(work: Callable[[], object]) -> int:
    """How a copy of this process ends that does some work: what it gave to ``os._exit``; 1 if it went on."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
