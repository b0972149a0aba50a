"""New interactions for a finished run: whose RecCoT should be written anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.filters import filter_log
from trackrec.data.log import Log
from trackrec.data.log_updates import REASONS, RefreshSettings, grow_log, histories_after, list_refresh
from trackrec.data.open_table import TableSettings
from trackrec.data.sources import TABLES, read_log
from trackrec.data.split import split_log
from trackrec.data.tabular import TablesSettings, read_tables
from trackrec.errors import RecipeError, RunError
from trackrec.files.forgotten import Forgotten
from trackrec.files.manifests import as_written
from trackrec.files.tables import read_table
from trackrec.pipeline.dataset import log_without
from trackrec.pipeline.own_recipe import merged
from trackrec.recipe import Recipe, load_recipe
from trackrec.yaml_text import read_yaml


@dataclass(frozen=True)
class Updates:
    """What new interactions change."""

    refresh: pl.DataFrame
    """See ``list_refresh``."""
    counts: dict[str, int]


def refresh_settings(changes: Sequence[str]) -> RefreshSettings:
    """The settings with ``key=value`` changes.

    Raises:
        RecipeError: a key is unknown, or a value cannot be.
    """
    values = {
        key: read_yaml(value, f"--set {key}: the value")
        for key, _, value in (change.partition("=") for change in changes)
    }
    try:
        return RefreshSettings.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        known = ", ".join(RefreshSettings.model_fields)
        raise RecipeError(
            f"--set {problem['loc'][0]}: {problem['msg']}, got {problem['input']!r}; known: {known}"
        ) from error


def find_updates(
    folder: Path, interactions: str, items: str, changes: Mapping[str, Any], settings: RefreshSettings
) -> Updates:
    """Whose history changed enough.

    The log of the run is read again from its source; the histories that its RecCoTs were written from are those of the
    run. Nothing in the run is changed.

    Args:
        folder: of a run whose RecCoTs are written.
        interactions: file of the new interactions.
        items: file of the catalogue as it is now; "": that of the run.
        changes: columns asked for, as a tree of recipe settings.
        settings: how much is enough.

    Raises:
        RunError: the folder holds no finished run, or the run's log is no longer what it was.
        LogError: the new interactions cannot be used.
    """
    path = folder / "recipe.yaml"
    texts = folder / "reccots.parquet"
    if not path.is_file() or not texts.is_file():
        raise RunError(f"{folder} holds no finished run (no {path.name if not path.is_file() else texts.name}): "
                       "expected the folder of one whose RecCoTs are written")  # fmt: skip
    recipe = load_recipe(path)
    forgotten = Forgotten.of(folder)
    log = log_without(read_log(recipe.source), forgotten)
    before = read_table(as_written(folder, folder / "tables" / "histories.parquet"))
    again = split_log(filter_log(log, recipe.filters), recipe.split.model_copy(update={"recent": 0}), recipe.feedback)
    before = before.select(again.histories.columns)  # the run keeps more of each event, such as what others think
    if not again.histories.sort("user_id", "position").equals(before.sort("user_id", "position")):
        raise RunError(
            f"the log of {folder} is no longer the one that its RecCoTs were written from: its source has changed. "
            "Give the source as it was, and what is new in a file of its own"
        )
    grown, touched = grow_log(log, log_without(_read_new(recipe, log, interactions, items, changes), forgotten))
    now = histories_after(grown, touched, before, recipe.split, recipe.feedback, recipe.filters)
    kept = read_table(as_written(folder, texts), columns=["user_id", "kind"]).filter(pl.col("kind") == "kept")
    written = kept["user_id"].unique()
    newest = int(grown.interactions.select(pl.col("timestamp").max()).item())
    refresh = list_refresh(before, now, written, touched, newest, settings)
    reasons = dict(refresh.group_by("reason").len().iter_rows())
    counts = {
        "new_interactions": grown.counts["new_rows"],
        "known_before": grown.counts["new_rows_known_before"],
        "new_items_in_the_catalogue": grown.counts["new_items"],
        "users_with_new_interactions": len(touched),
        "users_with_a_reccot": len(written),
        **{f"to_refresh_by_{reason}": int(reasons.get(reason, 0)) for reason in REASONS},
    }
    return Updates(refresh, counts)


def _read_new(recipe: Recipe, log: Log, interactions: str, items: str, changes: Mapping[str, Any]) -> Log:
    """The new interactions, with the catalogue that is given, or else what is known of items."""
    asked = changes.get("source", {}).get("tables", {}).get("columns", {})
    if recipe.source.source == TABLES:
        tables = recipe.source.tables
        columns = ColumnMapping.model_validate(merged(tables.columns.model_dump(), asked))
        form = tables.interactions.model_copy(update={"path": interactions, "query": ""})
        catalogue = TableSettings(path=items) if items else tables.items
        return read_tables(
            tables.model_copy(
                update={"interactions": form, "items": catalogue, "users": TableSettings(), "columns": columns}
            )
        )
    given = {"interactions": interactions, "items": items, "columns": dict(asked)}
    new = read_tables(TablesSettings.model_validate(given))
    if items:
        return new
    rows = new.interactions.with_columns(pl.col("item_id").cast(log.items.schema["item_id"], strict=False))
    return Log.checked(rows, log.items, where=interactions)
