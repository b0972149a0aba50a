"""Texts of files as a study's origins: `user_id, text` of the log's own users."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from trackrec.teachers.texts import read_texts


def texts_of_files(files: Mapping[str, str], users: pl.Series) -> dict[str, pl.DataFrame]:
    """``user_id, text`` of each file, one text a user: the first.

    Args:
        files: path, or name of a shipped file, by the name of the origin.
        users: of the log; texts of anybody else are left out.

    Raises:
        RecipeError: a file is no table of texts.
    """
    known = pl.DataFrame({"user_id": users}).with_columns(key=pl.col("user_id").cast(pl.String))
    found = {}
    for name, path in files.items():
        given = read_texts(path).unique("user_id", keep="first").rename({"user_id": "key"})
        found[name] = known.join(given, on="key", how="inner", maintain_order="left").select("user_id", "text")
    return found
