"""Ids in paths: ``{user_id:id}`` is one part of a path as it was sent, its escapes undone."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.convertors import Convertor, register_url_convertor


class PathId(Convertor[str]):
    """An id may hold an escaped slash; the guard leaves the path as it was sent."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        """From the path."""
        return unquote(value, errors="replace")

    def to_string(self, value: str) -> str:
        """Into a path."""
        return re.sub(r"[^A-Za-z0-9_.-]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), value)


register_url_convertor("id", PathId())
