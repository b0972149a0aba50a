"""Manifests: what a finished stage recorded of itself, and whether it still holds."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trackrec.errors import RunError
from trackrec.files.hashes import file_hash
from trackrec.files.whole import write_json

FORMAT = 2
"""How a run folder is laid out. Raised where an older folder can no longer be gone on with."""

SEAL = "seal"
"""Key of a manifest: the hash of all else in it."""
TAKE_OVER = "take_over"
"""Key of a manifest: settings that follow from tables out of which somebody was taken since. The stage stays finished;
the next start writes down what they are now."""
FRAME = "frame"
"""Name of a setting that nobody sets: the hash of what the chat template puts around prompts."""


def read_manifest(path: Path) -> dict[str, Any] | None:
    """A stage's manifest; None where there is none, or what is there is damaged."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        whole = isinstance(manifest["fingerprint"]["settings"], dict) and isinstance(manifest["outputs"], dict)
        return manifest if whole and isinstance(manifest["seconds"], (int, float)) and is_sealed(manifest) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Write a stage's manifest, with a hash of what it says: a figure that changes afterwards is noticed."""
    plain = json.loads(json.dumps(manifest, default=str))
    write_json(path, plain | {SEAL: _seal_of(plain)})


def is_sealed(manifest: dict[str, Any]) -> bool:
    """Whether a manifest says what was written; earlier versions wrote no hash."""
    return SEAL not in manifest or manifest[SEAL] == _seal_of(manifest)


def _seal_of(manifest: dict[str, Any]) -> str:
    told = {key: value for key, value in manifest.items() if key != SEAL}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def check_format(folder: Path) -> None:
    """Refuse a run folder that another version of TrackRec laid out in another way.

    Raises:
        RunError: with the version that wrote it.
    """
    manifest = read_manifest(folder / "manifests" / "data.json")
    if manifest is not None and manifest.get("format") != FORMAT:
        written_by = manifest.get("versions", {}).get("trackrec", "an unknown version")
        raise RunError(
            f"{folder} was written by TrackRec {written_by} (run format {manifest.get('format', 1)}); this is "
            f"{version('trackrec')} (run format {FORMAT}), which cannot go on with it. Use the version that wrote it, "
            "or start anew in another folder with --out"
        )


def same(before: dict[str, Any], now: dict[str, Any], regardless_of: Sequence[str]) -> bool:
    """Whether two fingerprints agree, some settings left aside; manifests of before it was recorded tell no frame."""
    aside = regardless_of if FRAME in before["settings"] else (*regardless_of, FRAME)
    return _without(before, aside) == _without(now, aside)


def _without(fingerprint: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    left: dict[str, Any] = copy.deepcopy(fingerprint)
    for name in names:
        *parents, last = name.split(".")
        group = left["settings"]
        for parent in parents:
            group = group.get(parent, {})
        group.pop(last, None)
    return left


def hashes_written(folder: Path) -> dict[str, set[str]]:
    """Hashes of what the finished stages of a run wrote, by path in its folder."""
    written: dict[str, set[str]] = {}
    for path in (folder / "manifests").glob("*.json"):
        for output, found in ((read_manifest(path) or {}).get("outputs") or {}).items():
            written.setdefault(output, set()).add(found)
    return written


def as_written(folder: Path, path: Path, hashes: Mapping[str, set[str]] | None = None) -> Path:
    """A table, file or adapter of a run, if it is what its stage wrote, or no finished stage says that it wrote it.

    Args:
        folder: of the run.
        path: in that folder.
        hashes: as `hashes_written` finds them; None: they are looked up.

    Returns:
        The path.

    Raises:
        RunError: it was damaged, or changed by hand.
    """
    expected = (hashes_written(folder) if hashes is None else hashes).get(path.relative_to(folder).as_posix())
    if expected and path.exists() and file_hash(path) not in expected:
        what = "table" if path.suffix == ".parquet" else "folder" if path.is_dir() else "file"
        raise RunError(
            f"the {what} {path} is not what its stage wrote: it was damaged or changed by hand. Start the run "
            "again, which makes it anew"
        )
    return path


@contextmanager
def changing(folder: Path, paths: Sequence[Path]) -> Iterator[None]:
    """Change what finished stages wrote inside the block, on purpose: their manifests, and those of stages that read
    it, follow, so that the stages stay finished.

    Args:
        folder: of the run.
        paths: what changes, in that folder. What was not right before stays wrong.
    """
    before = {path: file_hash(path) for path in paths if path.exists()}
    yield
    changed = {
        path.relative_to(folder).as_posix(): (old, new)
        for path, old in before.items()
        if (new := file_hash(path)) != old
    }
    for file in sorted((folder / "manifests").glob("*.json")) if changed else ():
        manifest = read_manifest(file)
        follows = False
        for told in (manifest["outputs"], manifest["fingerprint"].get("inputs") or {}) if manifest else ():
            for name, (old, new) in changed.items():
                if told.get(name) == old:
                    told[name], follows = new, True
        if manifest is not None and follows:
            write_manifest(file, manifest)
