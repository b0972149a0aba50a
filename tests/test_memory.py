"""Memory given back to the system."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import pytest

from trackrec.memory import give_back_memory

PIECE = 100_000  # bytes; glibc takes larger ones from the system one by one and gives them back by itself


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_pieces_between_used_ones_are_given_back() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    pieces = [library.malloc(PIECE) for _ in range(2_000)]
    for piece in pieces:
        ctypes.memset(piece, 1, PIECE)
    for piece in pieces[:-1]:
        library.free(piece)
    kept = resident()
    give_back_memory()
    assert resident() < kept - 1_500 * PIECE
    library.free(pieces[-1])
