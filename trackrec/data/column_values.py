"""What a column's first values say of it, where its name alone does not tell."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

TRUE = ("1", "1.0", "true", "t", "yes", "y", "like", "liked", "up", "positive", "recommended")
FALSE = ("0", "0.0", "false", "f", "no", "n", "dislike", "disliked", "down", "negative", "not recommended")
"""Words of truth values, in lower case."""

_DAY = 86_400.0
_CALENDAR = {8: _DAY, 10: 3600.0, 12: 60.0, 14: 1.0, 17: 0.001}
"""Digits of a stamp such as 20240531 or 202405311830, and the seconds that it tells apart."""
_YEAR = r"^(?:19[7-9]|20\d|2100)"


def finest(columns: pl.DataFrame) -> list[str]:
    """The columns of times that tell moments apart most finely, in their order; what holds no times is left out."""
    grains = {name: grain for name in columns.columns if (grain := _grain(columns[name])) is not None}
    best = min(grains.values(), default=0.0)
    return [name for name in columns.columns if grains.get(name) == best]


def clicked(values: pl.Series) -> bool:
    """Whether a column holds truth values alone, and both of them; 1 and -1 are such too."""
    if values.dtype.is_nested() or values.dtype == pl.Binary:
        return False
    words = _words(values)
    if set(words) in ({"1", "-1"}, {"1.0", "-1.0"}):
        return True
    if words.is_empty() or not words.is_in([*TRUE, *FALSE]).all():
        return False
    return bool(words.is_in(list(TRUE)).any() and words.is_in(list(FALSE)).any())


def may_be_truth(values: pl.Series) -> bool:
    """Whether a column's first values are truth values, perhaps of one kind alone, so that the others must be seen."""
    if values.dtype.is_nested() or values.dtype == pl.Binary:
        return False
    return bool(_words(values).is_in([*TRUE, *FALSE, "-1"]).all())


def is_day(values: pl.Series) -> bool:
    """Whether a column of times tells days apart, and no hours."""
    return _grain(values) == _DAY


def is_clock(values: pl.Series) -> bool:
    """Whether a column holds times of day alone: 18:30, 18:30:05, 6:30 PM, or 1830 with nothing that is none."""
    if values.dtype == pl.Time:
        return True
    texts = values.cast(pl.String).str.strip_chars().drop_nulls()
    texts = texts.filter(texts != "").str.replace(r"\s*[AaPp]\.?[Mm]\.?$", "")
    texts = pl.select(pl.when(texts.str.contains(r"^\d{1,3}$")).then(texts.str.zfill(4)).otherwise(texts)).to_series()
    hours = texts.str.extract(r"^(\d{1,2}?):?[0-5]\d(?::?[0-5]\d(?:\.\d+)?)?$").cast(pl.Int64)
    return bool(len(texts)) and hours.null_count() == 0 and bool((hours < 24).all())


def few_words(values: pl.Series, most: int = 20) -> bool:
    """Whether a column holds a few different texts, as kinds of events are."""
    return values.dtype in (pl.String, pl.Categorical, pl.Enum) and 1 < values.drop_nulls().n_unique() <= most


def truth_values(column: str) -> pl.Expr:
    """1.0 and 0.0 for the words of truth values; null for anything else."""
    word = pl.col(column).cast(pl.String).str.strip_chars().str.to_lowercase()
    return pl.when(word.is_in(list(TRUE))).then(1.0).when(word.is_in(list(FALSE))).then(0.0)


def _words(values: pl.Series) -> pl.Series:
    return values.cast(pl.String).str.strip_chars().str.to_lowercase().drop_nulls().unique()


def _grain(values: pl.Series) -> float | None:
    """How many seconds lie between two times that a column can tell apart; None if it holds no moments."""
    if values.dtype.is_nested() or values.dtype == pl.Binary:
        return None
    if values.dtype == pl.Date:
        return _DAY
    if values.dtype.is_temporal():
        return None if values.dtype in (pl.Time, pl.Duration) else 1.0
    texts = values.cast(pl.String).str.strip_chars().drop_nulls()
    texts = texts.filter(texts != "")
    if texts.is_empty():
        return None
    if _most(texts, r"^\d+(?:\.\d+)?$"):
        digits = texts.str.extract(r"^(\d+)").str.len_chars().mode()[0]
        if digits in _CALENDAR and _most(texts, _YEAR):
            return _CALENDAR[digits]
        return {9: 1.0, 10: 1.0, 12: 0.001, 13: 0.001, 15: 1e-6, 16: 1e-6, 19: 1e-9}.get(digits)
    if not _most(texts, r"\d{4}|\d+[/.-]\d+[/.-]\d+"):
        return None
    if _most(texts, r"\d:\d\d:\d\d"):
        return 1.0
    return 60.0 if _most(texts, r"\d:\d\d") else _DAY


def _most(texts: pl.Series, pattern: str) -> bool:
    return int(texts.str.contains(pattern).sum()) * 2 > len(texts)


def first_clicked(columns: pl.DataFrame, names: Sequence[str]) -> str:
    """The first of some columns that holds truth values, and both of them; "" if none does."""
    return next((name for name in names if clicked(columns[name])), "")
