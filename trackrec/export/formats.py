"""The forms in which features leave, by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trackrec.errors import RunError
from trackrec.export.feature_tables import FeatureTables, read_features
from trackrec.export.fuxictr import write_fuxictr
from trackrec.export.parquet import write_huggingface, write_parquet
from trackrec.export.recbole import write_recbole
from trackrec.export.vllm import write_vllm
from trackrec.features.encoder import Encoder
from trackrec.files.names import EXPORT_MARK
from trackrec.run import file_hash, write_json, written_whole

FORMATS: dict[str, Callable[[FeatureTables, Path], None]] = {
    "parquet": write_parquet,
    "fuxictr": write_fuxictr,
    "recbole": write_recbole,
    "huggingface": write_huggingface,
}
"""Tables for other libraries. Each writes its files into a folder that is empty."""
SERVED = "vllm"
"""The format that is no table: generator and validator, to be served."""

MARK = EXPORT_MARK


def export_run(
    folder: Path, form: str, out: Path, fold: int = 0, with_items: bool = True, encoder: Encoder | None = None
) -> dict[str, Any]:
    """Write the features of a finished run in another library's form, or its models for a server.

    Args:
        folder: the run.
        form: one of ``FORMATS``, or ``vllm``: see :func:`trackrec.export.vllm.write_vllm`.
        out: a folder that is new, empty, or holds an earlier export, which is replaced as a whole.
        fold, with_items, encoder: see :func:`trackrec.export.feature_tables.read_features`.

    Returns:
        What was written: ``format, run, recipe, fold, encoder`` and the counts of rows and of what has a vector; it is
        also kept as ``trackrec-export.json``.

    Raises:
        RunError: no such format, no finished run, or ``out`` holds something else.
    """
    if form not in (*FORMATS, SERVED):
        raise RunError(f"unknown format {form!r}: expected one of {', '.join((*FORMATS, SERVED))}")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).is_file())):
        raise RunError(f"{out} is there and is no earlier export (no {MARK} in it): give --out a new or empty folder")
    if form == SERVED:
        return _serve(folder, out)
    tables = read_features(folder, fold, with_items, encoder)
    if not tables.examples.height:
        raise RunError(f"the run {folder} has no examples of ranker users: there is nothing to export")
    written: dict[str, Any] = {
        "format": form,
        "recipe": tables.name,
        "recipe_hash": file_hash(folder / "recipe.yaml"),
        "vectors_hash": file_hash(folder / "vectors.parquet"),
        "fold": fold,
        "encoder": tables.encoder,
        "counts": tables.counts,
    }
    with written_whole(out) as partial:
        partial.mkdir(parents=True)
        FORMATS[form](tables, partial)
        write_json(partial / MARK, written)
    return json.loads(json.dumps(written))  # type: ignore[no-any-return]


def _serve(folder: Path, out: Path) -> dict[str, Any]:
    if not (folder / "recipe.yaml").is_file():
        raise RunError(f"{folder} holds no run (no recipe.yaml): expected the folder of a finished one")
    with written_whole(out) as partial:
        partial.mkdir(parents=True)
        written = {"format": SERVED, "recipe_hash": file_hash(folder / "recipe.yaml")} | write_vllm(folder, partial)
        write_json(partial / MARK, written)
    return written
