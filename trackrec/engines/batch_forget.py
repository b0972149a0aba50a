"""Batch files without a person: lines that asked about somebody, or answered."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trackrec.engines.batch import key_of_line
from trackrec.engines.cache import AnswerCache
from trackrec.engines.failures import EngineError
from trackrec.files.whole import written_whole

_SHORT = 3
"""Ids of so many characters would be found anywhere."""


@dataclass
class BatchesForgotten:
    """What came of it."""

    lines: int = 0
    """Lines that were removed."""
    files: list[str] = field(default_factory=list)
    """Files that were changed."""
    unknown: int = 0
    """Lines of whom no cache says whom they are about."""


def batch_files(place: Path) -> list[Path]:
    """Batch files: the file itself, or those in a folder at any depth.

    In a folder: ``*.jsonl`` with lines of their form, and what a killed process left of one.

    Raises:
        EngineError: there is no such file or folder.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise EngineError(f"{place} is no batch file, nor a folder with some: give the file or folder itself")
    found = [path for ending in ("*.jsonl", "batch-*.partial") for path in place.rglob(ending) if path.is_file()]
    return sorted(path for path in found if any(key_of_line(line) for line in _lines(path)))


def forget_in_batches(
    user: str, files: Sequence[Path], caches: Sequence[AnswerCache], texts: Collection[str] = ()
) -> BatchesForgotten:
    """Remove the lines on a person from batch files, requests and answers alike.

    Whom a line is about the cache says that the batch was written with, by the line's key; a line that somebody else
    shares stays. Lines that no cache knows go if they have the id or one of the person's texts in them.

    Args:
        user: the id as text.
        files: batch files.
        caches: the caches of their engines, before the person is forgotten in them.
        texts: what was written for the person, as far as it is known.
    """
    theirs = {key for cache in caches for key in cache.keys_of(user)}
    words = [word for word in (*texts, *([user] if len(user) > _SHORT else [])) if word.strip()]
    told = [spelled for word in words for spelled in {word, json.dumps(word)[1:-1]}]
    found = BatchesForgotten()
    for path in files:
        lines = _lines(path)
        kept = []
        for line in lines:
            key = key_of_line(line)
            known = key is not None and (key in theirs or any(cache.knows(key) for cache in caches))
            if key in theirs or (not known and any(word in line for word in told)):
                continue
            kept.append(line)
            found.unknown += key is not None and not known
        if len(kept) < len(lines):
            with written_whole(path, durable=True) as partial:
                partial.write_bytes("".join(kept).encode("utf-8", "surrogateescape"))
            found.lines += len(lines) - len(kept)
            found.files.append(str(path))
    return found


def _lines(path: Path) -> list[str]:
    """The lines with their ends; other bytes than UTF-8 are kept as they are."""
    return io.StringIO(path.read_bytes().decode("utf-8", "surrogateescape"), newline="\n").readlines()
