"""Which file of a folder is which, by the names that a data set's files are known by."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from trackrec.data.folder import found_in, is_hidden
from trackrec.errors import LogError


def find_file(folder: Path, patterns: Sequence[str], source: str) -> Path:
    """The one file whose name fits one of the patterns, in the folder or a folder in it.

    Raises:
        LogError: there is none, or there are several.
    """
    found = find_several(folder, patterns)
    if len(found) != 1:
        several = f" several ({', '.join(file.name for file in found[:4])})" if found else f" {found_in(folder)}"
        raise LogError(f"{folder} is not {source}: expected one file {' or '.join(patterns)}, found{several}")
    return found[0]


def find_several(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """All files whose names fit one of the patterns, in the folder or a folder in it, sorted."""
    if not folder.is_dir():
        return []
    near = [file for place in (folder, *sorted(folder.iterdir())) if place.is_dir() for file in sorted(place.iterdir())]
    return [
        file for file in near
        if file.is_file() and not is_hidden(file.name)
        and any(fnmatch.fnmatchcase(file.name, pattern) for pattern in patterns)
    ]  # fmt: skip


def need(folder: Path, patterns: Sequence[str], source: str) -> list[Path]:
    """All files whose names fit, of which there must be one at least.

    Raises:
        LogError: there is none.
    """
    if found := find_several(folder, patterns):
        return found
    raise LogError(f"{folder} is not {source}: expected {' or '.join(patterns)}, found {found_in(folder)}")
