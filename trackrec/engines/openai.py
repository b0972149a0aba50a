"""The engine ``openai``: any endpoint that speaks the OpenAI API, paid or your own."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from trackrec.assets import asset_folder
from trackrec.engines.base import (
    Answer,
    AnswerText,
    Capabilities,
    Decoding,
    GenerateRequest,
    Prompt,
    Score,
    Usage,
    check_request,
    require,
)
from trackrec.engines.bodies import generate_body, most_tokens, read_answers, request_key
from trackrec.engines.budget import Bill, Estimate
from trackrec.engines.cache import AnswerCache
from trackrec.engines.calls import CallResult, Calls, Job
from trackrec.engines.failures import POLICIES, EngineError, FailureKind
from trackrec.engines.openai_scoring import Scorer
from trackrec.engines.openai_settings import OpenAISettings

log = logging.getLogger("trackrec.engines")


@dataclass(frozen=True)
class _Wanted:
    """A request whose first ``n`` texts are wanted."""

    key: str
    request: GenerateRequest
    n: int


class OpenAIEngine:
    """Writes and scores at an endpoint.

    Every answer is in the cache before anything else happens to it; what the cache has is not asked again, by this
    process or another one. Failures are handled by their kind (``failures.POLICIES``), limits and budget are kept
    across all threads.

    Args:
        settings: the endpoint.
        cache: of answers; None opens the one that the settings name.
        sleep: waits so many seconds; tests pass one that does not.

    Raises:
        ConsentError: the settings do not consent; nothing is sent.
        EngineError: no key, no client, no such price; nothing is sent.
    """

    Settings = OpenAISettings

    @classmethod
    def make(cls, settings: OpenAISettings, context: None = None) -> Self:
        """See :mod:`trackrec.registry`."""
        return cls(settings)

    def __init__(
        self,
        settings: OpenAISettings,
        cache: AnswerCache | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.settings = settings
        # Consent, key and prices come before the first file is made.
        self.calls = Calls(settings, lambda: cache or _open_cache(settings), self.name, sleep)
        self.cache = self.calls.cache
        log.info("the engine %s sends %s", self.name, settings.what_leaves())

    @property
    def name(self) -> str:
        """Model and host."""
        return f"openai ({self.settings.model} at {self.settings.host})"

    @property
    def capabilities(self) -> Capabilities:
        """What the endpoint can do, by its settings."""
        return self.settings.capabilities

    def generate(self, requests: Sequence[GenerateRequest], n: int, decoding: Decoding) -> list[list[Answer]]:
        """Write ``n`` texts for each request; see ``Engine``.

        Raises:
            BudgetError: the ceiling was reached; run again to go on.
            EngineError: the endpoint lacks what is asked, or a failure that concerns all requests.
        """
        check_request(self, requests, n, decoding)
        keys = [request_key(self.settings, request, decoding) for request in requests]
        self.cache.link([(r.subject, key) for r, key in zip(requests, keys, strict=True) if r.subject is not None])
        had = {key: len(self.cache.get(key, n)) for key in set(keys)}
        jobs = {key: _Wanted(key, r, n) for key, r in zip(keys, requests, strict=True) if had[key] < n}
        if jobs:
            log.info("%s: %s", self.name, self.estimate(requests, n, decoding))
        skipped = self.calls.run({key: self._generator(job, decoding) for key, job in jobs.items()})
        results = []
        for key in keys:
            kept = [_answer(row, place < had[key]) for place, row in enumerate(self.cache.get(key, n))]
            lost = Answer("", "none", skipped.get(key))
            results.append([*kept, *[lost] * (n - len(kept))])
        if jobs:
            log.info("%s: %s", self.name, self.bill())
        return results

    def score(self, prefixes: Sequence[Prompt], answers: Sequence[AnswerText]) -> list[Score]:
        """Log-probability of each answer right after each prefix; see ``Engine`` and ``openai_scoring``.

        Raises:
            BudgetError, EngineError: as ``generate``.
        """
        if not answers:
            raise EngineError(f"the engine {self.name} was asked to score no answers; expected one or more")
        check_request(self, prefixes, 1, None)
        scorer = Scorer(self.calls, answers)
        require(self, scorer.needs(prefixes), "this scoring")
        return scorer.score(prefixes)

    def estimate(self, requests: Sequence[GenerateRequest], n: int, decoding: Decoding) -> Estimate:
        """The most that ``generate`` may take; nothing is sent."""
        calls, kept, most, seen = 0, 0, Usage(), set()
        for request in requests:
            key = request_key(self.settings, request, decoding)
            if key in seen:
                continue
            seen.add(key)
            have = len(self.cache.get(key, n))
            kept += have
            if have < n:
                times = math.ceil((n - have) / self.settings.together)
                once = most_tokens(request, 1, decoding.max_new_tokens)
                calls += times
                most += Usage(times * once.prompt_tokens, (n - have) * once.completion_tokens)
        return Estimate(calls, kept, most, self.calls.budget.cost(most), self.calls.prices)

    def bill(self) -> Bill:
        """What this engine spent so far; ``cache.bill()`` is what all commands did."""
        return self.calls.budget.bill()

    def close(self) -> None:
        """Close the connections and the cache."""
        self.calls.transport.close()
        self.cache.close()

    def _generator(self, job: _Wanted, decoding: Decoding) -> Job:
        def write() -> FailureKind | None:
            while True:
                first = len(self.cache.get(job.key, job.n))  # another process may have answered meanwhile
                if first >= job.n:
                    return None
                kind = self._write(job, first, min(job.n - first, self.settings.together), decoding)
                if kind is not None:
                    return kind

        return write

    def _write(self, job: _Wanted, first: int, count: int, decoding: Decoding) -> FailureKind | None:
        """Texts from sample ``first`` on, into the cache; returns why there are none."""
        malformed = 0
        while True:
            body = generate_body(self.settings, job.request, first, count, decoding, attempt=malformed)
            most = most_tokens(job.request, count, decoding.max_new_tokens)

            paid = self.calls.call(job.key, body, most, lambda reply: read_answers(reply, decoding)[:count])
            if not isinstance(paid, CallResult):
                return paid
            answers: list[Answer] = paid.found
            again = malformed < (POLICIES["malformed"].tries or 0) and decoding.temperature > 0
            useless = again and all(answer.failure == "malformed" for answer in answers)
            rows = [] if useless else [asdict(replace(answer, cached=False)) for answer in answers]
            outcome = "malformed" if useless else "answered"
            bill = (paid.usage, paid.money, self.calls.prices, self.settings.model, outcome)
            self.cache.put(job.key, first, rows, *bill)
            if not useless:
                return None
            malformed += 1


def _open_cache(settings: OpenAISettings) -> AnswerCache:
    return AnswerCache(Path(settings.cache) if settings.cache else asset_folder() / "answers.sqlite")


def _answer(row: dict[str, Any], cached: bool) -> Answer:
    """An answer as it was kept."""
    fields = {**row, "usage": Usage(**row["usage"]), "cached": cached}
    for name in ("token_ids", "log_probabilities"):
        fields[name] = None if row[name] is None else tuple(row[name])
    return Answer(**fields)
