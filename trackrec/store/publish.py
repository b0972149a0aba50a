"""``trackrec publish``: a written version into a store, beside the one that is served, then in its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trackrec.store.objections import Rewriter, apply_objections, objections_of
from trackrec.store.publication import Published
from trackrec.store.record import Record, key_of, read_value
from trackrec.store.store import FEEDBACK, Store
from trackrec.store.summary import summarise
from trackrec.store.versions import Version


def publish(
    publication: Published, store: Store, version: str | None = None, switch: bool = True, keep: int = 2
) -> tuple[str, Version]:
    """Load a version, check it, and serve it.

    What people objected to before is taken out of the new texts as well, and what they added is added again.

    Args:
        publication: where the version lies.
        store: where it goes.
        version: its name; None: the publication's current one.
        switch: serve it at once.
        keep: how many versions stay in the store; the oldest ones beyond that are dropped, never the one that is
            served nor the one before it.

    Returns:
        The version's name, and what the store says of it. A version that was loaded before is only switched to.

    Raises:
        StoreError: the publication or the store cannot be used, or what was loaded is not what was written.
    """
    name = publication.current() if version is None else version
    manifest = publication.manifest(name)
    known = store.state().versions.get(name)
    if known is None or known.state != "ready":
        expected = sum(int(shard["rows"]) for shard in manifest["shards"])
        short = {key: value for key, value in manifest.items() if key != "shards"} | {"place": publication.place}
        projection = publication.projection(name)
        if projection is not None:
            short["projection_tensors"] = {
                "mean": projection.mean.tolist(),
                "directions": projection.directions.tolist(),
            }
        records = _as_people_want(publication, name, store, Rewriter.named(manifest.get("encoder"), projection))
        store.load(name, records, short, lambda stored: summarise(stored, store.clock()), expected)
    if switch:
        store.switch(name)
    _drop_old(store, keep)
    return name, store.state().named(name)


def _as_people_want(publication: Published, version: str, store: Store, rewriter: Rewriter) -> Iterator[Record]:
    told: dict[bytes, list[dict[str, Any]]] = {key: read_value(value) for key, value in store.tables.scan(FEEDBACK)}
    for record in publication.records(version):
        entries = told.get(key_of(record.user_id))
        yield record if entries is None else apply_objections(record, objections_of(entries), rewriter)


def _drop_old(store: Store, keep: int) -> None:
    state = store.state()
    ready = [(int(one.table.removeprefix("v")), name) for name, one in state.versions.items() if one.state == "ready"]
    spare = [name for _, name in sorted(ready) if name not in (state.current, state.previous)]
    for name in spare[: max(0, len(ready) - keep)]:
        store.drop(name)
