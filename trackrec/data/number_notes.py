"""What is said of a column of numbers: how they were read where that is no matter of course, and which are none."""

from __future__ import annotations

import polars as pl

from trackrec.data.ids import MISSING_IDS
from trackrec.data.numbers import find_number_form, read_number
from trackrec.data.role_table import SIGNAL, RoleTable
from trackrec.errors import LogError

_SHOWN = 3


def number_notes(part: RoleTable, columns: list[str]) -> list[str]:
    """In words, for the data card; nothing of columns whose values are all plain numbers.

    Args:
        part: the table.
        columns: those of its frame that hold amounts: rating, quantity, signals.

    Raises:
        LogError: a column holds values, and none of them is a number.
    """
    notes = []
    for column in columns:
        if part.schema[column] != pl.String:
            continue
        name = part.columns.roles.get(column, column.removeprefix(SIGNAL))
        form = find_number_form(column, part.facts, part.decimal, where=part.table.where, name=name)
        if form.told:
            notes.append(f"numbers in {name} are read so: {form.told}")
        text = pl.col(column).str.strip_chars()
        none = read_number(column, form).is_null() & ~text.is_in(MISSING_IDS)
        odd = part.collect(
            part.frame.select(
                none.sum().alias("number"),
                (~text.is_in(MISSING_IDS)).sum().alias("present"),
                text.filter(none).unique(maintain_order=True).head(_SHOWN).implode().alias("some"),
            )
        ).row(0, named=True)
        if not odd["number"]:
            continue
        some = ", ".join(repr(str(each)[:30]) for each in odd["some"])
        if odd["number"] == odd["present"] and column != "quantity":
            raise LogError(
                f"{part.table.where}: {name!r} holds no number at all, but {some}: write numbers there, or, if these "
                f"are words for what somebody did or thought, name it in columns.event in place of "
                f"columns.{'signals' if column.startswith(SIGNAL) else 'rating'}, with a weight for each in "
                "columns.event_weights"
            )
        notes.append(f"what is no number in {name} ({odd['number']:,} of them, such as {some}) counts as missing")
    return notes
