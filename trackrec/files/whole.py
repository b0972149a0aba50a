"""Writing files: each is there whole or not at all, whenever the process or the power goes."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from trackrec.files.lock import LOCK, OWNER

_PARTIAL = re.compile(r"\..*\.(\d+)\.partial")


@contextmanager
def written_whole(path: Path, durable: bool = False) -> Iterator[Path]:
    """Give a temporary name to write to (a file or a folder); it becomes ``path`` once the block has ended well.

    Args:
        path: what is written.
        durable: whether it must be on the disk before the old one is gone, so that a loss of power leaves one of the
            two. Without it, a loss of power may leave a file that is cut off.
    """
    path = path.absolute()  # Polars takes a path that begins with ~ for one in the home folder
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        if durable:
            _to_the_disk(partial)
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(partial, path)
        if durable and os.name == "posix":
            _to_the_disk(path.parent)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        elif partial.exists():
            partial.unlink()


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a Parquet file whole or not at all."""
    with written_whole(path) as partial:
        table.write_parquet(partial)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all, and to the disk."""
    with written_whole(path, durable=True) as partial:
        told = json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"
        try:
            partial.write_text(told, encoding="utf-8")
        except UnicodeEncodeError:  # a file's name that is no text, which only escapes can say
            partial.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")


def partial_of(path: Path) -> int | None:
    """The process that gave a file its temporary name; None if it has none."""
    match = _PARTIAL.fullmatch(path.name)
    return int(match[1]) if match else None


def abandoned(folder: Path) -> list[Path]:
    """What processes that are no longer alive were writing in a folder, at any depth."""
    found = []
    for place, folders, names in os.walk(folder):
        for path in (Path(place) / name for name in (*folders, *names)):
            process = partial_of(path)
            if process is not None and (process == os.getpid() or not psutil.pid_exists(process)):
                found.append(path)
        folders[:] = [name for name in folders if partial_of(Path(name)) is None]
    return found


def is_leftover(path: Path) -> bool:
    """Whether a file or folder is only what a process leaves that was killed before it wrote anything."""
    return path.name in (LOCK, OWNER) or partial_of(path) is not None


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _to_the_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
