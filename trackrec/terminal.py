"""What reaches the terminal: text of logs, titles and models is shown, never obeyed."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters: escape sequences begin with one
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the direction of what follows
    "\ud800-\udfff]"  # bytes of a file's name that are no text, which no terminal takes
)


def harmless(text: str) -> str:
    r"""The text with what a terminal would obey written out; line ends and tabs stay.

    >>> harmless("Fargo\x1b[2J")
    'Fargo\\x1b[2J'
    """
    return _OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


class Terminal(Console):
    """A Rich console that nothing printed through can make obey: control characters are written out.

    Args:
        settings: as Rich takes them. Names between colons, as ``:bomb:``, stay as they are unless ``emoji`` says so.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**({"emoji": False} | settings))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As Rich does, with the text of each piece made harmless. Rich's own control codes are pieces of their own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)

    def say(self, text: object, style: str = "") -> None:
        """Print a line of text as it is: brackets in it are no markup."""
        self.print(Text(str(text), style=style), soft_wrap=True)

    def error(self, text: object) -> None:
        """Print an error made for users."""
        self.print(Text.assemble(("Error:", "bold red"), " ", str(text)), soft_wrap=True)


def log_harmlessly() -> None:
    """Send log lines to stderr, of which a terminal obeys nothing; for a process that is a command line, or a worker
    of one."""
    handler = logging.StreamHandler()
    handler.setFormatter(HarmlessFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def print_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """As ``sys.excepthook``: the traceback of a fault of ours, in whose message may be any text of a log."""
    sys.stderr.write(harmless("".join(traceback.format_exception(kind, error, trace))))


class HarmlessFormatter(logging.Formatter):
    """Log lines of which a terminal obeys nothing."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with control characters written out."""
        return harmless(super().format(record))
