"""A run to write from and its log, made up; and jobs on them that can be killed. No model is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from trackrec.writing.executor import LocalExecutor, LocalSettings
from trackrec.writing.job import Job
from trackrec.writing.place import Place
from trackrec.writing.shard_file import shard_file
from trackrec.writing.source import LogSettings
from trackrec.writing.version_plan import WritingSettings

GENRES = ("Comedy", "Drama", "Thriller", "Western")
STARTED = 1_700_000_000
"""The moment at which the tests' jobs begin."""
QUICK: dict[str, Any] = {"writer": "template", "encoder": "hashing", "shards": 4}


def write_run(folder: Path, items: int = 40, prompts: dict[str, Any] | None = None) -> Path:
    """A run folder with what writing reads: a recipe, items, and what ranker users' histories say of others."""
    from trackrec.recipe import dump_recipe, make_recipe

    (folder / "tables").mkdir(parents=True)
    tree = {"name": "made-up", "split": {"max_history": 10}, "source": {"source": "tables"}}
    tree["source"]["tables"] = {"interactions": {"path": str(folder / "log.parquet")}}  # type: ignore[index]
    (folder / "recipe.yaml").write_text(dump_recipe(make_recipe(tree)), encoding="utf-8")
    numbers = range(1, items + 1)
    catalogue = pl.DataFrame(
        {
            "item_id": numbers,
            "title": [f"Film {n} ({1950 + n})" for n in numbers],
            "year": pl.Series([1950 + n for n in numbers], dtype=pl.Int32),
            "genres": [sorted({GENRES[n % 4], GENRES[(n // 4) % 4]}) for n in numbers],
            "touched": [n % 7 for n in numbers],
        }
    )  # fmt: skip
    catalogue.write_parquet(folder / "tables" / "items.parquet")
    pl.DataFrame({"user_id": [900], "role": ["ranker"], "fold": [0]}).write_parquet(folder / "tables" / "roles.parquet")
    seen = pl.DataFrame(
        {
            "user_id": [900] * items,
            "position": range(items),
            "event_id": range(items),
            "item_id": numbers,
            "rating": [4.0] * items,
            "timestamp": range(items),
            "label": [1] * items,
            "expected": [0.3 + 0.01 * n for n in numbers],
        }
    )
    seen.write_parquet(folder / "tables" / "histories.parquet")
    examples = pl.DataFrame(
        {"user_id": [900], "event_id": [99], "item_id": [1], "label": [1], "raters": [10], "likes": [5]}
    )
    examples.write_parquet(folder / "tables" / "examples.parquet")
    return folder


def made_log(users: int = 60, events: int = 14, items: int = 40, seed: int = 0) -> pl.DataFrame:
    """Interactions of some users in the order of their times, users mixed."""
    rng = np.random.default_rng(seed)
    rows = [
        (user, int(item), float(rng.integers(2, 11)) / 2, 1_600_000_000 + 1000 * place + int(rng.integers(900)))
        for user in range(1, users + 1)
        for place, item in enumerate(rng.permutation(items)[: 1 + int(rng.integers(events))] + 1)
    ]
    schema = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("timestamp", "user_id")


def job(run: Path, to: Path | str, log: Path | str, **changes: Any) -> Job:
    """A job with quick settings; what is no setting of a job is one of writing."""
    own = {name: changes.pop(name) for name in list(changes) if name in Job.__dataclass_fields__}
    settings = WritingSettings.model_validate(QUICK | changes)
    place = Place(str(to))
    return Job(run, place, LogSettings(path=str(log)), settings, **({"started": STARTED, "now": STARTED} | own))


def publish(run: Path, to: Path | str, log: Path | str, workers: int = 0, **changes: Any) -> dict[str, Any]:
    """Write and publish."""
    return job(run, to, log, **changes).run(LocalExecutor(LocalSettings(workers=workers)))


def rows_of(place: Place, manifest: dict[str, Any], table: str = "shards") -> pl.DataFrame:
    """All rows of a version, by user."""
    name = manifest["version"]
    files = [
        shard_file(name, s) if table == "shards" else f"versions/{name}/{table}/{s['name']}.parquet"
        for s in manifest["shards"]
    ]
    return pl.concat([place.read_table(file) for file in files]).sort("user_id")


def files_of(place: Place, manifest: dict[str, Any]) -> dict[str, str]:
    """The hash of each shard."""
    return {shard["name"]: shard["sha256"] for shard in manifest["shards"]}


if __name__ == "__main__":
    told = yaml.safe_load(sys.argv[1])
    print("begins", flush=True)
    publish(Path(told.pop("run")), told.pop("to"), told.pop("log"), **told)
