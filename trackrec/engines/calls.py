"""Calls of an endpoint: many at a time, each tried again as its failure deserves, under limits and a budget."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from trackrec.engines.base import Usage
from trackrec.engines.bodies import read_usage
from trackrec.engines.budget import Budget, find_prices
from trackrec.engines.cache import AnswerCache
from trackrec.engines.failures import PASSING, POLICIES, BudgetError, EngineError, FailedCallError, FailureKind, backoff
from trackrec.engines.limits import Limits
from trackrec.engines.openai_settings import OpenAISettings
from trackrec.engines.transport import Transport

log = logging.getLogger("trackrec.engines")

Job = Callable[[], FailureKind | None]
"""Work on one request; returns why it was skipped, or None."""


@dataclass(frozen=True)
class CallResult:
    """What a good call brought, and what it cost."""

    found: Any
    usage: Usage
    money: Decimal | None


class Calls:
    """The calls of one engine.

    Args:
        settings: the endpoint.
        cache: opens the cache of answers, once consent, key and prices are there.
        name: the engine's, for messages.
        sleep: waits so many seconds.

    Raises:
        ConsentError, EngineError: as ``Transport`` and ``find_prices``; nothing is sent.
    """

    def __init__(
        self, settings: OpenAISettings, cache: Callable[[], AnswerCache], name: str, sleep: Callable[[float], object]
    ) -> None:
        self.settings, self.name, self._sleep = settings, name, sleep
        self.transport = Transport(settings)
        self.budget = Budget(settings.budget, find_prices(settings.budget, settings.model, settings.base_url))
        self.cache = cache()
        self.limits = Limits(settings.requests_per_minute, settings.tokens_per_minute, sleep=sleep)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._failed_in_a_row = 0

    @property
    def prices(self) -> str | None:
        """Name of the price list; None: no list knows the model."""
        return None if self.budget.prices is None else self.budget.prices.name

    def run(self, jobs: Mapping[str, Job]) -> dict[str, FailureKind]:
        """Do jobs in parallel, each while no other process does it.

        Args:
            jobs: by key; each returns why it was skipped, or None.

        Returns:
            The jobs that were skipped, and why.

        Raises:
            BudgetError, EngineError: a job stopped everything; the jobs under way were finished first.
        """
        self._stopping.clear()
        self._failed_in_a_row = 0
        stopped: list[BaseException] = []
        skipped: dict[str, FailureKind] = {}
        done = 0

        def work(key: str) -> None:
            nonlocal done
            try:
                if not self._claimed(key):
                    return
                try:
                    kind = jobs[key]()
                finally:
                    self.cache.release(key)
                with self._lock:
                    done += kind is None
                    if kind is not None:
                        skipped[key] = kind
            except _StoppedError:
                return
            except BaseException as error:
                stopped.append(error)
                self._stopping.set()

        with ThreadPoolExecutor(min(self.settings.concurrency, max(1, len(jobs)))) as pool:
            try:
                list(pool.map(work, jobs))
            except BaseException:  # an interrupt: what is under way ends and is kept
                self._stopping.set()
                raise
        if stopped:
            self._raise(stopped[0], done, len(jobs))
        return skipped

    def _raise(self, error: BaseException, done: int, jobs: int) -> None:
        """Say what is kept and what is left, beside what went wrong."""
        if not isinstance(error, (EngineError, FailedCallError)):
            raise error
        kept = f"{done} of {jobs} requests were answered now, all are kept in {self.cache.path}; {self.budget.bill()}"
        if isinstance(error, BudgetError):
            raise BudgetError(
                f"the budget of {self.name} has ended: {error}. {kept}. {jobs - done} requests are left: run the same "
                "command again (each command may spend the ceiling anew), or raise budget"
            ) from error
        if isinstance(error, FailedCallError):
            policy = POLICIES[error.kind]
            raise EngineError(
                f"{self.name} failed ({error.kind.replace('_', ' ')}): {error.message}. {kept}. "
                f"What to do: {policy.advice}; then run the same command again"
            ) from error
        raise error

    def _claimed(self, key: str) -> bool:
        """Whether this process may ask for a key now; waits while another one does. False: everything stops."""
        while not self._stopping.is_set():
            if self.cache.claim(key, self._patience):
                return True
            time.sleep(0.05)
        return False

    @property
    def _patience(self) -> float:
        """Seconds that a claim holds: one call and the longest pause between two."""
        return self.settings.timeout + 630.0

    def call(
        self, key: str, body: Mapping[str, Any], most: Usage, read: Callable[[dict[str, Any]], Any]
    ) -> CallResult | FailureKind:
        """One call with its tries, under limits and budget.

        Args:
            key: whose claim is renewed.
            body: what is sent.
            most: the most tokens that it may take.
            read: reads the reply's body; where it cannot, the call has failed.

        Returns:
            What was read and what it cost, or why the request is skipped.

        Raises:
            BudgetError: the ceiling was reached.
            FailedCallError: a failure that stops everything.
        """
        tries = 0
        while True:
            use = self.limits.wait(most.tokens, self._stopping.is_set)
            if use is None or self._stopping.is_set():
                raise _StoppedError
            self.cache.claim(key, self._patience)
            self.budget.hold(most)
            usage: Usage | None = None
            try:
                reply = self.transport.post(body)
                self.limits.read(reply.headers)
                usage = read_usage(reply.body)
                found = _read(read, reply.body)
            except FailedCallError as error:
                money = self.budget.settle(most, usage)
                self.limits.settle(use, usage.tokens if usage else 0)
                if usage is not None:  # paid, and of no use
                    self.cache.put(key, 0, [], usage, money, self.prices, self.settings.model, error.kind)
                self._after(error, tries, key)
                if tries >= self._tries(error.kind):
                    return error.kind
                tries += 1
                continue
            except BaseException:
                self.budget.settle(most, usage)
                raise
            self.limits.settle(use, usage.tokens)
            self._failed_in_a_row = 0
            return CallResult(found, usage, self.budget.settle(most, usage))

    def _tries(self, kind: FailureKind) -> int:
        tries = POLICIES[kind].tries
        return self.settings.retries if tries is None else tries

    def _after(self, error: FailedCallError, tries: int, key: str) -> None:
        """Wait before the next try, or decide that there is none for anybody."""
        policy = POLICIES[error.kind]
        if tries < self._tries(error.kind):
            seconds = backoff(tries, error.wait, key)
            log.info("%s: %s; trying again in %.1f s", self.name, error, seconds)
            if error.kind == "rate_limited":
                self.limits.pause(seconds)
            elif not self._stopping.is_set():
                self._sleep(seconds)
            return
        if policy.then == "stop":
            raise error
        if error.kind in PASSING:
            with self._lock:
                self._failed_in_a_row += 1
                if self._failed_in_a_row >= self.settings.give_up_after:
                    raise error
        log.warning("%s: a request is skipped: %s (%s)", self.name, error, policy.advice)


def _read(read: Callable[[dict[str, Any]], Any], body: dict[str, Any]) -> Any:
    """What ``read`` finds in a reply; a reply of another shape than the API's is a failure of the call."""
    try:
        return read(body)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise FailedCallError("half_answer", f"the answer has another shape than expected ({error!r})") from error


class _StoppedError(Exception):
    """Another job stopped everything before this one began."""
