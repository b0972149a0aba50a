"""Data sets in the forms of other libraries: RecBole's atomic files, and FuxiCTR's CSV files."""

from __future__ import annotations

import re
from pathlib import Path

from trackrec.data.column_mapping import NO_COLUMN, ColumnMapping
from trackrec.data.columns import USUAL_NAMES, plain
from trackrec.data.log import Log
from trackrec.data.source_files import find_file, find_several, need
from trackrec.data.sources.joined import read_joined
from trackrec.data.table import NO_QUOTES, TableSettings
from trackrec.errors import LogError

_ATOMIC = TableSettings(separator="\t", quote=NO_QUOTES)
_PARTS = ("train.csv", "valid.csv", "test.csv")


def read_recbole(folder: Path) -> Log:
    """The log of a data set in RecBole's atomic files: NAME.inter and, where there are, NAME.item and NAME.user.

    The type behind a column's name is left aside; sequences are cut at spaces. Without a column of times the order is
    drawn. Files that are already split (NAME.train.inter, ...) are read one after the other.

    Args:
        folder: one that holds them.

    Raises:
        LogError: there is no .inter file, or a column cannot be found.

    Source:
        RecBole's documentation, "Atomic Files".
    """
    logs = need(folder, ("*.inter",), "a data set of RecBole")
    items, users = (find_several(folder, (f"*{ending}",))[:1] for ending in (".item", ".user"))
    forms = [[_ATOMIC.model_copy(update={"path": str(file)}) for file in files] for files in (items, users)]
    mapping = ColumnMapping(timestamp="" if _has_times(logs[0]) else NO_COLUMN)
    where = f"RecBole's files in {folder}"
    return read_joined(logs, forms[0], mapping, where=where, form=_ATOMIC, users=next(iter(forms[1]), None))


def read_fuxictr(folder: Path) -> Log:
    """The log of a data set for FuxiCTR: train.csv, valid.csv and test.csv with a column ``label`` of 1 and 0.

    Each row is something that was shown; without a column of times, as in most of them, the order is drawn.

    Args:
        folder: one that holds train.csv at least.

    Raises:
        LogError: there is no train.csv, or no column of users or items can be found.

    Source:
        FuxiCTR and BARS, "Open Benchmarking for Click-Through Rate Prediction", CIKM 2021.
    """
    find_file(folder, ("train.csv",), "a data set of FuxiCTR")
    logs = sorted(find_several(folder, _PARTS), key=lambda file: _PARTS.index(file.name))
    mapping = ColumnMapping(rating="label", timestamp="" if _has_times(logs[0]) else NO_COLUMN)
    return read_joined(logs, [], mapping, where=f"FuxiCTR's files in {folder}")


def _has_times(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8-sig") as lines:
            names = re.split(r"[\t,]", lines.readline().strip())
    except UnicodeDecodeError as error:
        raise LogError(f"{file} is not in UTF-8: {error}") from error
    return bool({plain(name) for name in names} & {plain(name) for name in USUAL_NAMES["timestamp"]})
