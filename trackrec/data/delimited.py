"""CSV, TSV and their like: separator, quotation marks, fields a row; other lines are cut by a pattern."""

from __future__ import annotations

import csv
import io
import itertools
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from trackrec.data.csv_rows import RowCutter, RowError
from trackrec.data.local_file import SAMPLE, local_copy
from trackrec.data.scan import scan_csv, scan_lines, scan_parquet
from trackrec.data.table import NO_QUOTES, SHORT_ROW, Table, TableSettings, cause_of
from trackrec.errors import LogError

SEPARATORS = (",", "\t", ";", "|")
_ANNOUNCED = re.compile(rb'^"?sep=(.)"?\r?\n')
"""The line in which Excel says what separates the fields."""
_BATCH = 50_000
_MARK = '"'
_NEEDED = re.compile(r'[,;|\t"]|^\s|\s$|^$')
"""What makes a writer put a field into quotation marks."""


def open_delimited(path: Path, head: bytes, settings: TableSettings, where: str, scratch: Path) -> Table:
    """Open a CSV file as a table of text.

    Polars looks at a row's number of fields only where every column is asked for, and reads on where a quotation mark
    is not closed. So each line is looked at first. If all are plain, polars reads the file; else it is cut row by row
    (``RowCutter``) into a copy.

    Args:
        path: a plain local file in UTF-8.
        head: its beginning.
        settings: how it is written.
        where: the file, for messages.
        scratch: a folder for the copy.

    Raises:
        LogError: it has no header, a row has too many fields, a quotation mark is not closed, ...
    """
    if announced := _ANNOUNCED.match(head):
        path, head = _without_first_line(path, scratch)
        settings = settings.model_copy(update={"separator": settings.separator or announced.group(1).decode()})
    lines = head.decode("utf-8", errors="replace")
    if len(head) == SAMPLE:
        lines = lines[: lines.rfind("\n") + 1] or lines
    separator = settings.separator or find_separator(lines)
    plain_marks = settings.quote == NO_QUOTES
    first = (_plain_rows if plain_marks else _rows)(lines, separator)[0]
    likely = find_separator(lines)
    if len(first) == 1 < len(_rows(lines, likely)[0]):
        raise LogError(
            f"{where}: with the separator {separator!r} the first line is one field, {first[0][:60]!r}; "
            f"it looks separated by {likely!r}"
        )
    if not settings.column_names:
        _check_first_line(first, lines, separator, where)
    if settings.column_names and len(settings.column_names) != len(first):
        raise LogError(
            f"{where} has {len(first)} fields separated by {separator!r} in its first line, "
            f"but column_names gives {len(settings.column_names)}"
        )
    if not settings.column_names:
        _check_header(first, separator, where)
    names = settings.column_names or tuple(first)
    try:
        quote, plain, notes = _quoting(path, separator, len(names), settings)
        if plain:
            frame = scan_csv(
                path, separator=separator, quote_char=quote or None, has_header=not settings.column_names,
                new_columns=list(names), infer_schema=False,
            )  # fmt: skip
            return Table(frame, names, where, notes=notes)
        frame = _cut(path, separator, names, quote, settings, scratch)
    except (pl.exceptions.PolarsError, OSError, UnicodeError, RowError) as error:
        more = _lacking_name(lines, separator, len(names)) if isinstance(error, RowError) else ""
        raise LogError(f"{where} cannot be read: {cause_of(error)}{more}") from error
    return Table(frame, names, where, notes=notes)


def _without_first_line(path: Path, scratch: Path) -> tuple[Path, bytes]:
    target = scratch / f"table-{len(list(scratch.iterdir()))}"
    with path.open("rb") as file, target.open("wb") as copy:
        file.readline()
        shutil.copyfileobj(file, copy)
    with target.open("rb") as file:
        return target, file.read(SAMPLE)


def find_separator(lines: str) -> str:
    r"""The character that cuts the first lines of a CSV file into the same number of fields, as many as can be.

    Example:
        >>> find_separator('user;item;title\n1;2;"a, b"\n')
        ';'
    """
    best = (0.0, 0, SEPARATORS[0])
    for separator in SEPARATORS:
        for rows in (_rows(lines, separator), _plain_rows(lines, separator)):
            widths = [len(row) for row in rows]
            even = sum(width == widths[0] for width in widths) / len(widths)
            if widths[0] > 1:
                best = max(best, (float(even >= 0.9), widths[0], separator))
    return best[2]


def _quoting(path: Path, separator: str, width: int, settings: TableSettings) -> tuple[str, bool, tuple[str, ...]]:
    """The quotation mark ("": none), whether polars can read the file with it, and what is to be said of that."""
    asked = settings.quote
    if asked == NO_QUOTES:
        return "", _odd_lines(path, separator, width, "") == 0, ()
    quote = asked or _MARK
    odd = _odd_lines(path, separator, width, quote)
    tabbed = separator == "\t" and not asked
    rows = scan_lines(path).slice(0 if settings.column_names else 1)
    if tabbed and _odd_lines(path, separator, width, "") == 0 and _marks_are_text(rows, separator, bool(odd)):
        return "", True, (f"quotation marks are taken as plain text (quote: {_MARK} says that they quote)",)
    return quote, odd == 0, ()


def _odd_lines(path: Path, separator: str, width: int, quote: str) -> int:
    """How many lines are no row of so many fields with all marks as they should be; blank ones do not count."""
    line = pl.col("line")
    blank = line.str.strip_chars() == ""
    plain = line.str.count_matches(separator, literal=True) == width - 1
    if quote:
        mark, cut = re.escape(quote), re.escape(separator)
        field = f"(?:{mark}(?:[^{mark}]|{mark}{mark})*{mark}|[^{mark}{cut}]*)"
        bare = line.str.replace_all(f"{mark}[^{mark}]*{mark}", "")
        quoted = line.str.contains(f"^{field}(?:{cut}{field})*\r?$")
        quoted &= bare.str.count_matches(separator, literal=True) == width - 1
        plain = pl.when(line.str.contains(quote, literal=True)).then(quoted).otherwise(plain)
    odd = (~blank & ~plain).sum()
    return int(scan_lines(path).select(odd).collect(engine="streaming").item())


def _marks_are_text(lines: pl.LazyFrame, separator: str, any_odd: bool) -> bool:
    """Whether the marks of a tab-separated file, each line of which is a row as it stands, are text.

    They are if some are no quotation, or stand around fields that need none, in a column where others have none;
    unless doubled ones show that they do quote.
    """
    marked = lines.filter(pl.col("line").str.contains(_MARK, literal=True)).head(10_000).collect()
    rows = [line.removesuffix("\r").split(separator) for line in marked["line"]]
    fields = [(place, field) for row in rows for place, field in enumerate(row)]
    quoted = {(place, field[1:-1]) for place, field in fields if len(field) > 1 and field[0] == field[-1] == _MARK}
    if any('""' in text.strip(_MARK) for _, text in quoted):
        return False
    if any_odd:
        return True
    needless = {place for place, text in quoted if not _NEEDED.search(text)}
    for line in lines.head(10_000).collect()["line"]:
        row = line.removesuffix("\r").split(separator)
        if any(place < len(row) and row[place] and row[place][0] != _MARK for place in needless):
            return True
    return False


def _cut(
    path: Path, separator: str, names: Sequence[str], quote: str, settings: TableSettings, scratch: Path
) -> pl.LazyFrame:
    """The rows, cut one by one, as Parquet files in the scratch folder."""
    schema = dict.fromkeys(names, pl.String) | {SHORT_ROW: pl.Boolean}
    pieces: list[pl.LazyFrame] = []
    home = scratch / f"rows-{len(list(scratch.iterdir()))}"
    home.mkdir()
    with path.open(encoding="utf-8", newline="\n") as file:
        header = not settings.column_names
        cutter = RowCutter(file, separator, len(names), quote, strict=bool(settings.quote), header=header)
        rows = iter(cutter)
        if header:
            next(rows, None)
        while True:
            batch = [[field or None for field in row.fields] + [row.short] for row in itertools.islice(rows, _BATCH)]
            if not batch and pieces:
                whole: pl.LazyFrame = pl.concat(pieces)
                return whole
            piece = home / f"{len(pieces):06d}.parquet"
            pl.DataFrame(batch, schema=schema, orient="row").write_parquet(piece, compression="lz4")
            pieces.append(scan_parquet(piece))


def _check_first_line(first: Sequence[str], lines: str, separator: str, where: str) -> None:
    """Refuse a first line that is a remark above the header, and files with spaces between their fields."""
    if len(first) != 1:
        return
    below = lines.split("\n", 1)[-1]
    width = len(_rows(below, find_separator(below))[0])
    if width > 1:
        raise LogError(
            f"{where}: the first line, {first[0][:60]!r}, is no header of the {width} fields in the line below: take "
            "it away"
        )
    widths = {len(line.split()) for line in lines.split("\n")[:50] if line.strip()}
    if len(widths) == 1 and widths != {1}:
        raise LogError(
            f"{where}: the first line is one field, {first[0][:60]!r}; if spaces stand between the fields, set "
            "separator to ' '"
        )


def _lacking_name(lines: str, separator: str, width: int) -> str:
    """What helps where nearly all lines have one field more than the header."""
    rows = _rows(lines, separator)[1:]
    more = [row for row in rows if len(row) == width + 1]
    if len(more) * 10 < len(rows) * 9 or not more:
        return ""
    last = " (the last of them is empty)" if all(row[-1] == "" for row in more) else ""
    return f". Nearly all lines have {width + 1} fields{last}: the header lacks a name; add it to the first line"


def _check_header(first: Sequence[str], separator: str, where: str) -> None:
    if "::" in "".join(first) or (separator == ":" and "" in first):
        raise LogError(f"{where} is separated by '::', as MovieLens 1M and 10M are: name that source instead")
    if numbers := [name for name in first if name.strip().lstrip("-").replace(".", "", 1).isdigit()]:
        raise LogError(
            f"{where} seems to have no header: its first line holds {', '.join(numbers[:4])}; "
            "name its columns in column_names"
        )
    if repeated := sorted({name for name in first if first.count(name) > 1}):
        raise LogError(f"{where} has several columns of the name {', '.join(map(repr, repeated))}: rename them")


def _rows(lines: str, separator: str, limit: int = 200) -> list[list[str]]:
    rows = csv.reader(io.StringIO(lines, newline=""), delimiter=separator)
    try:
        return [row for row in itertools.islice(rows, limit) if row] or [[""]]
    except csv.Error:  # a field of more than 128 KiB: an unclosed quote, which reading will name
        return _plain_rows(lines, separator, limit)


def _plain_rows(lines: str, separator: str, limit: int = 200) -> list[list[str]]:
    return [line.split(separator) for line in lines.split("\n")[:limit] if line.strip()] or [[""]]


def open_lines(
    file: Path, names: Sequence[str], pattern: str, scratch: Path, *, encoding: str = "", header: bool = False
) -> Table:
    """Open a file as a table of text.

    Args:
        file: what is read, perhaps gzipped. Blank lines are skipped.
        names: the columns' names, one a group.
        pattern: a regular expression with a group for each column. A line that it does not fit becomes a row of
            nulls, which the log counts as one without ids.
        scratch: a folder for copies, which must live until the table has been read.
        encoding: how the text is encoded; empty: UTF-8.
        header: the first line holds names, and is skipped.

    Raises:
        LogError: the file cannot be opened.
    """
    path, _ = local_copy(TableSettings(path=str(file), encoding=encoding), scratch)
    lines = scan_lines(path)
    line = pl.col("line").str.strip_chars_end("\r")
    rows = lines.slice(int(header)).filter(line.str.strip_chars() != "")
    groups = line.str.extract_groups(pattern).struct.rename_fields(list(names))
    frame = rows.select(groups.alias("fields")).unnest("fields")
    return Table(frame, tuple(names), str(file))


def is_utf_8(file: Path) -> bool:
    """Whether a file is in UTF-8, read in pieces."""
    try:
        with file.open(encoding="utf-8") as text:
            while text.read(1 << 22):
                pass
    except UnicodeDecodeError:
        return False
    return True
