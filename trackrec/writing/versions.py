"""Versions of a publication: listing, the pointer to the current one, rollback, retention, and how each stands."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from trackrec.errors import WriteError
from trackrec.writing.manifest_schemas import Pointer, VersionManifest, checked
from trackrec.writing.place import Place
from trackrec.writing.shard_file import finished, shard_file
from trackrec.writing.version_plan import VersionPlan

POINTER = "current.json"


class Versions:
    """The versions at a place.

    A version is whole once its manifest is there, which is put last, and unfinished as long as
    it has a folder ``work``. Of one that was dropped, files may stay that later ones refer to.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    def names(self) -> list[str]:
        """All versions, oldest first, unfinished ones among them."""
        return sorted(self.place.names("versions"), key=lambda name: (len(name), name))

    def current(self) -> str | None:
        """The version that readers read; None: nothing is published."""
        pointer = checked(self.place.read_json(POINTER), Pointer, self.place.path(POINTER))
        return None if pointer is None else str(pointer["version"])

    def manifest(self, name: str) -> dict[str, Any] | None:
        """The manifest of a version; None: it is not whole."""
        file = f"versions/{name}/manifest.json"
        found: dict[str, Any] | None = checked(self.place.read_json(file), VersionManifest, self.place.path(file))
        return found

    def plan(self, name: str) -> VersionPlan | None:
        """The plan of a version; None: it has none."""
        file = f"versions/{name}/plan.json"
        found = checked(self.place.read_json(file), VersionPlan, self.place.path(file))
        return None if found is None else VersionPlan.model_validate(found)

    def unfinished(self) -> VersionPlan | None:
        """The newest version that was begun and not ended; None: there is none."""
        for name in reversed(self.names()):
            if self.place.names(f"versions/{name}/work") or self.manifest(name) is None:
                plan = self.plan(name)
                if plan is not None:
                    return plan
        return None

    def next_name(self) -> str:
        """A name after all others. Clocks have no say in it."""
        numbers = [int(name) for name in self.names() if name.isdecimal()]
        return f"{max(numbers, default=0) + 1:06d}"

    def point(self, name: str) -> None:
        """Make a version the current one, at once for all readers."""
        self.place.write_json(POINTER, {"version": name})

    def rollback(self, name: str | None, force: bool = False) -> str:
        """Move the pointer to another whole version.

        Args:
            name: which; None: the newest whole one before the current one.
            force: also to one that a gate refused.

        Returns:
            Its name.

        Raises:
            WriteError: there is no such version, it is not whole, or a gate refused it.
        """
        current = self.current()
        if name is None:
            known = self.names()
            earlier = known[: known.index(current)] if current in known else known
            whole = [one for one in earlier if (m := self.manifest(one)) is not None and m["gates"]["passed"]]
            if not whole:
                raise WriteError(f"{self.place.url} holds no earlier whole version than {current}: nothing was changed")
            name = whole[-1]
        manifest = self.manifest(name)
        if manifest is None:
            whole = [one for one in self.names() if self.manifest(one) is not None]
            raise WriteError(
                f"{self.place.url} holds no whole version {name!r}: expected one of {', '.join(whole) or 'none there'}"
            )
        if not manifest["gates"]["passed"] and not force:
            refused = "; ".join(gate["says"] for gate in manifest["gates"]["gates"] if not gate["passed"])
            raise WriteError(f"version {name} was refused by its gates ({refused}): publish it with --force")
        self.point(name)
        return name

    def drop(self, name: str, referred: Collection[str] = ()) -> None:
        """Remove a version, but for files of it that others refer to.

        Its plan goes first, so that nobody goes on with it, then its manifest, so that it is never whole and in part
        gone.

        Args:
            name: of the version.
            referred: files that stay, from the place's root.
        """
        folder = f"versions/{name}"
        self.place.remove(f"{folder}/plan.json")
        self.place.remove(f"{folder}/manifest.json")
        stay = [file for file in referred if file.startswith(f"{folder}/shards/")]
        if not stay:
            self.place.remove(folder)
            return
        for part in self.place.names(folder):
            if part != "shards":
                self.place.remove(f"{folder}/{part}")
        for file in self.place.names(f"{folder}/shards"):
            if f"{folder}/shards/{file}" not in stay:
                self.place.remove(f"{folder}/shards/{file}")

    def keep(self, number: int) -> list[str]:
        """Drop all but the newest whole versions and the current one, and what was begun before the current one.

        Files of a dropped version that a kept one refers to stay, until none does.

        Returns:
            The versions that were dropped.
        """
        current, names = self.current(), self.names()
        whole = {name: found for name in names if (found := self.manifest(name)) is not None}
        kept = set(list(whole)[-number:])
        if current is not None and current in names:
            kept |= set(names[names.index(current) :])
        kept |= {plan.base for name in kept - set(whole) if (plan := self.plan(name)) and plan.base}
        referred = {shard_file(name, shard) for name in kept & set(whole) for shard in whole[name]["shards"]}
        dropped = [name for name in names if name not in kept]
        known = {name for name in dropped if name in whole or self.plan(name) is not None}
        for name in dropped:
            self.drop(name, referred)
        return sorted(known)


def publication_status(place: Place) -> dict[str, Any]:
    """The state of a publication: ``current`` and a row a version, oldest first.

    A version's ``state`` is ``current``, ``whole``, ``refused`` (by its gates), ``unfinished`` or ``dropped`` (but for
    the shards that later versions refer to).
    """
    versions = Versions(place)
    current, rows = versions.current(), []
    for name in versions.names():
        manifest, plan = versions.manifest(name), versions.plan(name)
        if manifest is None:
            left = sum(file.endswith(".parquet") for file in place.names(f"versions/{name}/shards"))
            if plan is None and left:
                rows.append(_row(name, "dropped", "", f"{left} that later versions refer to", None, ""))
                continue
            done, wanted = (len(finished(place, name, plan.shards)), plan.shards) if plan else (0, 0)
            rows.append(_row(name, "unfinished", plan.only if plan else "", f"{done} of {wanted}", None, ""))
            continue
        passed = manifest["gates"]["passed"]
        state = "current" if name == current else "whole" if passed else "refused"
        says = "; ".join(gate["says"] for gate in manifest["gates"]["gates"] if not gate["passed"])
        shards = str(len(manifest["shards"]))
        referred = manifest["counts"].get("shards_by_reference")
        if referred:
            shards += f", {referred} of them files of older versions"
        rows.append(_row(name, state, manifest["only"], shards, manifest["counts"], says))
    return {"current": current, "versions": rows}


def _row(name: str, state: str, only: str, shards: str, counts: dict[str, int] | None, says: str) -> dict[str, Any]:
    counts = counts or {}
    texts, rejected = counts.get("rows"), counts.get("rejected")
    row = {"version": name, "state": state, "texts": texts, "rejected": rejected}
    return row | {"shards": shards, "only": only, "says": says}
