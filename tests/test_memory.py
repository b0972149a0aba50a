"""Memory given back to the system."""

from __future__ import annotations

import ast
import ctypes
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from trackrec.memory import give_back_memory, peak_gigabytes

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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_peak_is_in_gibibytes() -> None:
    told = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    assert peak_gigabytes() == pytest.approx(int(told.split()[1]) / 2**20, abs=0.02)


def test_macos_counts_bytes_and_windows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")

    class Usage:
        ru_maxrss = 3 * 2**30

    monkeypatch.setattr(resource, "getrusage", lambda who: Usage)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert peak_gigabytes() == 3.0
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)  # importing it fails, as it does there
    assert peak_gigabytes() is None


def test_nothing_is_imported_that_one_system_alone_has() -> None:
    only_unix = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty"}
    package = Path(__file__).resolve().parent.parent / "trackrec"
    found = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [(path.name, name) for name in names if name.split(".")[0] in only_unix]
    assert found == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a process inherits is Linux's way")
def test_the_peak_is_not_that_of_the_process_that_started_this_one() -> None:
    held = bytearray(400 << 20)
    code = "from trackrec.memory import peak_gigabytes; print(peak_gigabytes())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(held) == 400 << 20
    assert float(said.stdout) < 0.2


def test_what_was_there_is_left_out_of_collections_and_comes_back() -> None:
    code = """
import gc, weakref
from trackrec.memory import modules_set_aside

class Ring:
    def __init__(self):
        self.self = self

old = Ring()
gone = weakref.ref(old)
try:
    with modules_set_aside():
        assert gc.get_freeze_count() > 1000
        new = weakref.ref(Ring())
        gc.collect()
        assert new() is None, "what came after is collected as ever"
        with modules_set_aside():
            pass
        assert gc.get_freeze_count() > 1000, "the inner block keeps what the outer one set aside"
        del old
        raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
assert gc.get_freeze_count() == 0
gc.collect()
assert gone() is None, "afterwards nothing is left out"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
