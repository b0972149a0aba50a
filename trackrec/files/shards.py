"""Parts of what is not finished yet: kept as they are done, known when they are damaged, gone when the plan changes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import polars as pl

from trackrec.files.hashes import file_hash
from trackrec.files.tables import read_table
from trackrec.files.whole import written_whole


def keep_planned(folder: Path, plan: str) -> None:
    """Make a folder of parts, or keep the one that is there if it was made for the same plan."""
    if (folder / "plan").exists() and (folder / "plan").read_text(encoding="utf-8") != plan:
        shutil.rmtree(folder)
    if not (folder / "plan").exists():
        with written_whole(folder / "plan") as partial:
            partial.write_text(plan, encoding="utf-8")


def write_shard(path: Path, table: pl.DataFrame) -> None:
    """Write a shard, and before it is there its hash, so that a damaged one is known."""
    with written_whole(path) as partial:
        table.write_parquet(partial)
        with written_whole(path.with_suffix(".sha256")) as note:
            note.write_text(file_hash(partial), encoding="utf-8")


def whole_shard(path: Path) -> pl.DataFrame | None:
    """A shard as it was written; None if there is none, or another."""
    note = path.with_suffix(".sha256")
    if not path.is_file() or not note.is_file() or note.read_text(encoding="utf-8") != file_hash(path):
        return None
    return read_table(path)


def link(source: Path | str, target: Path | str) -> None:
    """Give a file a second name, or copy it where that cannot be. Stages replace files and never write into them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
