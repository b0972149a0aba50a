"""Finding the row that makes a file unreadable; looked for only after reading has failed."""

from __future__ import annotations

import csv
import json
from pathlib import Path


def uneven_row(path: Path, separator: str, width: int) -> str:
    """In words, the first row of a CSV file with too many fields or with a quote that nothing closes; "" if none has.

    Args:
        path: a plain file.
        separator: what stands between two fields.
        width: how many fields a row may have.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=separator, strict=True)
        line = 1
        try:
            for row in rows:
                if len(row) > width:
                    return f"line {line} has {len(row)} fields, expected {width}, separated by {separator!r}"
                line = rows.line_num + 1
        except csv.Error as error:
            return f"line {line}: a quotation mark is not closed, or not doubled inside a quoted field ({error})"
    return ""


def broken_line(path: Path) -> str:
    """In words, the first line of a JSON lines file that is no JSON object; "" if all are."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            try:
                value = json.loads(line) if line.strip() else {}
            except (ValueError, RecursionError) as error:
                return f"line {number} is not JSON ({error}), {line[:60].rstrip()!r}"
            if not isinstance(value, dict):
                return f"line {number} is no JSON object, {line[:60].rstrip()!r}"
    return ""
