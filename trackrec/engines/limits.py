"""Limits an endpoint sets: requests and tokens a minute, and the pauses that it asks for."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MINUTE = 60.0

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read_duration(text: str) -> float | None:
    """Seconds of an ``x-ratelimit-reset-*`` header; None if it is none.

    >>> read_duration("6m0.5s"), read_duration("20ms"), read_duration("3"), read_duration("soon")
    (360.5, 0.02, 3.0, None)
    """
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(f"(?:{_PART.pattern})+", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


@dataclass
class _Use:
    """One request of the last minute."""

    at: float
    tokens: int


class Limits:
    """Lets requests through as fast as an endpoint takes them, from any number of threads.

    In no 60 seconds more than the two limits go out, and none before a pause that the endpoint asked for is over. A
    request of more tokens than the limit goes when nothing else went in the last minute.

    Args:
        requests_per_minute: None: as many as come.
        tokens_per_minute: read and written; None: as many as come.
        clock: seconds that only grow.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.requests, self.tokens = requests_per_minute, tokens_per_minute
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._uses: deque[_Use] = deque()
        self._free_at = 0.0

    def wait(self, tokens: int, stopping: Callable[[], bool] = lambda: False) -> _Use | None:
        """Wait until a request of so many tokens may go, and note that it went.

        Args:
            tokens: the most that it may take.
            stopping: asked about once a second; waiting ends when it says so.

        Returns:
            The note, for ``settle``; None: stopped.
        """
        while not stopping():
            with self._lock:
                now = self._clock()
                pause = self._pause(now, tokens)
                if pause <= 0:
                    use = _Use(now, tokens)
                    self._uses.append(use)
                    return use
            self._sleep(min(pause, 1.0))
        return None

    def settle(self, use: _Use, tokens: int) -> None:
        """Put what a request really took in the place of what was expected."""
        with self._lock:
            use.tokens = tokens

    def pause(self, seconds: float) -> None:
        """Let nothing out for so long."""
        with self._lock:
            self._free_at = max(self._free_at, self._clock() + seconds)

    def read(self, headers: Mapping[str, str]) -> None:
        """Heed ``x-ratelimit-remaining-*`` and ``x-ratelimit-reset-*``: when nothing remains, wait for the reset."""
        for kind in ("requests", "tokens"):
            remaining, reset = (headers.get(f"x-ratelimit-{word}-{kind}") for word in ("remaining", "reset"))
            if remaining is None or reset is None or remaining.strip() != "0":
                continue
            seconds = read_duration(reset)
            if seconds is not None:
                self.pause(min(seconds, 600.0))

    def _pause(self, now: float, tokens: int) -> float:
        """Seconds until a request may go; 0 or less: now."""
        while self._uses and self._uses[0].at <= now - MINUTE:
            self._uses.popleft()
        pause = self._free_at - now
        if self.requests is not None and len(self._uses) >= self.requests:
            pause = max(pause, self._uses[-self.requests].at + MINUTE - now)
        if self.tokens is not None:
            room = self.tokens - tokens
            used = sum(use.tokens for use in self._uses)
            for use in self._uses:  # the oldest leave the minute first
                if used <= max(room, 0):
                    break
                used -= use.tokens
                pause = max(pause, use.at + MINUTE - now)
        return pause
