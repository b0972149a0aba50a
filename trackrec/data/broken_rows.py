"""Finding the line that makes a file of JSON lines unreadable; looked for only after reading has failed."""

from __future__ import annotations

import json
from pathlib import Path


def broken_line(path: Path) -> str:
    """In words, the first line of a JSON lines file that is no JSON object; "" if all are."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            try:
                value = json.loads(line) if line.strip() else {}
            except (ValueError, RecursionError) as error:
                return f"line {number} is not JSON ({error}), {line[:60].rstrip()!r}"
            if not isinstance(value, dict):
                return f"line {number} is no JSON object, {line[:60].rstrip()!r}"
    return ""
