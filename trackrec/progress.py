"""Progress for people: a bar with a time estimate in a terminal, a few plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

Advance = Callable[[int, bool], None]
"""Called with (items done, whether they took work now or were found done)."""


class Reporter:
    """Where progress and short lines go.

    Args:
        console: a Rich console; None keeps silent.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console
        self.started = time.monotonic()

    def line(self, text: str, style: str = "") -> None:
        """Print one line, as it is: brackets in it are no markup."""
        if self.console is not None:
            minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
            told = Text.assemble((f"{minutes:3d}:{seconds:02d}", "dim"), "  ", (text, style))
            self.console.print(told, soft_wrap=True)

    @contextmanager
    def bar(self, title: str, total: int, unit: str, started: float | None = None) -> Iterator[Advance]:
        """A progress bar; without a terminal, a line at every fifth of the way.

        ``started`` is the monotonic time since when the work has been going on, if that is not now.
        """
        if self.console is None or total == 0:
            yield lambda count, worked: None
        elif self.console.is_terminal:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(unit, markup=False),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self.console, transient=True) as progress:
                task = progress.add_task(title, total=total)
                yield lambda count, worked: progress.advance(task, count)
        else:
            yield self._lines(title, total, unit, started or time.monotonic())

    @contextmanager
    def steps(self, title: str, unit: str = "steps") -> Iterator[Callable[[int, int], None]]:
        """A progress bar of a training, which learns its length when it is first told (steps done, steps in all)."""
        started = time.monotonic()
        with ExitStack() as stack:
            state: dict[str, Any] = {"done": 0}

            def progress(done: int, total: int) -> None:
                if "advance" not in state:
                    state["advance"] = stack.enter_context(self.bar(title, total, unit, started))
                state["advance"](done - state["done"], True)
                state["done"] = done

            yield progress

    def _lines(self, title: str, total: int, unit: str, started: float) -> Advance:
        state = {"done": 0, "worked": 0, "next": 1}

        def advance(count: int, worked: bool) -> None:
            state["done"] += count
            state["worked"] += count if worked else 0
            if state["done"] * 5 >= state["next"] * total and state["done"] < total:
                while state["done"] * 5 >= state["next"] * total:
                    state["next"] += 1
                rate = (time.monotonic() - started) / max(1, state["worked"])
                left = rate * (total - state["done"])
                self.line(f"{title}: {state['done']} of {total} {unit}, about {left:.0f} s left")

        return advance


@contextmanager
def no_foreign_bars() -> Iterator[None]:
    """Load a model without transformers' own bar, which would be drawn over what the command says."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
