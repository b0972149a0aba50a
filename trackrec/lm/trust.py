"""Whether code that comes with a model may run: said by the person at the keyboard, never by a file."""

from __future__ import annotations

_given = [False]


def trust_remote_code(given: bool) -> None:
    """Allow this process, or forbid it, to run code that comes with a language model."""
    _given[0] = given


def remote_code_is_trusted() -> bool:
    """Whether it was allowed."""
    return _given[0]
