"""Times as they come in files, made whole seconds since 1970 (UTC): the form is found once for a whole column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from trackrec.data.time_formats import NUMBERED, fitting_formats, like_dates, named_format, padded
from trackrec.errors import LogError

Kind = Literal[
    "dates", "seconds", "milliseconds", "microseconds", "nanoseconds", "iso", "dmy", "mdy", "ymd", "format", "compact",
    "named", "mail", "yyyymmdd", "yyyymmddhh", "yyyymmddhhmm", "yyyymmddhhmmss", "yyyymmddhhmmssmmm",
    "yyyymm", "yyyy", "serial", "ticks", "filetime", "webkit",
]  # fmt: skip

_PER_SECOND = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_EARLIEST = 10**8
"""Seconds from 1970 to 1973: numbers of 1973 to 5138 in one unit do not overlap with those in another."""
_EPOCHS: dict[Kind, tuple[int, int]] = {
    "ticks": (10**7, 62_135_596_800), "filetime": (10**7, 11_644_473_600), "webkit": (10**6, 11_644_473_600),
}  # fmt: skip
"""Clocks that began earlier: units a second, and seconds before 1970 (.NET: year 1; Windows and Chrome: 1601)."""
_EPOCHS_SEEN = (631_152_000, 2_051_222_400)
"""Such a clock is recognised from 1990 to 2035. Taken for nanoseconds, its times would all lie within half a year."""
_ISO = (
    r"^\d{4}-\d{2}-\d{2}(?:[Tt ]+\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*"
    r"(?:Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?(?:\[[^\]]*\])?)?$"
)
_CLOCK = r"(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?(?:\s*([AaPp])\.?[Mm]\.?)?)?$"
_SLASHED = r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})" + _CLOCK
_YEAR_FIRST = r"^(\d{4})[/.-](\d{1,2})(?:[/.-](\d{1,2}))?" + _CLOCK
_COMPACT = r"^(\d{4})(\d{2})(\d{2})[T _-](\d{2}):?(\d{2}):?(\d{2})?(?:[.,]\d+)?Z?$"
_FORMATS: dict[Kind, str] = {"named": "%a %b %d %H:%M:%S %z %Y", "mail": "%a, %d %b %Y %H:%M:%S %z"}
"""Sat Jan 01 00:00:00 -0800 2011, as Twitter and Goodreads write it, and the form of mail headers."""
_STAMPS: dict[Kind, int] = {"yyyy": 4, "yyyymm": 6, "yyyymmdd": 8, "yyyymmddhh": 10, "yyyymmddhhmm": 12,
                            "yyyymmddhhmmss": 14, "yyyymmddhhmmssmmm": 17}  # fmt: skip
"""Stamps that write the calendar as one number, by their number of digits."""
_NEARLY_ALL = 0.9
_SERIAL_OF_1970 = 25_569
_SERIALS = (_SERIAL_OF_1970, 73_050)
"""Days since 1899-12-30, as spreadsheets count them, of 1970 to 2100."""
_SERIALS_SEEN = (32_874, 49_310)
"""Of 1990 to 2035: where all numbers lie between these, none is near a beginning that seconds are counted from."""
SAMPLE = 100
"""Texts that are kept for messages; the form is found from all of them."""


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
            "ymd": "times_as_year_month_day",
            "compact": "times_as_iso_text_without_dashes",
            "named": "times_as_text_with_names_of_days",
            "mail": "times_as_in_mail_headers",
            "format": "times_in_the_given_format",
            "serial": "times_as_days_of_a_spreadsheet",
            "ticks": "times_in_ticks_since_the_year_1",
            "filetime": "times_in_ticks_since_1601",
            "webkit": "times_in_microseconds_since_1601",
        }
        return names.get(self.kind, f"times_{'as' if self.kind in _STAMPS else 'in'}_{self.kind}")


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


def _float_of(column: str, dtype: pl.DataType) -> pl.Expr:
    """The column as numbers with their fractions; null where it holds none."""
    return (pl.col(column).str.strip_chars() if dtype == pl.String else pl.col(column)).cast(pl.Float64, strict=False)


def time_facts(column: str, dtype: pl.DataType, place: str = "") -> list[pl.Expr]:
    """What has to be known of a whole column of numbers or texts, as aggregates named ``{column}_...``.

    Args:
        column: its name.
        dtype: its type.
        place: the column that holds its values, if that has another name.
    """
    number = number_of(place or column, dtype)
    facts: dict[str, pl.Expr] = {"present": pl.col(place or column).count(), "numbers": number.count()}
    facts |= {kind: _of_stamp(number, kind).count() for kind in _STAMPS}
    for unit, factor in _PER_SECOND.items():
        facts[unit] = _of_unit(number, factor).sum()
    for kind, (factor, before) in _EPOCHS.items():
        low, high = ((moment + before) * factor for moment in _EPOCHS_SEEN)
        facts[kind] = number.is_between(low, high).sum()
    facts |= {shape: like_dates(number, shape).sum() for shape in NUMBERED}
    serial = _float_of(place or column, dtype)
    serial = pl.when(serial.is_between(*_SERIALS)).then(serial)
    facts["serial"], facts["serial_with_hours"] = serial.count(), (serial != serial.floor()).sum()
    facts["serial_days"] = number.is_between(*_SERIALS_SEEN).sum()
    facts["small"] = number.is_between(1, _EARLIEST, closed="left").sum()
    if dtype == pl.String:
        text = pl.col(place or column).str.strip_chars()
        facts["texts"] = (text != "").sum()
        for kind, pattern in (("iso", _ISO), ("ymd", _YEAR_FIRST), ("compact", _COMPACT), ("slashed", _SLASHED)):
            facts[kind] = text.str.contains(pattern).sum()
        for name, group in (("day_first", 2), ("month_first", 1)):
            facts[name] = (text.str.extract(_SLASHED, group).cast(pl.Int64) <= 12).sum()
        for kind in _FORMATS:
            facts[kind] = _formatted(text, kind).count()
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
    seen = {name.removeprefix(f"{column}_"): number for name, number in facts.items() if name.startswith(f"{column}_")}
    if seen["numbers"] * 2 >= seen["present"]:
        units: dict[Kind, int] = {kind: seen[kind] for kind in _PER_SECOND}  # type: ignore[misc]
        unit = max(units, key=lambda kind: units[kind])
        # A number of so many digits that is a day and an hour of the calendar throughout is that, whatever unit its
        # size would speak for: read as milliseconds, 202204211900 would be a day in 1976.
        for kind in _STAMPS:
            if kind != "yyyymmdd" and seen[kind] >= _NEARLY_ALL * seen["numbers"] > 0:
                return Times(kind)
        for kind in _EPOCHS:
            if seen[kind] >= _NEARLY_ALL * seen["numbers"] > 0:
                return Times(kind)
        if seen["serial_with_hours"] * 2 > seen["serial"] >= _NEARLY_ALL * seen["numbers"]:
            return Times("serial")
        if seen["serial_days"] >= _NEARLY_ALL * seen["numbers"] > 0:
            return Times("serial")
        if seen["yyyymmdd"] * 2 > max(seen["small"], 1) and seen["small"] > units[unit]:
            return Times("yyyymmdd")
        if units[unit] >= seen["small"]:
            return Times(unit)
        for shape in NUMBERED:
            if seen[shape] >= _NEARLY_ALL * seen["numbers"] > 0:
                raise LogError(
                    f"{where}: the times in {name!r}, such as {sample[0]}, look like dates without marks between day, "
                    f"month and year: say so in columns.timestamp_format ({shape}), or write them as 2024-05-31"
                )
        return Times("seconds")
    first = sample.cast(pl.String)[0]
    texts: dict[Kind, int] = {kind: seen.get(kind, 0) for kind in ("iso", "compact", "ymd", *_FORMATS)}
    kind = max(texts, key=lambda kind: texts[kind])
    if texts[kind] * 2 >= seen["texts"]:
        return Times(kind)
    if seen["slashed"] * 2 >= seen["texts"]:
        if seen["day_first"] != seen["month_first"]:
            return Times("dmy" if seen["day_first"] > seen["month_first"] else "mdy")
        raise LogError(
            f"{where}: the times in {name!r}, such as {first!r}, may be day first or month first; "
            "say which in columns.timestamp_format, such as %d/%m/%Y"
        )
    if named := named_format(sample):
        return Times("format", named)
    raise LogError(
        f"{where}: the times in {name!r}, such as {first!r}, are neither numbers nor dates as 2024-05-31T18:00:00; "
        f"say how to read them in columns.timestamp_format, such as {fitting_formats(sample) or '%d %b %Y'}"
    )


def read_times(column: str, dtype: pl.DataType, times: Times) -> pl.Expr:
    """Whole seconds since 1970 as Int64; null where the value is none. Texts without a zone are taken as UTC."""
    if dtype.is_temporal():
        return pl.col(column).dt.epoch("s").cast(pl.Int64)
    if times.kind in _PER_SECOND:
        return number_of(column, dtype) // _PER_SECOND[times.kind]
    if times.kind == "serial":
        days = _float_of(column, dtype) - _SERIAL_OF_1970
        return (days * 86_400).round().cast(pl.Int64, strict=False)
    if times.kind in _STAMPS:
        return _of_stamp(number_of(column, dtype), times.kind)
    if times.kind in _EPOCHS:
        factor, before = _EPOCHS[times.kind]
        return number_of(column, dtype) // factor - before
    text = pl.col(column).cast(pl.String).str.strip_chars()
    if times.kind == "format":
        text = padded(text, times.format)
        return text.str.to_datetime(times.format, strict=False, time_unit="us").dt.epoch("s").cast(pl.Int64)
    if times.kind == "iso":
        return _iso_seconds(text)
    if times.kind in _FORMATS:
        return _formatted(text, times.kind)
    day, month, year, pattern = {
        "dmy": (1, 2, 3, _SLASHED), "mdy": (2, 1, 3, _SLASHED), "ymd": (3, 2, 1, _YEAR_FIRST),
        "compact": (3, 2, 1, _COMPACT),
    }[times.kind]  # fmt: skip
    part = [text.str.extract(pattern, group) for group in range(8 if pattern != _COMPACT else 7)]
    if pattern == _YEAR_FIRST:  # 2024-05 is its first day
        part[day] = pl.when(part[year].is_not_null()).then(part[day].fill_null("01"))
    date = pl.concat_str([part[year], part[month].str.zfill(2), part[day].str.zfill(2)], separator="-")
    hour = part[4]
    if pattern != _COMPACT:  # 12 PM is noon, 12 AM midnight
        twelve = hour.cast(pl.Int64) % 12 + pl.when(part[7].str.to_lowercase() == "p").then(12).otherwise(0)
        hour = pl.when(part[7].is_null()).then(hour).otherwise(twelve.cast(pl.String))
    clock = [hour.str.zfill(2).fill_null("00"), part[5].fill_null("00"), part[6].fill_null("00")]
    return _iso_seconds(pl.concat_str([date, pl.concat_str(clock, separator=":")], separator=" "))


def clock_seconds(column: str, dtype: pl.DataType) -> pl.Expr:
    """Seconds since midnight of a time of day: 18:30, 18:30:05, 6:30 PM, or 1830; 0 where there is none."""
    if dtype == pl.Time:
        text = pl.col(column).dt.to_string("%H:%M:%S")
    else:
        text = pl.col(column).cast(pl.String).str.strip_chars()
    half = text.str.extract(r"([AaPp])\.?[Mm]\.?$").str.to_lowercase()
    digits = text.str.replace(r"\s*[AaPp]\.?[Mm]\.?$", "").str.replace_all(":", "", literal=True)
    digits = digits.str.extract(r"^(\d{1,6})(?:\.\d+)?$")
    # 1830 has no seconds; 9:05 no leading zero.
    whole = pl.when(digits.str.len_chars() <= 4).then(digits.str.zfill(4) + "00").otherwise(digits.str.zfill(6))
    hour, minute, second = (whole.str.slice(place, 2).cast(pl.Int64) for place in (0, 2, 4))
    twelve = hour % 12 + pl.when(half == "p").then(12).otherwise(0)
    hour = pl.when(half.is_null()).then(hour).otherwise(twelve)
    return (hour * 3600 + minute * 60 + second).fill_null(0)


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


def _of_stamp(number: pl.Expr, kind: Kind) -> pl.Expr:
    """Seconds of the moment that a number such as 20140531 or 201405311830 writes; null where it writes none."""
    digits = _STAMPS[kind]
    low, high = 1970 * 10 ** (digits - 4), 2101 * 10 ** (digits - 4)
    text = pl.when(number.is_between(low, high, closed="left")).then(number).cast(pl.String)
    # What is not there is the first of January, at 00:00:00; a part out of its range makes no moment.
    whole = pl.concat_str([text, pl.lit("0101"[min(digits - 4, 4) :] + "000000")])
    day = whole.str.slice(0, 8).str.to_date("%Y%m%d", strict=False).dt.epoch("s")
    hour, minute, second = (whole.str.slice(place, 2).cast(pl.Int64) for place in (8, 10, 12))
    return pl.when((hour < 24) & (minute < 60) & (second < 60)).then(
        day.cast(pl.Int64) + hour * 3600 + minute * 60 + second
    )


def _formatted(text: pl.Expr, kind: Kind) -> pl.Expr:
    plain = text.str.replace(r"(?:GMT|UTC|Z)$", "+0000")
    return plain.str.to_datetime(_FORMATS[kind], strict=False, time_unit="us").dt.epoch("s").cast(pl.Int64)


def _iso_seconds(text: pl.Expr) -> pl.Expr:
    text = text.str.replace(r"\[[^\]]*\]$", "")  # the zone's name, after its distance
    date = text.str.extract(r"^(\d{4}-\d{2}-\d{2})(?:$|[Tt ])")
    clock = text.str.extract(r"[Tt ]+(\d{2}:\d{2}(?::\d{2})?)")
    clock = pl.when(clock.str.len_chars() == 5).then(clock + ":00").otherwise(clock).fill_null("00:00:00")
    local = (date + " " + clock).str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us").dt.epoch("s")
    sign = text.str.extract(r"\d{2}:\d{2}[^+-]*([+-])\d{2}(?::?\d{2})?$")
    hours = text.str.extract(r"\d{2}:\d{2}[^+-]*[+-](\d{2})(?::?\d{2})?$").cast(pl.Int64).fill_null(0)
    minutes = text.str.extract(r"\d{2}:\d{2}[^+-]*[+-]\d{2}:?(\d{2})$").cast(pl.Int64).fill_null(0)
    offset = pl.when(sign == "-").then(-1).otherwise(1) * (hours * 3600 + minutes * 60)
    return pl.when(text.str.contains(_ISO)).then(local.cast(pl.Int64) - offset)
