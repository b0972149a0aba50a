"""Pages for labelling without a person: sentences that ``check-the-checker`` drew, with the histories beside them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trackrec.checks.label_page import page_without
from trackrec.errors import RunError
from trackrec.files.tables import read_table
from trackrec.files.whole import written_whole
from trackrec.pipeline.check_the_checker import DRAWN, FOLDER, PAGE


def forget_in_pages(user: str, folder: Path) -> list[str]:
    """Take a person's sentences out of the pages of a run and of the runs inside it.

    To be called before the tables are cleaned, which say whose sentence is whose. Labels that were given stay: they say
    nothing but a number.

    Args:
        user: the id as text.
        folder: the run.

    Returns:
        Pages that were removed, since nobody can say what is in them.
    """
    removed = []
    for page in sorted(folder.rglob(f"{FOLDER}/{PAGE}")):
        try:
            drawn = read_table(page.parent / DRAWN)
            gone = drawn.filter(pl.col("user_id").cast(pl.String).eq_missing(user))["id"].to_list()
        except (RunError, OSError, pl.exceptions.PolarsError):
            gone = None
        content = page.read_text(encoding="utf-8", errors="replace")
        without = None if gone is None else page_without(content, set(gone))
        if without is None:
            page.unlink()
            removed.append(str(page))
        elif not without:
            page.unlink()
        elif without != content:
            with written_whole(page) as partial:
                partial.write_text(without, encoding="utf-8")
    return removed
