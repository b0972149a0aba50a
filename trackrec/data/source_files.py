"""The files that a log is read from, so that a run notices when they are no longer what they were."""

from __future__ import annotations

from pathlib import Path

from trackrec.data.folder import is_hidden
from trackrec.data.local_file import local_path
from trackrec.data.many_files import files_of
from trackrec.data.sources import SOURCES, TABLES, SourceSettings
from trackrec.errors import LogError


def source_files(settings: SourceSettings) -> dict[str, Path]:
    """The local files of a log, each by a name of its own.

    Files on the network and queries are left out: they are known by their address and text alone. So is an embedded
    log, whose name stands for one content.

    Raises:
        LogError: a file or folder is no longer there; the message names it.
    """
    if settings.source == TABLES:
        tables = settings.tables
        told = {"interactions": tables.interactions, "items": tables.items, "users": tables.users}
        files: dict[str, Path] = {}
        for name, table in told.items():
            if not table.path or local_path(table.path) is None:
                continue
            found = files_of(table.path)
            if not found:
                raise LogError(_gone(f"the table of {name}", Path(table.path)))
            files |= {name: found[0]} if len(found) == 1 else {f"{name}/{file}": file for file in found}
        return files
    if settings.folder is None or settings.source not in SOURCES:
        return {}
    if not settings.folder.is_dir():
        raise LogError(_gone("the folder", settings.folder))
    names = SOURCES[settings.source].files
    there = sorted(file for file in settings.folder.iterdir() if file.is_file() and not is_hidden(file.name))
    return {file.name: file for file in there if not names or file.name in names}


def _gone(what: str, path: Path) -> str:
    return (
        f"the log is not there: {what} {path} does not exist. Put it back where it was, or name another one in the "
        "recipe (source)"
    )
