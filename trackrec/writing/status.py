"""How a publication stands: its versions, the current one, and how far an unfinished one has come."""

from __future__ import annotations

from typing import Any

from trackrec.writing.place import Place
from trackrec.writing.shard_file import finished
from trackrec.writing.versions import Versions


def look(place: Place) -> dict[str, Any]:
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
