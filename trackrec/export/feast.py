"""A version as a Feast feature repository: entity, feature view, the values as Parquet, and an example that runs.

Feast itself is not needed to write it; which online store it serves from is the user's own choice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import StoreError
from trackrec.run import written_whole
from trackrec.store.record import Stored
from trackrec.store.store import Store
from trackrec.users.citations import without_citations

_SETTINGS = """project: trackrec
provider: local
registry: registry.db
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
"""
_FEATURES = '''"""Features of people: what TrackRec published. Made by ``trackrec store feast``."""

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Float32, Int64, String

person = Entity(name="person", join_keys=["user_id"], value_type=ValueType.STRING)
published = FileSource(
    name="published",
    path=str(Path(__file__).parent / "people.parquet"),
    timestamp_field="written",
)
reccots = FeatureView(
    name="reccots",
    entities=[person],
    ttl=timedelta(days={days}),
    schema=[
        Field(name="vector", dtype=Array(Float32)),
        Field(name="raw_vector", dtype=Array(Float32)),
        Field(name="text", dtype=String),
        Field(name="version", dtype=String),
        Field(name="events", dtype=Int64),
    ],
    source=published,
)
'''
_EXAMPLE = '''"""Loads the people into the online store and reads one of them, as a ranker would for a request."""

from datetime import datetime, timezone
from pathlib import Path

from feast import FeatureStore


def main() -> None:
    """Load, and read."""
    store = FeatureStore(Path(__file__).parent)
    store.materialize(datetime(2000, 1, 1, tzinfo=timezone.utc), datetime.now(timezone.utc))
    features = ["reccots:vector", "reccots:text", "reccots:version"]
    found = store.get_online_features(features=features, entity_rows=[{{"user_id": {user!r}}}]).to_dict()
    print(found["version"][0], len(found["vector"][0]), found["vector"][0])


if __name__ == "__main__":  # feast apply imports every file here
    main()
'''


def export_feast(store: Store, out: Path, version: str | None = None, days: int = 3_650) -> int:
    """Write ``feature_store.yaml``, ``features.py``, ``people.parquet`` and ``example.py``.

    Args:
        store: with the version.
        out: a new folder.
        version: None: the one that is served.
        days: how long Feast takes a value to be good for.

    Returns:
        How many people have a vector, and are in it.

    Raises:
        StoreError: there is no such version, nobody of it has a vector, or the folder is there already.
    """
    state = store.state()
    table = state.table(version)
    if table is None:
        raise StoreError(f"the store holds no version {version or 'to serve'!r} that is ready: publish one first")
    if out.exists():
        raise StoreError(f"{out} is there already: give a new folder")
    rows = []
    for _, value in store.tables.scan(table):
        found = Stored(value)
        body, vector, raw = found.body, found.vector, found.raw_vector
        if vector is not None and raw is not None:
            rows.append(
                {
                    "user_id": str(body["user_id"]),
                    "written": body["written"],
                    "vector": vector.tolist(),
                    "raw_vector": raw.tolist(),
                    "text": without_citations(body["text"]),
                    "version": body["version"],
                    "events": body["events"],
                }
            )
    if not rows:
        raise StoreError("nobody of this version has a vector: there is nothing to export")
    schema: dict[str, Any] = {"vector": pl.List(pl.Float32), "raw_vector": pl.List(pl.Float32), "events": pl.Int64}
    people = pl.DataFrame(rows, schema_overrides=schema).sort("user_id")
    people = people.with_columns(
        pl.from_epoch("written", time_unit="s").dt.cast_time_unit("us").dt.replace_time_zone("UTC")
    )
    with written_whole(out) as partial:
        partial.mkdir()
        people.write_parquet(partial / "people.parquet")
        (partial / "feature_store.yaml").write_text(_SETTINGS, encoding="utf-8")
        (partial / "features.py").write_text(_FEATURES.format(days=days), encoding="utf-8")
        (partial / "example.py").write_text(_EXAMPLE.format(user=people["user_id"][0]), encoding="utf-8")
    return people.height
