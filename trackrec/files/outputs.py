"""What the finished stages of a run wrote, held against their manifests before anything is taken from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from trackrec.errors import RunError
from trackrec.files.hashes import file_hash
from trackrec.files.manifests import read_manifest, write_manifest


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
