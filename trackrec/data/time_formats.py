"""Forms of times that a pattern tells: months by name, and dates that are written as one number."""

from __future__ import annotations

import itertools
import re

import polars as pl

_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %H:%M:%S", ", %I:%M %p")
_NAMED = ("%d %B %Y", "%d-%B-%Y", "%d/%B/%Y", "%d.%B.%Y", "%d. %B %Y", "%B %d, %Y", "%B %d %Y", "%Y-%B-%d",
          "%Y %B %d", "%d-%B-%y", "%A, %B %d, %Y", "%A, %d %B %Y", "%A %d %B %Y")  # fmt: skip
_WHOLE = ("%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S %z", "%d %b %Y %H:%M:%S %z", "%m %d, %Y", "%b %d %Y %I:%M%p",
          "%Y年%m月%d日")  # fmt: skip
"""As C's ctime, web servers, mail headers without a day, Amazon, SQL Server and Chinese tables write them."""
_SHORT_YEARS = ("%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d")
NUMBERED = ("%d%m%Y", "%m%d%Y", "%y%m%d", "%Y%j")
"""Dates as one number, which may be a number of seconds too."""
_WIDTHS = {"%d": 2, "%m": 2, "%y": 2, "%Y": 4, "%H": 2, "%M": 2, "%S": 2, "%j": 3}


def named_format(sample: pl.Series) -> str:
    """The form with a month's name, or of a known writer, in which all texts are; "" if there is none.

    In these no number can be mistaken for another one: day, month and year are told apart by the name or the place.
    """
    forms = (date + clock for date, clock in itertools.product(_NAMED, _CLOCKS))
    return next((form for form in (*_WHOLE, *forms) if _fits(sample, form)), "")


def fitting_formats(sample: pl.Series) -> str:
    """The forms with years of two digits that all texts may have, in words; "" if there are none."""
    forms = [date + clock for date, clock in itertools.product(_SHORT_YEARS, _CLOCKS)]
    return " or ".join(form for form in forms if _fits(sample, form))


def like_dates(number: pl.Expr, shape: str) -> pl.Expr:
    """Whether a number may be a date without marks in it, as ``shape`` says."""
    if shape == "%Y%j":
        return number.is_between(1_970_001, 2_100_366) & (number % 1000).is_between(1, 366)
    if shape == "%y%m%d":
        return number.is_between(10_101, 991_231) & _in_calendar(number // 100 % 100, number % 100)
    first, second = number // 1_000_000, number // 10_000 % 100
    day, month = (first, second) if shape == "%d%m%Y" else (second, first)
    return (
        number.is_between(1_011_970, 31_122_100) & (number % 10_000).is_between(1970, 2100) & _in_calendar(month, day)
    )


def padded(text: pl.Expr, form: str) -> pl.Expr:
    """The text with the zeros that a form of digits alone asks for, which a number has lost: 1052024 for 01052024."""
    parts = re.findall(r"%[a-zA-Z]", form)
    if "".join(parts) != form or any(part not in _WIDTHS for part in parts):
        return text
    return text.str.zfill(sum(_WIDTHS[part] for part in parts))


def _in_calendar(month: pl.Expr, day: pl.Expr) -> pl.Expr:
    return month.is_between(1, 12) & day.is_between(1, 31)


def _fits(sample: pl.Series, form: str) -> bool:
    texts = sample.cast(pl.String).str.strip_chars()
    try:
        read = texts.str.to_datetime(form, strict=False, time_unit="us")
    except pl.exceptions.PolarsError:
        return False
    return len(texts) > 0 and read.null_count() == 0
