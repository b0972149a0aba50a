"""Ids as they come in files, made one type in all tables: whole numbers where all are, else text."""

from __future__ import annotations

import polars as pl

from trackrec.errors import LogError

MISSING_IDS = ("", "NULL", "null", "NaN", "nan", "NA", "None", "none", "\\N", "<NA>", "N/A")
"""What stands for "no id" in exports. Taken as ids, they would make one person of all who are unknown."""

_MOST = 0.5
_LARGEST = 10**18 - 1
_WHOLE = r"^(?:0|-?[1-9]\d{0,17})$"
_SHORTENED = r"^\d\.\d+E\+\d{2}$"
"""How spreadsheets write numbers that are too long for their cell."""
_OBJECT = r'^(?:\{\s*"[^"]*"\s*:.*\}|\[\s*(?:"|\{|\[|-?\d+\s*,).*\])$'
"""A list or object of JSON; an id such as {6F9619FF-8B86} or [REC] is none."""
_WHOLE_FLOAT = r"^(?:0|-?[1-9]\d{0,17})(?:\.0+)?$"


def clean_ids(column: str, dtype: pl.DataType) -> pl.Expr:
    """The column with spaces around texts taken off and the words for "none" made null."""
    if dtype != pl.String:
        return pl.col(column)
    text = pl.col(column).str.strip_chars()
    return pl.when(~text.is_in(MISSING_IDS)).then(text)


def plain_id(column: str) -> pl.Expr:
    """Whether a text is a whole number as numbers are written, so that nothing is lost by a mere cast (null: none)."""
    text = pl.col(column)
    number = text.cast(pl.Int64, strict=False)
    # What parses otherwise: leading zeros and signs. The limit is that of the pattern below.
    odd = (
        (text.str.starts_with("0") & (text.str.len_bytes() > 1))
        | text.str.starts_with("+")
        | text.str.starts_with("-0")
    )
    return number.is_between(-_LARGEST, _LARGEST).fill_null(False) & ~odd


def id_facts(column: str, dtype: pl.DataType) -> list[pl.Expr]:
    """What has to be known of a whole id column, as aggregates named ``{column}_...``."""
    ids = clean_ids(column, dtype)
    zero = pl.lit(0, pl.UInt32)
    objects = zero
    if dtype == pl.String:
        present = ids.drop_nulls()
        objects = present.str.contains(_OBJECT).sum()
        facts = [(~present.str.contains(_WHOLE)).sum(), (~present.str.contains(_WHOLE_FLOAT)).sum()]
        odd = (pl.col(column) != pl.col(column).str.strip_chars()).sum()
        short = present.str.contains(_SHORTENED).sum()
    elif dtype.is_float():
        exact = 2.0**24 if dtype == pl.Float32 else 2.0**53
        broken = ids.is_finite() & (ids != ids.floor())
        facts, odd, short = (
            [ids.is_not_null().sum(), broken.sum()],
            zero,
            (ids.is_finite() & (ids.abs() >= exact)).sum(),
        )
    else:
        facts, odd, short = [zero, zero], zero, zero
    names = ("not_whole", "not_whole_float", "with_spaces", "shortened", "objects")
    return [fact.alias(f"{column}_{name}") for fact, name in zip([*facts, odd, short, objects], names, strict=True)]


def is_whole(column: str, dtype: pl.DataType, facts: dict[str, int], *, text: bool, where: str) -> bool:
    """Whether all ids of a column are whole numbers.

    Args:
        column: its name.
        dtype: its type in the file.
        facts: what ``id_facts`` found.
        text: the file itself says that the ids are text, even where they look like numbers.
        where: the file, for messages.

    Raises:
        LogError: the column is of a type that holds no ids.
    """
    if dtype in (pl.Categorical, pl.Enum):
        return False
    if dtype == pl.String and facts[f"{column}_shortened"]:
        raise LogError(
            f"{where} holds {facts[f'{column}_shortened']} of its {column} as 1.23457E+11 or so: a spreadsheet has "
            "shortened them, and several have become one; save the table anew with its ids as text"
        )
    if dtype == pl.String and facts[f"{column}_objects"] > _MOST * facts["rows"]:
        raise LogError(nested_value(column, "lists or objects", where))
    if dtype == pl.String:
        return not text and not facts[f"{column}_not_whole_float"]
    if dtype.is_float():
        if facts[f"{column}_shortened"]:
            raise LogError(
                f"{where} holds {facts[f'{column}_shortened']} of its {column} as {dtype} beyond what that holds "
                "exactly, so that several may have become one: save the table anew with its ids as whole "
                "numbers or text"
            )
        if facts[f"{column}_not_whole_float"]:
            raise LogError(f"{where} holds {column} as {dtype} with fractions: expected whole numbers or text")
        return True
    if dtype.is_integer() or dtype == pl.Null:
        return dtype != pl.UInt64
    raise LogError(f"{where} holds {column} as {dtype}: expected whole numbers or text")


def nested_value(column: str, kind: str, where: str) -> str:
    """What is wrong with a column that holds several values in a row, and what to do."""
    return (
        f"{where} holds {column} as {kind}: expected one value a row; if a row holds several interactions, name the "
        "column with their list in columns.nested (lists of the same length beside it go along); of an object, name "
        "the part that is meant, such as user.id"
    )


def read_ids(column: str, dtype: pl.DataType, *, whole: bool) -> pl.Expr:
    """The ids as Int64 (``whole``) or String; null where there is none."""
    ids = clean_ids(column, dtype)
    if dtype == pl.String:
        return (ids.str.replace(r"\.0+$", "").cast(pl.Int64) if whole else ids).alias(column)
    if dtype.is_float():
        ids = pl.when(ids.is_finite()).then(ids).cast(pl.Int64)
    return ids.cast(pl.Int64 if whole else pl.String).alias(column)


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
