"""Numbers as they are written: with a decimal point or comma, with marks between thousands, or as truth values.

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
    "many_comma_groups": _SIGN + r"[1-9]\d{0,2}(?:,\d{3}){2,}$|" + _SIGN + r"[1-9]\d{0,2}(?:,\d{3})+\.\d+$",
    "many_point_groups": _SIGN + r"[1-9]\d{0,2}(?:\.\d{3}){2,}$|" + _SIGN + r"[1-9]\d{0,2}(?:\.\d{3})+,\d+$",
}


class NumberForm(NamedTuple):
    """How the numbers of a column are written."""

    decimal: Literal[".", ","]
    groups: str
    """What stands between thousands; "": nothing."""
    truths: bool = False
    """They are words such as true and false, or yes and no."""


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
        LogError: its numbers may have either form.
    """
    seen = {form: facts[f"{column}_{form}"] for form in (*_FORMS, "present", "parse", "truths")}
    if given:
        return NumberForm("," if given == "," else ".", "." if given == "," else ",")
    if seen["truths"] > seen["parse"] and seen["truths"] * 2 > seen["present"]:
        return NumberForm(".", "", truths=True)
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
    """The text without spaces, apostrophes and underscores between digits, which can only group."""
    text = pl.col(column).cast(pl.String).str.strip_chars()
    grouped = text.str.contains(rf"^[+-]?\d{{1,3}}(?:{_SPACES}\d{{3}})+(?:[.,]\d+)?$")
    return pl.when(grouped).then(text.str.replace_all(_SPACES, "")).otherwise(text)
