"""``trackrec forget``: takes a user out of every table, shard, manifest, export and report of a run, for good."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from trackrec.errors import RunError
from trackrec.files.forgotten import TOMBSTONES, Forgotten, remember
from trackrec.files.hashes import file_hash
from trackrec.files.lock import LOCK, OWNER, locked
from trackrec.files.manifests import SEAL, is_sealed, write_manifest
from trackrec.files.names import CHECKPOINTS, EXPORT_MARK
from trackrec.files.whole import abandoned, partial_of, remove, write_json
from trackrec.pipeline.forget_manifests import Manifest, derived_adapters
from trackrec.pipeline.forget_tables import UserTables, forget_in_pages
from trackrec.report import write_report

_TEXT_FILES = {".csv", ".tsv", ".txt", ".log", ".json", ".jsonl", ".md", ".html", ".yaml", ".yml", ".inter", ".user"}


@dataclass
class _Found:
    """What a run folder held of a user."""

    rows: int = 0
    tables: int = 0
    manifests: int = 0
    damaged: list[str] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)
    adapters: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


def forget_user(user: str, folder: Path) -> str:
    """Remove a user from a run folder and the runs inside it, and see to it that no later stage brings the user back.

    Finished stages stay finished: manifests are brought up to date with the tables. Weights that were tuned on the
    user stay; the answer names them and says how they are made anew.

    Args:
        user: the id as text.
        folder: the run.

    Returns:
        What was removed and what is left to do, in sentences, without the id.

    Raises:
        RunError: no run there, another process is at work in it, or nothing in it knows this user.
    """
    if not (folder / "recipe.yaml").is_file():
        raise RunError(f"{folder} holds no run (no recipe.yaml): give --run the folder of one")
    with ExitStack() as held:
        for run in [folder, *sorted(path.parent for path in folder.rglob("recipe.yaml") if path.parent != folder)]:
            held.enter_context(locked(run))
        return _told(_forget(user, folder))


def _forget(user: str, folder: Path) -> _Found:
    _nothing_half_written(folder)
    found = _Found()
    manifests, damaged = Manifest.all_in(folder)
    tables = UserTables(user, folder)
    if (
        not tables.known
        and not any(manifest.knows(user) for manifest in manifests)
        and user not in Forgotten.of(folder)
    ):
        raise RunError(f"no table or manifest of {folder} knows the user {user!r}: check the id and the folder")
    # First of all: a kill from here on leaves a run in which nothing brings the user back.
    remember(folder, user)
    for export in sorted(path.parent for path in folder.rglob(EXPORT_MARK)):
        shutil.rmtree(export)
        found.exports.append(str(export))
    tuned = [output for manifest in manifests for output in manifest.adapters_tuned_on(user)]
    found.adapters = [os.path.relpath(path, folder) for path in derived_adapters(manifests, tuned)]
    found.damaged += forget_in_pages(user, folder)
    changed: dict[Path, tuple[str, str]] = {}
    for path in tables.paths():
        before = file_hash(path)
        gone = tables.clean(path)
        if gone:
            found.rows, found.tables = found.rows + gone, found.tables + 1
            changed[path] = (before, file_hash(path))
    for path in [*damaged, *tables.damaged]:  # nobody can say what is in it; its stage makes it anew
        path.unlink()
        found.damaged.append(str(path))
    for manifest in manifests:
        after = manifest.without(user, changed)
        if after != manifest.tree:
            # What was changed by hand before does not become right by this.
            right = SEAL in manifest.tree and is_sealed(manifest.tree)
            (write_manifest if right else write_json)(manifest.path, after)
            found.manifests += 1
    for page in sorted(folder.rglob("report/index.html")):
        if (page.parent.parent / "recipe.yaml").is_file():
            write_report(page.parent.parent)
    found.elsewhere = [str(path) for path in _others(folder) if _names(path, user, tables.texts)]
    return found


def _nothing_half_written(folder: Path) -> None:
    """Clear away what killed processes were writing, and the states of their trainings: weights that saw the user.

    Raises:
        RunError: a living process is writing something there.
    """
    for path in (*abandoned(folder), *sorted(folder.rglob(CHECKPOINTS))):
        remove(path)
    for path in folder.rglob("*"):
        process = partial_of(path)
        if process is not None and psutil.pid_exists(process):
            raise RunError(
                f"process {process} is writing {path}: wait until it has ended, or stop it, so that nothing of the "
                "user is missed"
            )


def _others(folder: Path) -> list[Path]:
    """Text files of the run folder that this run did not write, or that only it knows how to write."""
    ours = {LOCK, OWNER, TOMBSTONES, "recipe.yaml"}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in _TEXT_FILES)
    return [path for path in files if path.name not in ours and path.parent.name != "manifests"]


def _names(path: Path, user: str, texts: set[str]) -> bool:
    """Whether a file has the id or a text of the user in it. Ids of up to three characters would be found anywhere."""
    content = path.read_text(encoding="utf-8", errors="replace")
    told = [user, *texts] if len(user) > 3 else list(texts)
    return any(word in content or json.dumps(word)[1:-1] in content for word in told if word)


def _told(found: _Found) -> str:
    told = f"Removed {found.rows} rows from {found.tables} tables and mended {found.manifests} manifests."
    if found.exports:
        told += f" Removed exports, to be written anew: {', '.join(found.exports)}."
    if found.damaged:
        told += f" Removed what was damaged and could not be searched: {', '.join(found.damaged)}."
    if found.adapters:
        told += (
            f" Tuned on this user, directly or from such weights: {', '.join(found.adapters)}. To tune them anew "
            "without the user, delete these folders and start the run again."
        )
    if found.elsewhere:
        told += f" These files still name the user or have a text of the user's: {', '.join(found.elsewhere)}."
    return (
        f"{told} No later stage of this run reads the user again. The log that the run was made from was not touched, "
        "nor were exports and copies outside of this folder."
    )
