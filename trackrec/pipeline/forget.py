"""``trackrec forget``: takes a user out of every table, shard, manifest and report of a run."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import RunError
from trackrec.files.tables import read_table
from trackrec.report import write_report
from trackrec.run import file_hash, write_json, write_table

_ID_LISTS = (
    ("fingerprint", "settings", "users"),  # whom a stage wrote for
    ("counts", "tuned_on"),
    ("counts", "*", "tuned_on"),  # of each fold
    ("counts", "scored_by", "*"),  # of each validator
)
"""Where a manifest lists user ids; ``*`` is any key. No other JSON file of a run holds ids, and no key is one."""


def forget_user(user: str, folder: Path) -> str:
    """Remove a user from a run folder.

    Weights that were tuned on the user stay: they can only be made anew, from a log without this user.

    Args:
        user: the id as text.
        folder: the run.

    Returns:
        What was removed, in a sentence, without the id.

    Raises:
        RunError: no run there, or no table knows this user.
    """
    if not (folder / "recipe.yaml").is_file():
        raise RunError(f"{folder} holds no run (no recipe.yaml): give --run the folder of one")
    rows, files = 0, 0
    for path in sorted(folder.rglob("*.parquet")):
        gone = _clean_table(path, user)
        rows, files = rows + gone, files + (gone > 0)
    manifests, tuned = 0, False
    for path in sorted(path for home in folder.rglob("manifests") for path in home.glob("*.json")):
        before = json.loads(path.read_text(encoding="utf-8"))
        after, was_tuned_on = _without(before, user)
        tuned |= was_tuned_on
        if isinstance(after.get("outputs"), dict):
            owner = path.parent.parent  # of a manifest: the run, or a variant inside it
            after["outputs"] = {
                name: file_hash(owner / name) if name.endswith(".parquet") and (owner / name).is_file() else old
                for name, old in after["outputs"].items()
            }
        if after != before:
            write_json(path, after)
            manifests += 1
    if not rows and not manifests:
        raise RunError(f"no table or manifest of {folder} knows the user {user!r}: check the id and the folder")
    if (folder / "report" / "index.html").is_file():
        write_report(folder)
    told = f"Removed {rows} rows from {files} tables and mended {manifests} manifests."
    if tuned:
        told += " Adapters of this run were tuned on this user: only a run on a log without the user makes them anew."
    return told + " The log that the run was made from was not touched."


def _clean_table(path: Path, user: str) -> int:
    """Drop the user's rows; how many."""
    table = read_table(path)
    names = [name for name in table.columns if name == "user_id" or name.endswith("_user_id")]
    if not names:
        return 0
    kept = table.filter(~pl.any_horizontal(pl.col(name).cast(pl.String).eq_missing(user) for name in names))
    if kept.height < table.height:
        write_table(path, kept)
    return table.height - kept.height


def _without(manifest: dict[str, Any], user: str) -> tuple[dict[str, Any], bool]:
    """A manifest without the user, and whether an adapter was tuned on this user.

    The id leaves the lists of ids; a number of users that stands beside such a list, or tells of it, is one less.
    """
    clean = copy.deepcopy(manifest)
    tuned = False
    counted: list[dict[str, Any]] = []
    for place in _ID_LISTS:
        for parent, key in _found(clean, place):
            kept = [part for part in parent[key] if str(part) != user]
            if len(kept) == len(parent[key]):
                continue
            parent[key] = kept
            tuned |= key == "tuned_on"
            told = parent if key == "tuned_on" else clean.get("counts") if key == "users" else None
            number = told.get("users") if isinstance(told, dict) else None
            if told is not None and isinstance(number, int) and not any(told is one for one in counted):
                told["users"] = number - 1
                counted.append(told)
    return clean, tuned


def _found(tree: Any, place: Sequence[str]) -> list[tuple[dict[str, Any], str]]:
    """Lists at a place of a tree, each as the group that holds it and its key there."""
    if not isinstance(tree, dict):
        return []
    keys = list(tree) if place[0] == "*" else [place[0]] if place[0] in tree else []
    if len(place) == 1:
        return [(tree, key) for key in keys if isinstance(tree[key], list)]
    return [found for key in keys for found in _found(tree[key], place[1:])]
