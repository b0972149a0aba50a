"""The manifests of a run without a user: where they list ids, and what they say of tables that have changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trackrec.files.manifests import TAKE_OVER

_ID_LISTS = (
    ("fingerprint", "settings", "users"),  # whom a stage wrote for
    ("counts", "tuned_on"),
    ("counts", "*", "tuned_on"),  # of each fold
    ("counts", "scored_by", "*"),  # of each validator
)
"""Where a manifest lists user ids; ``*`` is any key. No other JSON file of a run holds ids, and no key is one."""


@dataclass(frozen=True)
class Manifest:
    """A stage's manifest."""

    path: Path
    tree: dict[str, Any]

    @classmethod
    def all_in(cls, folder: Path) -> tuple[list[Manifest], list[Path]]:
        """Those of a run and of the runs inside it, and the files among them that are no manifest."""
        found, damaged = [], []
        for path in sorted(path for home in folder.rglob("manifests") for path in home.glob("*.json")):
            try:
                tree = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                tree = None
            if isinstance(tree, dict):
                found.append(cls(path, tree))
            else:
                damaged.append(path)
        return found, damaged

    @property
    def owner(self) -> Path:
        """The folder of its run: the one that is asked about, or a variant inside it."""
        return self.path.parent.parent

    def knows(self, user: str) -> bool:
        """Whether it lists the user."""
        lists = [parent[key] for place in _ID_LISTS for parent, key in _found(self.tree, place)]
        return any(str(part) == user for ids in lists for part in ids)

    def adapters_tuned_on(self, user: str) -> list[Path]:
        """Folders of the adapters that its stage tuned on the user."""
        counts = self.tree.get("counts")
        counts = counts if isinstance(counts, dict) else {}
        groups = {"": counts} | {str(key): part for key, part in counts.items() if isinstance(part, dict)}
        tuned = [key for key, group in groups.items() if user in map(str, group.get("tuned_on") or ())]
        endings = tuple(f"-{key.removeprefix('fold-')}" if key else "" for key in tuned)
        return [path for path in self.adapters if tuned and path.name.endswith(endings)]

    @property
    def adapters(self) -> list[Path]:
        """Folders of all adapters that its stage wrote."""
        outputs = self.tree.get("outputs")
        return [self.owner / name for name in outputs or () if name.startswith("adapters/")]

    @property
    def inputs(self) -> list[Path]:
        """Files and folders that its stage read."""
        fingerprint = self.tree.get("fingerprint")
        read = fingerprint.get("inputs") if isinstance(fingerprint, dict) else None
        return [self.owner / name for name in read or ()]

    def without(self, user: str, changed: Mapping[Path, tuple[str, str]]) -> dict[str, Any]:
        """The manifest without the user, and in line with the tables as they are now.

        The id leaves the lists of ids; a number of users that stands beside such a list, or tells of it, is one less.
        What was right of a table before it changed is right again; what was not, stays wrong.

        Args:
            user: the id as text.
            changed: the hashes of tables before and after.
        """
        clean = copy.deepcopy(self.tree)
        _drop(clean, user)
        fingerprint = clean.get("fingerprint")
        fingerprint = fingerprint if isinstance(fingerprint, dict) else {}
        for files in (clean.get("outputs") or {}, fingerprint.get("inputs") or {}):
            for name in files:
                before, after = changed.get(self.owner / name, ("", ""))
                if before and files[name] == before:
                    files[name] = after
        settings = fingerprint.get("settings")
        derived = [key for key in ("texts", "users") if _says_who(settings, key)] if changed else []
        if derived:  # a hash of texts, a number of users: the next start works them out and takes them over
            clean[TAKE_OVER] = derived
        return clean


def derived_adapters(manifests: Sequence[Manifest], tuned: Sequence[Path]) -> list[Path]:
    """Some adapters and all that were tuned from them, sorted."""
    found = set(tuned)
    while True:
        more = {
            adapter
            for manifest in manifests
            if any(path in found for path in manifest.inputs)
            for adapter in manifest.adapters
        }
        if more <= found:
            return sorted(path for path in found if path.is_dir())
        found |= more


def _says_who(settings: Any, key: str) -> bool:
    value = settings.get(key) if isinstance(settings, dict) else None
    return (key == "texts" and isinstance(value, str)) or (key == "users" and isinstance(value, int))


def _drop(tree: dict[str, Any], user: str) -> None:
    counted: list[dict[str, Any]] = []
    for place in _ID_LISTS:
        for parent, key in _found(tree, place):
            kept = [part for part in parent[key] if str(part) != user]
            if len(kept) == len(parent[key]):
                continue
            parent[key] = kept
            told = parent if key == "tuned_on" else tree.get("counts") if key == "users" else None
            number = told.get("users") if isinstance(told, dict) else None
            if told is not None and isinstance(number, int) and not any(told is one for one in counted):
                told["users"] = number - 1
                counted.append(told)


def _found(tree: Any, place: Sequence[str]) -> list[tuple[dict[str, Any], str]]:
    """Lists at a place of a tree, each as the group that holds it and its key there."""
    if not isinstance(tree, dict):
        return []
    keys = list(tree) if place[0] == "*" else [place[0]] if place[0] in tree else []
    if len(place) == 1:
        return [(tree, key) for key in keys if isinstance(tree[key], list)]
    return [found for key in keys for found in _found(tree[key], place[1:])]
