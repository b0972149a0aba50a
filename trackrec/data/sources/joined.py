"""A log of files with headers: interactions in one or several files, items in one or several tables."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.impressions import unnest
from trackrec.data.log import Log
from trackrec.data.many_files import join_files, join_item_tables
from trackrec.data.open_table import open_table
from trackrec.data.table import Table, TableSettings
from trackrec.data.tabular import TablesSettings, make_log


def read_joined(
    logs: Sequence[Path],
    items: Sequence[TableSettings],
    mapping: ColumnMapping,
    *,
    where: str,
    form: TableSettings | None = None,
    change: Callable[[Table], Table] | None = None,
    users: TableSettings | None = None,
) -> Log:
    """The log of a data set whose files are as ``tables`` reads them.

    Args:
        logs: the files of the interactions, one after the other.
        items: the tables of the items, joined by their id; none: what the interactions say of them.
        mapping: which column is what.
        where: the source in words, for messages.
        form: how the interactions' files are written; None: found from them.
        change: what is done to the open interactions before they are read.
        users: the table of users.

    Raises:
        LogError: a file cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="trackrec-") as folder:
        scratch = Path(folder)
        form = form or TableSettings()
        opened = [open_table(form.model_copy(update={"path": str(file)}), scratch) for file in logs]
        acts = join_files(opened, str(logs[0].parent)) if len(opened) > 1 else opened[0]
        if mapping.nested:
            acts = unnest(acts, mapping.nested)
        tables = {"interactions": change(acts) if change else acts}
        catalogue = [open_table(table, scratch) for table in items]
        if catalogue:
            joined = join_item_tables(catalogue, mapping) if len(catalogue) > 1 else catalogue[0]
            there = tuple(name for name in mapping.attributes or () if name in joined.names)
            tables["items"] = joined
            mapping = mapping if mapping.attributes is None else mapping.model_copy(update={"attributes": there})
        if users is not None:
            tables["users"] = open_table(users, scratch)
        return make_log(tables, TablesSettings(columns=mapping), where=where)
