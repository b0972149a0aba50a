"""Numbers as they are written: with a decimal point or comma, marks between thousands, units, or as truth values.

The form is found once for a whole column. Where ``1,200`` may be 1200 or 1.2, the other values tell; where they do not,
that is an error that asks.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import polars as pl

from trackrec.data.column_values import truth_values
from trackrec.errors import LogError

_SPACES = r"[ \u00a0\u2009\u202f'’_]"
_SIGN = r"^[+-]?"
_CODES = "USD|EUR|GBP|JPY|CHF|INR|CNY|RUB|BRL|PLN|SEK|NOK|DKK|CAD|AUD|KRW|MXN|TRY"
_MONEY = rf"(?:[A-Z]{{0,2}}[$€£¥₹₽₩₺₫฿]|{_CODES})"
_PERCENT = r"\s*%$"
THOUSANDS = r"^\s*[+-]?[1-9]\d{0,2}(?:\.\d{3})+\s*$"
"""What is a number as it stands, but may be a thousand times as much."""
_FORMS = {
    "whole": _SIGN + r"\d+$",
    "whole_from_1000": _SIGN + r"[1-9]\d{3,}$",
    "over_ten": _SIGN + r"(?:[1-9]\d|[1-9]\d{2,})(?:[.,]\d+)*$",
    "point": _SIGN + r"\d*\.\d*$",
    "comma": _SIGN + r"\d*,\d*$",
    "comma_groups": _SIGN + r"[1-9]\d{0,2}(?:,\d{3})+$",
    "point_groups": _SIGN + r"[1-9]\d{0,2}(?:\.\d{3})+$",
    "many_comma_groups": "|".join(
        _SIGN + form
        for form in (
            r"[1-9]\d{0,2}(?:,\d{3}){2,}$",
            r"[1-9]\d{0,2}(?:,\d{3})+\.\d+$",
            r"\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?$",  # 1,50,000, as in India
        )
    ),
    "many_point_groups": _SIGN + r"[1-9]\d{0,2}(?:\.\d{3}){2,}$|" + _SIGN + r"[1-9]\d{0,2}(?:\.\d{3})+,\d+$",
}


class NumberForm(NamedTuple):
    """How the numbers of a column are written."""

    decimal: Literal[".", ","]
    groups: str
    """What stands between thousands; "": nothing."""
    truths: bool = False
    """They are words such as true and false, or yes and no."""
    told: str = ""
    """How one was read, in words, where a reader may wonder: "1,200 as 1200"; "": plain numbers."""


def number_facts(column: str, dtype: pl.DataType) -> list[pl.Expr]:
    """What has to be known of a whole column, as aggregates named ``{column}_...``; none where it is no text."""
    if dtype != pl.String:
        return []
    text = _bare(column)
    facts = [text.str.contains(pattern).sum().alias(f"{column}_{name}") for name, pattern in _FORMS.items()]
    numbers = text.cast(pl.Float64, strict=False)
    return [
        *facts,
        (text != "").sum().alias(f"{column}_present"),
        pl.col(column).str.contains(_PERCENT).sum().alias(f"{column}_percent"),
        numbers.count().alias(f"{column}_parse"),
        truth_values(column).count().alias(f"{column}_truths"),
    ]


def find_number_form(column: str, facts: dict[str, Any], given: str, *, where: str, name: str) -> NumberForm:
    """The form of a column of text.

    Args:
        column: its name.
        facts: what ``number_facts`` found.
        given: ``columns.decimal``: "." or ",", or "".
        where: the file, for messages.
        name: what the file calls the column, for messages.

    Raises:
        LogError: its numbers may have either form, or some alone have a percent sign.
    """
    seen = {form: facts[f"{column}_{form}"] for form in (*_FORMS, "present", "percent", "parse", "truths")}
    if seen["truths"] > seen["parse"] and seen["truths"] * 2 > seen["present"]:
        return NumberForm(".", "", truths=True, told="true, yes and the like as 1, false and no as 0")
    if 0 < seen["percent"] < max(seen["whole"] + seen["point"], seen["whole"] + seen["comma"]):
        raise LogError(
            f"{where}: {seen['percent']} of the numbers in {name!r} have a percent sign and the others have none, so "
            "that 50% may be 50 or 0.5: write them alike"
        )
    form = _decimal_form(seen, given, where, name)
    mark = form.groups
    told = []
    kind = "comma" if mark == "," else "point"
    if mark and (seen[f"{kind}_groups"] or seen[f"many_{kind}_groups"]):
        told.append(f"1{mark}200 as 1200 (columns.decimal: {mark!r} if that is 1.2)")
    elif form.decimal == "," and seen["comma"]:
        told.append("4,5 as 4.5")
    return form._replace(told=", ".join([*told, *(["50% as 50"] if seen["percent"] else [])]))


def _decimal_form(seen: dict[str, int], given: str, where: str, name: str) -> NumberForm:
    if given:
        return NumberForm("," if given == "," else ".", "." if given == "," else ",")
    groups, others = seen["comma_groups"], seen["comma"] - _single(seen, "comma")
    if seen["many_comma_groups"] and not seen["many_point_groups"]:
        return NumberForm(".", ",")
    if seen["many_point_groups"] and not seen["many_comma_groups"]:
        return NumberForm(",", ".")
    if groups and not others and not seen["point"]:
        return _grouped_by(",", seen, where, name)
    if groups and seen["point"] and not others:
        return NumberForm(".", ",")  # 1,200 beside 850.5
    if others and _single(seen, "point") and seen["point"] == _single(seen, "point"):
        return NumberForm(",", ".")  # 1.200 beside 850,5
    if seen["comma"]:
        return NumberForm(",", "")
    if _single(seen, "point") and seen["point"] == _single(seen, "point") and seen["whole"]:
        return _grouped_by(".", seen, where, name)
    return NumberForm(".", "")


def read_number(column: str, form: NumberForm) -> pl.Expr:
    """The column of text as Float64; null where it holds no number."""
    if form.truths:
        return truth_values(column)
    text = _bare(column)
    if form.groups:
        text = text.str.replace_all(form.groups, "", literal=True)
    if form.decimal == ",":
        text = text.str.replace(",", ".", literal=True)
    return text.cast(pl.Float64, strict=False)


def _single(seen: dict[str, int], mark: str) -> int:
    """Values such as 1,200, which have one mark and three digits after it."""
    return seen[f"{mark}_groups"] - (0 if not seen[f"many_{mark}_groups"] else seen[f"many_{mark}_groups"])


def _grouped_by(mark: Literal[".", ","], seen: dict[str, int], where: str, name: str) -> NumberForm:
    """All values with the mark look like 1,200: thousands, or a fraction with three digits."""
    other: Literal[".", ","] = "." if mark == "," else ","
    # Whoever writes 1500 without a mark writes none into 1200; so a point stands before a fraction there.
    if seen["whole_from_1000"] and mark == ".":
        return NumberForm(".", "")
    if seen["over_ten"] and not seen["whole_from_1000"]:
        return NumberForm(other, mark)
    raise LogError(
        f"{where}: the numbers in {name!r} may have thousands or a fraction after the {mark!r}, as in 1{mark}200: say "
        f"in columns.decimal which mark stands before a fraction ('{other}' if 1{mark}200 is more than a thousand)"
    )


def _bare(column: str) -> pl.Expr:
    """The text without what can only be a unit or a group of digits.

    Off go spaces, apostrophes and underscores between digits, signs of money and the percent sign. A minus may be the
    typographic one, stand behind the number, or be brackets around it, as accountants write it.
    """
    text = pl.col(column).cast(pl.String).str.normalize("NFKC").str.strip_chars().str.replace_all("\u2212", "-")
    text = text.str.replace(_PERCENT, "")
    text = text.str.replace(rf"^([+-]?)\s*{_MONEY}\s*([+-]?[\d.,])", "${1}${2}").str.replace(
        rf"(\d)\s*{_MONEY}$", "${1}"
    )
    text = text.str.replace(r"^\((\d[\d.,]*)\)$", "-${1}").str.replace(r"^(\d[\d.,]*)-$", "-${1}")
    grouped = text.str.contains(rf"^[+-]?\d{{1,3}}(?:{_SPACES}\d{{3}})+(?:[.,]\d+)?$")
    return pl.when(grouped).then(text.str.replace_all(_SPACES, "")).otherwise(text)
