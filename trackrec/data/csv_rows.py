r"""The rows of a delimited file whose quotation marks are not all plain quoting, cut one by one.

A field is quoted if it begins with a quotation mark whose partner stands right before the next separator or line end
(``""`` inside is a mark of its own). All other marks are text: ``15.6" black``, ``"Weird Al" Yankovic``. What is
left is a field that opens a quotation and does not close it on its line. It goes on in the next lines only if it is
closed there, and these lines do not look like rows of their own.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

_LONGEST = 1 << 18
"""Characters within which a quotation must be closed."""
_EVIDENCE = 200
"""Rows that are remembered to tell which columns hold numbers."""
_NUMBER = re.compile(r"\s*-?\d+(?:[.,]\d+)?\s*$")


class RowError(ValueError):
    """A line that cannot be cut; its text says which, and why."""


class Row(NamedTuple):
    """One row."""

    fields: list[str]
    short: bool
    """There are fewer fields than columns; empty ones have been added at the end."""


class RowCutter:
    """Cuts the lines of a file into rows.

    Args:
        lines: with or without their line ends.
        separator: what stands between two fields.
        width: how many columns there are.
        quote: the quotation mark; "": none.
        strict: the user named the quotation mark: a field that opens one goes on until it is closed.
        header: the first row holds names, which tell nothing of what the others hold.
    """

    def __init__(
        self, lines: Iterator[str], separator: str, width: int, quote: str, *, strict: bool, header: bool
    ) -> None:
        self._lines, self._ahead = lines, deque[str]()
        self.separator, self.width, self.quote, self.strict = separator, width, quote, strict
        self._header = header
        mark, cut = re.escape(quote), re.escape(separator)
        end = rf" *(?={cut}|\Z)"
        self._quoted = re.compile(rf" *{mark}((?:[^{mark}]|{mark}{mark})*){mark}{end}")
        self._escaped = re.compile(rf" *{mark}((?:[^{mark}\\]|\\.|{mark}{mark})*){mark}{end}", re.DOTALL)
        self._marks_inside = re.compile(rf"(?:[^{mark}{cut}]|{mark}[^{mark}]*{mark})*(?={cut}|\Z)")
        self._seen: list[list[str]] = []

    def __iter__(self) -> Iterator[Row]:
        """The rows. A blank line is one of empty fields.

        Raises:
            RowError: a row has too many fields, or a quotation mark is not closed.
        """
        number = 1
        while (line := self._next()) is not None:
            if not line.strip():
                yield Row([""] * self.width, short=False)
                number += 1
                continue
            fields, used = self._cut(line, number)
            if len(fields) > self.width:
                raise RowError(
                    f"line {number} has {len(fields)} fields, expected {self.width}, separated by {self.separator!r}: "
                    f"{line[:60]!r}; put a field that holds a separator in quotation marks{self._hint(line)}"
                )
            short = len(fields) < self.width
            if len(self._seen) < _EVIDENCE and not short and not (self._header and number == 1):
                self._seen.append(fields)
            number += 1 + used
            yield Row(fields + [""] * (self.width - len(fields)), short)

    def _hint(self, line: str) -> str:
        other = next(
            (mark for mark in "'`" if f"{self.separator}{mark}" in line or f"{mark}{self.separator}" in line), ""
        )
        return f", or, if {other} does what these do, set quote to {other}" if other else ""

    def _next(self) -> str | None:
        line = self._ahead.popleft() if self._ahead else next(self._lines, None)
        return None if line is None else _without_end(line)

    def _cut(self, line: str, number: int) -> tuple[list[str], int]:
        """The fields of the row that begins with a line, and how many further lines it takes."""
        if not self.quote or self.quote not in line:
            return line.split(self.separator), 0
        fields, opened = self._fields(line, self._quoted)
        if not opened and len(fields) == self.width:
            return fields, 0
        if not self.strict and (fitting := self._other_reading(line)):
            return fitting, 0
        if opened and (self.strict or line.count(self.quote) % 2):
            return self._opened(line, fields, number)
        return fields, 0

    def _fields(self, line: str, quoted: re.Pattern[str]) -> tuple[list[str], bool]:
        """The fields of one line, and whether one of them begins with a mark that is not closed as it should be."""
        fields, place, opened = [], 0, False
        while True:
            if found := quoted.match(line, place):
                fields.append(found.group(1).replace(self.quote * 2, self.quote))
                place = found.end()
            else:
                stop = line.find(self.separator, place)
                stop = len(line) if stop < 0 else stop
                fields.append(line[place:stop])
                opened = opened or fields[-1].lstrip(" ").startswith(self.quote)
                place = stop
            if place >= len(line):
                return fields, opened
            place += 1

    def _other_reading(self, line: str) -> list[str] | None:
        r"""The fields with ``\"`` as a mark inside of quotation, or with quoted words inside a field, if these fit."""
        if "\\" in line:
            fields, opened = self._fields(line, self._escaped)
            if not opened and len(fields) == self.width:
                return [re.sub(r"\\(.)", r"\1", field, flags=re.DOTALL) for field in fields]
        fields, place = [], 0
        while found := self._marks_inside.match(line, place):
            fields.append(found.group())
            if found.end() >= len(line):
                plain = [field if not (whole := self._quoted.fullmatch(field)) else whole.group(1) for field in fields]
                return plain if len(fields) == self.width else None
            place = found.end() + 1
        return None

    def _opened(self, line: str, fields: list[str], number: int) -> tuple[list[str], int]:
        """A row with a field that opens a quotation: over several lines, or alone with the mark as text."""
        longer = self._over_lines(line)
        alone, tabbed = len(fields) == self.width and not self.strict, self.separator == "\t"
        if longer and (self.strict or len(longer[0]) == self.width):
            between = [_without_end(self._ahead[place]) for place in range(longer[1])]
            if self.strict or not alone or self._are_text(between):
                for _ in between:
                    self._ahead.popleft()
                return longer
            if not tabbed:
                further = f"{longer[1]} line{'s' * (longer[1] != 1)} further on"
                raise RowError(
                    f"line {number}: a quotation mark is closed only {further}, though these may "
                    f"be rows of their own: {line[:60]!r}; if marks are plain text here set quote to none, if they are "
                    f"not set it to {self.quote}"
                )
        if alone and tabbed:
            return fields, 0
        raise RowError(
            f"line {number}: a quotation mark is not closed, or not doubled inside a quoted field: {line[:60]!r}; if "
            "marks are plain text here, set quote to none"
        )

    def _over_lines(self, line: str) -> tuple[list[str], int] | None:
        """The fields if each opened quotation goes on until it is closed, and how many further lines that takes."""
        fields, place, used, text = [], 0, 0, line
        while True:
            found = self._quoted.match(text, place)
            if not found and text[place:].lstrip(" ").startswith(self.quote):
                while not found:
                    if used == len(self._ahead) and (more := next(self._lines, None)) is not None:
                        self._ahead.append(more)
                    if used == len(self._ahead) or len(text) - place > _LONGEST:
                        return None
                    text += "\n" + self._ahead[used].removesuffix("\n")
                    used += 1
                    if self.quote in self._ahead[used - 1]:
                        found = self._quoted.match(text.removesuffix("\r"), place)
            if found:
                fields.append(found.group(1).replace(self.quote * 2, self.quote))
                text, place = text.removesuffix("\r"), found.end()
            else:
                stop = text.find(self.separator, place)
                stop = len(text) if stop < 0 else stop
                fields.append(text[place:stop])
                place = stop
            if place >= len(text):
                return fields, used
            place += 1

    def _are_text(self, lines: list[str]) -> bool:
        """Whether lines cannot be rows of their own, by their number of fields and where other rows have numbers."""
        rows = [self._fields(line, self._quoted)[0] for line in lines]
        if any(len(row) != self.width for row in rows):
            return True
        others = self._seen or self._later_rows(len(lines))
        numbers = [place for place in range(self.width) if others and all(map(_is_number, _column(others, place)))]
        return any(not _is_number(row[place]) for row in rows for place in numbers)

    def _later_rows(self, start: int) -> list[list[str]]:
        """What are rows by themselves among the lines after those that are in doubt."""
        self._ahead.extend(itertools.islice(self._lines, max(0, start + _EVIDENCE - len(self._ahead))))
        later = [_without_end(line) for line in itertools.islice(self._ahead, start, None)]
        rows = [self._fields(line, self._quoted) for line in later]
        return [row for row, opened in rows if len(row) == self.width and not opened]


def _column(rows: list[list[str]], place: int) -> list[str]:
    return [row[place] for row in rows if row[place]] or [""]


def _is_number(text: str) -> bool:
    return bool(_NUMBER.match(text))


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")
