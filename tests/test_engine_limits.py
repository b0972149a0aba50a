"""Limits of an endpoint on a clock of the test's own."""

from __future__ import annotations

import pytest

from trackrec.engines.failures import backoff, is_refusal, seconds_asked
from trackrec.engines.limits import Limits
from trackrec.prompts.thinking import cut_thinking


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def gone(limits: Limits, clock: Clock, tokens: list[int]) -> list[float]:
    """When requests of these tokens went, in seconds from the start."""
    times = []
    for number in tokens:
        limits.wait(number)
        times.append(round(clock.now - 1000.0, 6))
    return times


def test_no_minute_has_more_requests_than_the_limit() -> None:
    clock = Clock()
    limits = Limits(3, None, clock, clock.sleep)
    assert gone(limits, clock, [1] * 7) == [0, 0, 0, 60, 60, 60, 120]


def test_no_minute_has_more_tokens_than_the_limit() -> None:
    clock = Clock()
    limits = Limits(None, 100, clock, clock.sleep)
    assert gone(limits, clock, [60, 40, 10, 90, 500]) == [0, 0, 60, 60, 120]


def test_what_a_request_really_took_counts() -> None:
    clock = Clock()
    limits = Limits(None, 100, clock, clock.sleep)
    use = limits.wait(90)
    assert use is not None
    limits.settle(use, 10)
    assert gone(limits, clock, [90, 1]) == [0, 60]


def test_a_pause_holds_for_all() -> None:
    clock = Clock()
    limits = Limits(None, None, clock, clock.sleep)
    limits.pause(7.5)
    assert gone(limits, clock, [1, 1]) == [7.5, 7.5]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2s"}, 62),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "20s"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "90h"}, 600),
        ({}, 0),
    ],
)
def test_headers_of_an_endpoint_are_heeded(headers: dict[str, str], seconds: float) -> None:
    clock = Clock()
    limits = Limits(None, None, clock, clock.sleep)
    limits.read(headers)
    assert gone(limits, clock, [1]) == [seconds]


def test_waiting_ends_when_everything_stops() -> None:
    clock = Clock()
    limits = Limits(1, None, clock, clock.sleep)
    limits.wait(1)
    assert limits.wait(1, lambda: clock.now > 1010) is None
    assert clock.now < 1020


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12),
        ({"retry-after-ms": "250", "retry-after": "12"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30),
        ({"retry-after": "later"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert seconds_asked(headers, 1445412450.0) == seconds  # half a minute before that date


def test_the_wait_doubles_and_the_endpoints_word_goes_first() -> None:
    waits = [backoff(attempt, None, "a") for attempt in range(10)]
    assert all(2.0**n / 2 <= wait <= 2.0**n for n, wait in enumerate(waits[:6]))
    assert max(waits) <= 60
    assert backoff(0, 12.0, "a") == 12.0
    assert backoff(0, 1e9, "a") == 600.0
    assert backoff(0, None, "a") != backoff(0, None, "b"), "many requests do not come back at once"


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I cannot help with that.", True),
        ("I’m sorry, but I can’t assist with that request.", True),
        ("I'm unable to help with this.", True),
        ("I cannot help but think of westerns.", False),
        ("They cannot help themselves: thrillers, always.", False),
        ("I'm sorry, this viewer likes nothing.", False),
    ],
)
def test_refusals_are_told_from_texts(text: str, refused: bool) -> None:
    assert is_refusal(text) == refused


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("They like crime.", "They like crime."),
        ("<think>a</think>They like <b>crime</b>.", "They like <b>crime</b>."),
        ("a, the tag was in the prompt</think>\nThey like crime.", "They like crime."),
        ("<think>never ends", ""),
        ("<THINKING>x</THINKING> one <think>y</think>two", "one two"),
        ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Crime.", "Crime."),
        ("<|channel|>analysis<|message|>hm", ""),
        ("2 < 3 and <thin>", "2 < 3 and <thin>"),
    ],
)
def test_thoughts_are_cut_off_and_counted(text: str, kept: str) -> None:
    assert cut_thinking(text) == (kept, len(text) - len(kept) if kept != text else 0)


def test_a_million_open_tags_take_no_time() -> None:
    assert cut_thinking("<think>" * 1_000_000 + "x")[0] == ""
