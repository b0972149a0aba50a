"""Items that count as never seen before, so that what is known of them is all that a model has to go by."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from trackrec.data.log import stable_hash
from trackrec.data.roles import Role
from trackrec.data.split import Split
from trackrec.errors import LogError

NEW = "new"
"""The examples' column that says whether the item is new; only there when some items are."""


def draw_new_items(item_ids: pl.Series, share: float, seed: int) -> pl.Series:
    """The items that are new, by a hash of the seed and the id: the same whatever else is in the catalogue.

    Args:
        item_ids: of the catalogue.
        share: of the items, 0 to 1.
        seed: of the draw.
    """
    drawn = [stable_hash(f"{seed}/new/{item}") % 10_000 < share * 10_000 for item in item_ids.to_list()]
    return item_ids.filter(pl.Series(drawn, dtype=pl.Boolean))


def without_new_items(split: Split, new: pl.Series) -> Split:
    """The split as if nobody had ever met the new items before an example.

    Histories and the ``recent_...`` lists lose their events; positions are counted anew. Examples keep them and say so
    in the column ``new``. Users whose history, or whose examples, are nothing else are left out.

    Raises:
        LogError: nobody is left.
    """
    gone = new.implode()
    histories = split.histories.filter(~pl.col("item_id").is_in(gone))
    histories = histories.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).over("user_id").alias("position"))
    others = split.examples.filter(~pl.col("item_id").is_in(gone))["user_id"].unique()
    histories = histories.filter(pl.col("user_id").is_in(others.implode()))
    kept = histories["user_id"].unique()
    if kept.is_empty():
        raise LogError("split.new_items leaves nobody both a history and examples: lower it")
    examples = split.examples.filter(pl.col("user_id").is_in(kept.implode()))
    examples = _recent_without(examples, gone).with_columns(pl.col("item_id").is_in(gone).alias(NEW))
    counts = split.counts | {
        "users": kept.len(),
        "histories": histories.height,
        "examples": examples.height,
        "new_items": new.len(),
        "examples_of_new_items": int(examples[NEW].sum()),
        "dropped_with_new_items_alone": split.histories["user_id"].n_unique() - kept.len(),
    }
    return replace(split, histories=histories, examples=examples, counts=counts)


def _recent_without(examples: pl.DataFrame, gone: pl.Series) -> pl.DataFrame:
    lists = [name for name in examples.columns if name.startswith("recent_")]
    rows = examples.select(*lists).with_row_index("row").explode(lists)
    rows = rows.filter(pl.col("recent_item_ids").is_not_null() & ~pl.col("recent_item_ids").is_in(gone))
    kept = rows.group_by("row", maintain_order=True).agg(lists)
    every = pl.DataFrame({"row": pl.int_range(examples.height, dtype=pl.UInt32, eager=True)})
    kept = every.join(kept, on="row", how="left", maintain_order="left")
    empty = [pl.col(name).fill_null(pl.lit([], dtype=kept.schema[name])) for name in lists]
    return examples.with_columns(kept.with_columns(empty).select(lists))


def to_learn_from(examples: pl.DataFrame, roles: pl.DataFrame) -> pl.DataFrame:
    """The examples without those of new items, but for ranker users, on whom new items are tested."""
    if NEW not in examples.columns:
        return examples
    tested = roles.filter(pl.col("role") == Role.RANKER)["user_id"].implode()
    return examples.filter(~pl.col(NEW) | pl.col("user_id").is_in(tested))


def known_items(examples: pl.DataFrame) -> pl.DataFrame:
    """Examples to train a ranker on: without those of new items."""
    return examples.filter(~pl.col(NEW)) if NEW in examples.columns else examples
