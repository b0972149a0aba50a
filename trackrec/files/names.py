"""Names that become files: of recipes, tables and stages."""

from __future__ import annotations

import re

from trackrec.errors import RunError

_BAD = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


CHECKPOINTS = "checkpoints"
"""Folder, in a run's, of the states of trainings that are under way."""
EXPORT_MARK = "trackrec-export.json"
"""Says where an export came from; only a folder with it is ever written over."""


def why_not(name: str) -> str:
    """Why a name cannot be that of a file or folder, on any system; "" if it can.

    >>> why_not("movielens-100k")
    ''
    >>> why_not("../elsewhere")
    'it has a path separator or a control character in it'
    """
    if not name.strip():
        return "it is empty"
    if _BAD.search(name):
        return "it has a path separator or a control character in it"
    if name[0] in ".~" or name[-1] in ". ":
        return "it begins with a dot or ~, or ends with a dot or space"
    if len(name.encode()) > 150:
        return "it is longer than 150 bytes"
    return ""


def check_name(name: str, what: str) -> str:
    """The name, if it can be that of a file.

    Raises:
        RunError: it cannot.
    """
    reason = why_not(name)
    if reason:
        raise RunError(f"{what} is called {name!r}, which cannot name a file: {reason}. Choose a plain name")
    return name
