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
        named = f"{file.relative_to(path).as_posix()}\0{_one_file(file)}\n"
        digest.update(named.encode("utf-8", "surrogateescape"))  # names may be any bytes
    return digest.hexdigest()


def text_hash(table: pl.DataFrame) -> str:
    """SHA-256 of a small table's content, hexadecimal."""
    return hashlib.sha256(table.write_json().encode()).hexdigest()


def content_of(settings: Any, prefix: str = "") -> dict[str, str]:
    """What is in the files and folders that settings name, so that a stage notices a change in them.

    Args:
        settings: settings as plain values, at any depth. Files and folders count under ``path``, ``file`` and
            ``folder``; under ``name``, folders with a model in them (``config.json``; ``modules.json`` of an encoder).
        prefix: put before the names.

    Returns:
        Hash of the content by dotted name, such as ``{"model.name": ...}``. Names that stand for one content (the
        embedded models, which ``trackrec.assets`` checks) and what is not on this machine are left out.
    """
    if isinstance(settings, list | tuple):
        settings = {str(place): part for place, part in enumerate(settings)}
    if not isinstance(settings, dict):
        return {}
    found = {}
    for key, value in settings.items():
        if isinstance(value, str):
            place = Path(value) if value else None
            named = key in ("path", "file", "folder") or (key == "name" and _is_model(value))
            if place is not None and named and place.exists():
                found[f"{prefix}{key}"] = file_hash(place)
        else:
            found |= content_of(value, f"{prefix}{key}.")
    return found


def _is_model(name: str) -> bool:
    return name.lower() not in (LANGUAGE_MODEL, ENCODER) and any(
        (Path(name) / inside).is_file() for inside in ("config.json", "modules.json")
    )


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
