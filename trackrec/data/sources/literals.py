"""Lines that are Python literals, not JSON, as some data sets of UCSD have them."""

from __future__ import annotations

import ast


def read_literal(line: str) -> dict[str, object]:
    """The dictionary that a line writes; an empty one where it writes none."""
    try:
        value = ast.literal_eval(line.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
