"""``trackrec forget``: takes a user out of every table, shard, manifest and report of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import RunError
from trackrec.report import write_report
from trackrec.run import file_hash, write_json, write_table

_LISTS = frozenset({"users", "tuned_on", "scored_by", "sampled", "evaluated_users"})
"""Keys of manifests under which user ids are listed."""


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
    for path in sorted(folder.rglob("*.json")):
        before = json.loads(path.read_text(encoding="utf-8"))
        tuned |= any(_holds(part, user) for part in _under(before, "tuned_on"))
        after = _without(before, user)
        if isinstance(after, dict) and isinstance(after.get("outputs"), dict):
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
    table = pl.read_parquet(path)
    names = [name for name in table.columns if name == "user_id" or name.endswith("_user_id")]
    if not names:
        return 0
    kept = table.filter(~pl.any_horizontal(pl.col(name).cast(pl.String).eq_missing(user) for name in names))
    if kept.height < table.height:
        write_table(path, kept)
    return table.height - kept.height


def _holds(value: Any, user: str) -> bool:
    if isinstance(value, dict):
        return any(_holds(part, user) for part in value.values())
    return any(_holds(part, user) for part in value) if isinstance(value, list) else str(value) == user


def _under(tree: Any, key: str) -> list[Any]:
    """Every value under a key, however deep."""
    if isinstance(tree, list):
        return [found for part in tree for found in _under(part, key)]
    if not isinstance(tree, dict):
        return []
    return [value for name, value in tree.items() if name == key] + [
        found for part in tree.values() for found in _under(part, key)
    ]


def _without(tree: Any, user: str, ids: bool = False) -> Any:
    """A manifest without the user: out of the lists of ids, and one less in the count of users beside such a list."""
    if isinstance(tree, list):
        return [_without(part, user, ids) for part in tree if not (ids and str(part) == user)]
    if isinstance(tree, dict):
        clean = {name: _without(part, user, ids or name in _LISTS) for name, part in tree.items() if name != user}
        for name in _LISTS & set(tree):
            if isinstance(tree[name], int) and any(_holds(_under(tree, key), user) for key in _LISTS - {name}):
                clean[name] = tree[name] - 1
        return clean
    return tree
