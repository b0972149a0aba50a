"""Why ids of one table are not found in another: leading zeros that a spreadsheet took, other letters, a ".0", ..."""

from __future__ import annotations

import polars as pl

from trackrec.errors import LogError

_HALF = 0.5
_LOST = 0.2
"""From this share of lost rows on, leading zeros are an error: the table was damaged when it was saved."""

_text = pl.col("id")
_WAYS: dict[str, pl.Expr] = {
    "leading zeros": _text.str.strip_chars_start("0"),
    "a '.0' at their end": _text.str.replace(r"\.0+$", ""),
    "how their accents are composed (Unicode NFC and NFD)": _text.str.normalize("NFC"),
    "capital and small letters": _text.str.to_lowercase(),
    "spaces and punctuation": _text.str.replace_all(r"[^\p{L}\p{N}]", "").str.to_lowercase(),
    "what stands before their number": _text.str.extract(r"(\d+)$").str.strip_chars_start("0"),
}
"""Ways in which ids of two tables differ, and the ids without it."""


def explain_missing_ids(column: str, rows: pl.DataFrame, known: pl.DataFrame, *, where: str, drops: bool) -> str:
    """In words, how ids that another table lacks differ from those that it has; "" if no way fits most of them.

    Args:
        column: user_id or item_id.
        rows: the interactions, with that column.
        known: the other table, with that column.
        where: the other table, for messages.
        drops: interactions whose id the other table lacks are left out.

    Raises:
        LogError: so many rows would be lost for it that the other table must have been damaged.
    """
    ids, others = rows[column].drop_nulls(), known[column].drop_nulls().unique()
    if ids.is_empty() or ids.dtype != others.dtype:
        return ""
    lost = ids.filter(~ids.is_in(others.implode()))
    if lost.is_empty():
        return ""
    missing = lost.unique().sort().cast(pl.String).alias("id").to_frame()
    there = others.cast(pl.String).alias("id").to_frame()
    for what, bare in _WAYS.items():
        pairs = missing.with_columns(bare.alias("bare")).join(
            there.select(pl.col("id").alias("other"), bare.alias("bare")), on="bare"
        )
        found = pairs.unique("id", maintain_order=True).sort("id")
        if found.height > _HALF * missing.height:
            share, article = len(lost) / len(ids), "an" if column.startswith("i") else "a"
            words = (
                f"{len(lost)} of {len(ids)} interactions have {article} {column} that {where} lacks, and "
                f"{found.height} of these {missing.height} ids differ by {what} alone, such as {found['id'][0]!r} "
                f"there {found['other'][0]!r}"
            )
            if drops and (share == 1 or (what == "leading zeros" and share >= _LOST)):
                raise LogError(
                    f"{words}: write the ids alike in both tables; a table that was saved as numbers is to be "
                    "saved again with its ids as text (pandas: read_csv(..., dtype=str))"
                )
            return words
    return ""
