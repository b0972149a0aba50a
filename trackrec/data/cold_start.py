"""Cold users and items of a split: those about whom the past says nothing."""

from __future__ import annotations

import polars as pl


def count_cold(interactions: pl.DataFrame, histories: pl.DataFrame, examples: pl.DataFrame) -> dict[str, int]:
    """How much of a split no history, or no earlier interaction of anybody, can help with.

    Args:
        interactions: ``Log.interactions``.
        histories: ``Split.histories``.
        examples: ``Split.examples``.

    Returns:
        ``cold_users``: users of the log without a history. ``cold_items``: items of examples that nobody had touched
        strictly before the example's time; ``examples_of_cold_items``: how many such examples there are.
    """
    first = interactions.group_by("item_id").agg(pl.col("timestamp").min().alias("first"))
    cold = examples.select("item_id", "timestamp").join(first, on="item_id", how="left")
    cold = cold.filter(pl.col("first").is_null() | (pl.col("first") >= pl.col("timestamp")))
    return {
        "cold_users": interactions["user_id"].n_unique() - histories["user_id"].n_unique(),
        "cold_items": cold["item_id"].n_unique(),
        "examples_of_cold_items": cold.height,
    }
