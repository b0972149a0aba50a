"""What a stage's result depends on, as hashes of content: files, folders, models, logs.

A file is hashed again when its size, its times or its place on the disk have changed. Large files are remembered from
one process to the next, in ``hashes.json`` of the cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.assets import ENCODER, LANGUAGE_MODEL, asset_folder

_LARGE = 1 << 25
"""Bytes from which on a file's hash is worth being kept on the disk."""
_SETTLED = 2.0
"""Seconds after its last change from which on a file's times tell of any further change."""

_known: dict[str, tuple[list[int], str]] = {}


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, or of a folder's (names and contents), hexadecimal.

    Raises:
        FileNotFoundError: there is no such file or folder.
    """
    if not path.is_dir():
        return _one_file(path)
    digest = hashlib.sha256()
    for file in _files(path):
        digest.update(f"{file.relative_to(path).as_posix()}\0{_one_file(file)}\n".encode())
    return digest.hexdigest()


def text_hash(table: pl.DataFrame) -> str:
    """SHA-256 of a small table's content, hexadecimal."""
    return hashlib.sha256(table.write_json().encode()).hexdigest()


def model_content(name: str) -> dict[str, str]:
    """What is to be said of a language model or text encoder beside its name, for a stage's settings.

    Args:
        name: as in the recipe: an embedded model, a local folder or a Hugging Face id.

    Returns:
        ``{"content": hash}`` of a local folder. Nothing of an embedded model, whose name stands for one content
        (``trackrec.assets`` checks it), nor of a Hugging Face id.
    """
    folder = Path(name)
    return {} if name.lower() in (LANGUAGE_MODEL, ENCODER) or not folder.is_dir() else {"content": file_hash(folder)}


def _files(folder: Path) -> list[Path]:
    """The files of a folder at any depth, in the order of their names; hidden ones (``.git``) tell nothing."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in names if not name.startswith(".")]
    return sorted(found, key=lambda file: file.relative_to(folder).as_posix())


def _one_file(path: Path) -> str:
    key, mark = str(path.absolute()), _mark(path)
    known = _known.get(key) or (_kept().get(key) if mark[0] >= _LARGE else None)
    if known is not None and known[0] == mark:
        return known[1]
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    # A change right after the hashing might leave the very same times: such a file is read again the next time.
    if time.time() - mark[1] / 1e9 > _SETTLED and mark == _mark(path):
        _known[key] = (mark, found)
        if mark[0] >= _LARGE:
            _keep(key, mark, found)
    return found


def _mark(path: Path) -> list[int]:
    """What changes with a file's content: size, times of change, and which file it is."""
    told = path.stat()
    return [told.st_size, max(told.st_mtime_ns, told.st_ctime_ns), told.st_mtime_ns, told.st_ino]


def _kept() -> dict[str, tuple[list[int], str]]:
    """The hashes of large files that earlier processes left."""
    try:
        told: Any = json.loads((asset_folder() / "hashes.json").read_text(encoding="utf-8"))
        return {str(path): ([int(part) for part in mark], str(found)) for path, (mark, found) in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _keep(key: str, mark: list[int], found: str) -> None:
    path = asset_folder() / "hashes.json"
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(_kept() | {key: (mark, found)}), encoding="utf-8")
        os.replace(partial, path)
    except OSError:  # it only saves time
        partial.unlink(missing_ok=True)
