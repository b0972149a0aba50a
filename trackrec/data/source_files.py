"""The files of a source: which of a folder's files they are, by the names that a data set's files are known by."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from trackrec.errors import LogError

_SHOWN = 8
OWN_OUTPUTS = (".card.json", ".card.html", ".recipe.yaml", ".recipe.yaml.old")
"""Endings of what `trackrec data check` writes, perhaps beside the log: no files of a source."""


_PROSE = {"readme", "license", "licence", "notice", "changelog", "copying", "md5sums", "sha256sums", "checksums"}
_PROSE_ENDINGS = {"", ".txt", ".md", ".rst", ".html", ".pdf"}


def is_hidden(name: str) -> bool:
    """Whether a file's name says that it is no part of the data: our output, what systems leave, a README."""
    path = Path(name.lower())
    if path.suffix in {".md", ".pdf"} or (path.suffix in _PROSE_ENDINGS and path.stem in _PROSE):
        return True
    return name.startswith((".", "_")) or name.endswith(OWN_OUTPUTS) or name.endswith((".crc", "~", ".tmp"))


def need_files(folder: Path, names: tuple[str, ...], source: str) -> None:
    """Refuse a folder in which one of the files is missing.

    Raises:
        LogError: with what was expected and what is there.
    """
    if not all((folder / name).is_file() for name in names):
        raise LogError(f"{folder} is not {source}: expected {', '.join(names)}, found {found_in(folder)}")


def found_in(folder: Path) -> str:
    """What is in a folder, for messages: the first names, or that there is none."""
    if not folder.is_dir():
        return "no such folder"
    return ", ".join(sorted(file.name for file in folder.iterdir())[:_SHOWN]) or "an empty folder"


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
