"""Vectors of items."""

from __future__ import annotations

import polars as pl

from trackrec.features.encoder import Encoder, user_vectors


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
