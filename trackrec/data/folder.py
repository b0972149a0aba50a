"""The folder that holds a source's files."""

from __future__ import annotations

from pathlib import Path

from trackrec.errors import LogError

_SHOWN = 8
OWN_OUTPUTS = (".card.json", ".card.html", ".recipe.yaml", ".recipe.yaml.old")
"""Endings of what `trackrec data check` writes, perhaps beside the log: no files of a source."""


_PROSE = {"readme", "license", "licence", "notice", "changelog", "copying", "md5sums", "sha256sums", "checksums"}
_PROSE_ENDINGS = {"", ".txt", ".md", ".rst", ".html", ".pdf"}


def is_hidden(name: str) -> bool:
    """Whether a file's name says that it is no part of the data: our output, what systems leave, a README."""
    path = Path(name.lower())
    if path.suffix in {".md", ".pdf"} or (path.suffix in _PROSE_ENDINGS and path.stem in _PROSE):
        return True
    return name.startswith((".", "_")) or name.endswith(OWN_OUTPUTS) or name.endswith((".crc", "~", ".tmp"))


def need_files(folder: Path, names: tuple[str, ...], source: str) -> None:
    """Refuse a folder in which one of the files is missing.

    Raises:
        LogError: with what was expected and what is there.
    """
    if not all((folder / name).is_file() for name in names):
        raise LogError(f"{folder} is not {source}: expected {', '.join(names)}, found {found_in(folder)}")


def found_in(folder: Path) -> str:
    """What is in a folder, for messages: the first names, or that there is none."""
    if not folder.is_dir():
        return "no such folder"
    return ", ".join(sorted(file.name for file in folder.iterdir())[:_SHOWN]) or "an empty folder"
