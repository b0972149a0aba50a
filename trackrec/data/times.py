"""Times as they come in files, made whole seconds since 1970 (UTC): the form is found once for a whole column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from trackrec.errors import LogError

Kind = Literal[
    "dates", "seconds", "milliseconds", "microseconds", "nanoseconds", "yyyymmdd", "iso", "dmy", "mdy", "format"
]

_PER_SECOND = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_EARLIEST = 10**8
"""Seconds from 1970 to 1973: numbers of 1973 to 5138 in one unit do not overlap with those in another."""
_ISO = r"^\d{4}-\d{2}-\d{2}(?:[T ]+\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:Z|z|UTC|[+-]\d{2}(?::?\d{2})?)?)?$"
_SLASHED = r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?$"
SAMPLE = 10_000
"""Texts that are looked at to find their form."""


@dataclass(frozen=True)
class Times:
    """The form of a column of times."""

    kind: Kind
    format: str = ""

    @property
    def count(self) -> str:
        """The name of the count that states the form, such as ``times_in_milliseconds``."""
        names = {
            "dates": "times_as_dates",
            "iso": "times_as_iso_text",
            "dmy": "times_as_day_month_year",
            "mdy": "times_as_month_day_year",
        }
        names |= {"format": "times_in_the_given_format", "yyyymmdd": "times_as_yyyymmdd"}
        return names.get(self.kind, f"times_in_{self.kind}")


def number_of(column: str, dtype: pl.DataType) -> pl.Expr:
    """The column as whole numbers, floored; null where it holds none."""
    if dtype.is_integer():
        return pl.col(column).cast(pl.Int64, strict=False)
    if dtype.is_float():
        return pl.col(column).floor().cast(pl.Int64, strict=False)
    text = pl.col(column).str.strip_chars()
    return pl.coalesce(
        text.cast(pl.Int64, strict=False), text.cast(pl.Float64, strict=False).floor().cast(pl.Int64, strict=False)
    )


def time_facts(column: str, dtype: pl.DataType, place: str = "") -> list[pl.Expr]:
    """What has to be known of a whole column of numbers or texts, as aggregates named ``{column}_...``.

    Args:
        column: its name.
        dtype: its type.
        place: the column that holds its values, if that has another name.
    """
    number = number_of(place or column, dtype)
    facts = {"present": pl.col(place or column).count(), "numbers": number.count(), "yyyymmdd": _day_of(number).count()}
    for unit, factor in _PER_SECOND.items():
        facts[unit] = _of_unit(number, factor).sum()
    facts["small"] = number.is_between(1, _EARLIEST, closed="left").sum()
    return [fact.alias(f"{column}_{name}") for name, fact in facts.items()]


def find_times(column: str, facts: dict[str, int], sample: pl.Series, given: str, *, where: str, name: str) -> Times:
    """The form in which most values of a column are.

    Args:
        column: its name.
        facts: what ``time_facts`` found.
        sample: some of its texts.
        given: the user's own format, or "".
        where: the file, for messages.
        name: what the file calls the column, for messages.

    Raises:
        LogError: no form fits, or day and month cannot be told apart.
    """
    if given:
        return Times("format", given)
    if facts[f"{column}_numbers"] * 2 >= facts[f"{column}_present"]:
        units: dict[Kind, int] = {kind: facts[f"{column}_{kind}"] for kind in _PER_SECOND}  # type: ignore[misc]
        unit = max(units, key=lambda kind: units[kind])
        small = facts[f"{column}_small"]
        if facts[f"{column}_yyyymmdd"] * 2 > max(small, 1) and small > units[unit]:
            return Times("yyyymmdd")
        return Times(unit if units[unit] >= small else "seconds")
    text = sample.cast(pl.String).str.strip_chars()
    text = text.filter(text != "")
    if text.str.contains(_ISO).sum() * 2 >= len(text):
        return Times("iso")
    slashed = text.filter(text.str.contains(_SLASHED))
    if len(slashed) * 2 >= len(text):
        first, second = (slashed.str.extract(_SLASHED, group).cast(pl.Int64) for group in (1, 2))
        day_first, month_first = (second <= 12).sum(), (first <= 12).sum()
        if day_first != month_first:
            return Times("dmy" if day_first > month_first else "mdy")
        raise LogError(
            f"{where}: the times in {name!r}, such as {slashed[0]!r}, may be day first or month first; "
            "say which in columns.timestamp_format, such as %d/%m/%Y"
        )
    raise LogError(
        f"{where}: the times in {name!r}, such as {text[0]!r}, are neither numbers nor dates as 2024-05-31T18:00:00; "
        "say how to read them in columns.timestamp_format, such as %d %b %Y"
    )


def read_times(column: str, dtype: pl.DataType, times: Times) -> pl.Expr:
    """Whole seconds since 1970 as Int64; null where the value is none. Texts without a zone are taken as UTC."""
    if dtype.is_temporal():
        return pl.col(column).dt.epoch("s").cast(pl.Int64)
    if times.kind in _PER_SECOND:
        return number_of(column, dtype) // _PER_SECOND[times.kind]
    if times.kind == "yyyymmdd":
        return _day_of(number_of(column, dtype))
    text = pl.col(column).cast(pl.String).str.strip_chars()
    if times.kind == "format":
        return text.str.to_datetime(times.format, strict=False, time_unit="us").dt.epoch("s").cast(pl.Int64)
    if times.kind == "iso":
        return _iso_seconds(text)
    day, month = (1, 2) if times.kind == "dmy" else (2, 1)
    part = [text.str.extract(_SLASHED, group) for group in range(7)]
    date = pl.concat_str([part[3], part[month].str.zfill(2), part[day].str.zfill(2)], separator="-")
    clock = [part[4].str.zfill(2).fill_null("00"), part[5].fill_null("00"), part[6].fill_null("00")]
    return _iso_seconds(pl.concat_str([date, pl.concat_str(clock, separator=":")], separator=" "))


def in_another_unit(column: str, dtype: pl.DataType, times: Times) -> pl.Expr:
    """Whether a number cannot be in the column's unit, but would be a plausible time in another one."""
    if dtype.is_temporal() or times.kind not in _PER_SECOND:
        return pl.lit(False)
    number, factor = number_of(column, dtype), _PER_SECOND[times.kind]
    others = [_of_unit(number, other) for other in _PER_SECOND.values() if other != factor]
    return pl.any_horizontal(others)


def _of_unit(number: pl.Expr, factor: int) -> pl.Expr:
    top = min(_EARLIEST * factor * 1000, 2**63 - 1)
    return number.is_between(_EARLIEST * factor, top, closed="left")


def _day_of(number: pl.Expr) -> pl.Expr:
    """Seconds of the day that a number such as 20140531 writes; null where it writes none."""
    text = pl.when(number.is_between(19_700_101, 21_001_231)).then(number).cast(pl.String)
    return text.str.to_date("%Y%m%d", strict=False).dt.epoch("s").cast(pl.Int64)


def _iso_seconds(text: pl.Expr) -> pl.Expr:
    date = text.str.extract(r"^(\d{4}-\d{2}-\d{2})(?:$|[T ])")
    clock = text.str.extract(r"[T ]+(\d{2}:\d{2}(?::\d{2})?)")
    clock = pl.when(clock.str.len_chars() == 5).then(clock + ":00").otherwise(clock).fill_null("00:00:00")
    local = (date + " " + clock).str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us").dt.epoch("s")
    sign = text.str.extract(r"\d{2}:\d{2}[^+-]*([+-])\d{2}(?::?\d{2})?$")
    hours = text.str.extract(r"\d{2}:\d{2}[^+-]*[+-](\d{2})(?::?\d{2})?$").cast(pl.Int64).fill_null(0)
    minutes = text.str.extract(r"\d{2}:\d{2}[^+-]*[+-]\d{2}:?(\d{2})$").cast(pl.Int64).fill_null(0)
    offset = pl.when(sign == "-").then(-1).otherwise(1) * (hours * 3600 + minutes * 60)
    return pl.when(text.str.contains(_ISO)).then(local.cast(pl.Int64) - offset)
