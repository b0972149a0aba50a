"""For the site: links that lead out of docs/ become the path of the file in the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by MkDocs for each page, with its text."""
    here = Path(page.file.abs_src_path).parent

    def shown(match: re.Match[str]) -> str:
        target = (here / match[2]).resolve()
        if target.is_relative_to(DOCS) and not target.is_dir():
            return match[0]  # MkDocs checks that it is there
        if not target.exists():
            raise FileNotFoundError(f"{page.file.src_path} links to {match[2]}, which is not there")
        path = target.relative_to(DOCS.parent).as_posix()
        return f"`{path}`" if match[1].strip("`").endswith(Path(path).name) else f"{match[1]} (`{path}`)"

    return _LINK.sub(shown, markdown)
