"""Vectors of items, and how many users and items have one."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from trackrec.features.encoder import Encoder, present_vectors, user_vectors


def item_vectors(texts: pl.DataFrame, encoder: Encoder) -> pl.DataFrame:
    """The table of item vectors.

    Args:
        texts: one row an item, ``item_id, text`` (null: nothing is known of this item), such as
            :func:`trackrec.prompts.texts.item_texts` gives.
        encoder: the users' own encoder, so that both lie in one space.

    Returns:
        ``item_id, vector`` (list of float32, null without a text) ``, has_text``.
    """
    table = user_vectors(texts.select(pl.col("item_id").alias("user_id"), "text"), encoder)
    return table.rename({"user_id": "item_id", "has_reccot": "has_text"})


def vector_coverage(
    examples: pl.DataFrame, users: Mapping[str, pl.DataFrame], items: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """The coverage report: which share of users, items and examples has a vector of each kind.

    Args:
        examples: ``user_id, item_id``: those whom the report is about, such as the ranker users' examples.
        users: name of a kind -> ``user_id, vector``.
        items: name of a kind -> ``item_id, vector``.

    Returns:
        ``kind, of`` ("users" or "items") ``, number, with_vector, share, examples, examples_with_vector,
        examples_share``; shares are null where there is nothing to share.
    """
    rows = []
    for of, key, tables in (("users", "user_id", users), ("items", "item_id", items)):
        ids = examples.select(key).unique()
        for kind, table in tables.items():
            known = present_vectors(table).select(key).unique()
            found, covered = (part.join(known, on=key, how="semi").height for part in (ids, examples.select(key)))
            share = found / ids.height if ids.height else None
            of_examples = covered / examples.height if examples.height else None
            rows.append((kind, of, ids.height, found, share, examples.height, covered, of_examples))
    columns = ["kind", "of", "number", "with_vector", "share", "examples", "examples_with_vector", "examples_share"]
    return pl.DataFrame(rows, schema=columns, orient="row")
