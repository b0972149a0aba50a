"""Several engines as one: the file that names them, and a pool that gives what one fails at to another."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from trackrec.engines.base import Answer, AnswerText, Capabilities, Decoding, Engine, GenerateRequest, Prompt, Score
from trackrec.engines.failures import PASSING, EngineError
from trackrec.errors import RecipeError, WriteError
from trackrec.settings import Settings
from trackrec.yaml_text import read_yaml_file


class EngineFile(Settings):
    """Engines that write, in place of the process itself."""

    engines: list[dict[str, Any]] = Field(min_length=1)
    """Each with ``type`` (openai, torch, ...) and the settings of that type: one endpoint for each GPU, say."""
    prompts: Literal["generator", "teacher"] = "generator"
    """generator: token ids of the run's own prompt, for endpoints that serve its generator. teacher: messages that ask
    any large model for a text with citations."""
    decoding: Decoding | None = None
    """How texts are drawn; null: as the run's generator draws them, or (prompts: teacher) as the teacher `llm` does."""
    chunk: int = Field(default=32, ge=1)
    """Prompts that an engine is given at once; neighbours share their beginning, so that its prefix cache hits."""
    rest: float = Field(default=30.0, ge=0)
    """Seconds for which an engine that failed is given nothing, if others can take its work."""


def read_engines(path: Path) -> list[dict[str, Any]]:
    """The file's content as a list of one tree of settings, for a plan.

    Raises:
        WriteError: there is no such file, or it names no engines.
    """
    try:
        tree = read_yaml_file(path)
        return [EngineFile.model_validate(tree).model_dump(mode="json")]
    except (RecipeError, ValidationError) as error:
        raise WriteError(
            f"{path} names no engines ({error}): expected a YAML file with engines: [{{type: openai, ...}}]"
        ) from error


log = logging.getLogger("trackrec.writing")

_TIMES = 3
"""So often a chunk goes to an engine that fails, before the failure stands."""


class EnginePool:
    """Spreads requests over engines.

    An idle engine takes the next chunk, so that a fast one does more. One that fails gives its chunk back and rests,
    unless it is the last one. Requests that it answers with a failure that may be its own (a 5xx, a timeout) are given
    back too, if there are others to ask; after ``_TIMES`` engines the failure stands as that request's answer.

    Args:
        engines: all able to do the same.
        chunk: requests that an engine is given at once.
        rest: seconds that a failed engine is left alone.
        clock: seconds that go on.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        chunk: int = 32,
        rest: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engines, self.chunk, self.rest = list(engines), chunk, rest
        self._clock = clock
        self._rests_until = [0.0] * len(self.engines)

    @property
    def name(self) -> str:
        """The first engine's name, and how many there are."""
        return self.engines[0].name if len(self.engines) == 1 else f"{len(self.engines)} x {self.engines[0].name}"

    @property
    def capabilities(self) -> Capabilities:
        """What the first engine can do."""
        return self.engines[0].capabilities

    def generate(self, requests: Sequence[GenerateRequest], n: int, decoding: Decoding) -> list[list[Answer]]:
        """See :class:`trackrec.engines.base.Engine`.

        Raises:
            EngineError: a chunk failed at several engines, or all engines failed.
        """
        job = _Job(requests, self.chunk, _TIMES if len(self.engines) > 1 else 1)
        threads = [
            threading.Thread(target=self._work, args=(number, job, n, decoding), daemon=True)
            for number in range(len(self.engines))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if job.error is not None:
            raise job.error
        return [job.answers[place] for place in range(len(requests))]

    def score(self, prefixes: Sequence[Prompt], answers: Sequence[AnswerText]) -> list[Score]:
        """See :class:`trackrec.engines.base.Engine`; the first engine that does not rest is asked."""
        now = self._clock()
        awake = [engine for engine, until in zip(self.engines, self._rests_until, strict=True) if until <= now]
        return (awake or self.engines)[0].score(prefixes, answers)

    def _work(self, number: int, job: _Job, n: int, decoding: Decoding) -> None:
        engine = self.engines[number]
        while not job.is_over:
            if self._clock() < self._rests_until[number] and self._others_are_awake(number):
                time.sleep(0.05)
                continue
            chunk = job.take()
            if chunk is None:
                time.sleep(0.01)  # another engine may still give its chunk back
                continue
            try:
                answers = engine.generate([job.requests[place] for place in chunk], n, decoding)
            except (EngineError, OSError) as error:
                log.warning("the engine %s failed: %s", engine.name, error)
                self._rests_until[number] = self._clock() + self.rest
                job.give_back(chunk, error)
                continue
            lost = tuple(place for place, group in zip(chunk, answers, strict=True) if _has_failed(group))
            if lost:
                log.warning("the engine %s gave no answer to %d of %d requests", engine.name, len(lost), len(chunk))
            if len(lost) == len(chunk):
                self._rests_until[number] = self._clock() + self.rest
            job.done(chunk, answers, lost)

    def _others_are_awake(self, number: int) -> bool:
        now = self._clock()
        return any(until <= now for other, until in enumerate(self._rests_until) if other != number)


class _Job:
    """The chunks of one call."""

    def __init__(self, requests: Sequence[GenerateRequest], size: int, times: int) -> None:
        self.requests, self._times = requests, times
        order = sorted(range(len(requests)), key=lambda place: _beginning(requests[place]))
        self._left = deque(tuple(order[start : start + size]) for start in range(0, len(order), size))
        self._failures: dict[tuple[int, ...], int] = {}
        self._running = 0
        self._lock = threading.Lock()
        self.answers: dict[int, list[Answer]] = {}
        self.error: Exception | None = None

    @property
    def is_over(self) -> bool:
        with self._lock:
            return self.error is not None or (not self._left and not self._running)

    def take(self) -> tuple[int, ...] | None:
        with self._lock:
            if not self._left:
                return None
            self._running += 1
            return self._left.popleft()

    def give_back(self, chunk: tuple[int, ...], error: Exception) -> None:
        with self._lock:
            self._running -= 1
            self._failures[chunk] = self._failures.get(chunk, 0) + 1
            if self._failures[chunk] >= _TIMES:
                self.error = error
            self._left.appendleft(chunk)

    def done(self, chunk: tuple[int, ...], answers: list[list[Answer]], lost: tuple[int, ...]) -> None:
        """Keep the answers; those to ``lost`` only until another engine has given better ones."""
        with self._lock:
            self._running -= 1
            self.answers |= dict(zip(chunk, answers, strict=True))
            failures = self._failures.get(chunk, 0) + 1
            if lost and failures < self._times:
                self._failures[lost] = failures
                self._left.append(lost)


def _has_failed(answers: list[Answer]) -> bool:
    """Whether a request failed in a way that another engine may not."""
    return any(answer.failure in PASSING for answer in answers)


def _beginning(request: GenerateRequest) -> tuple[str, tuple[int, ...]]:
    """What sorts requests so that those with the same beginning are neighbours."""
    messages = "\x00".join(message.content for message in request.messages or ())
    return messages, request.token_ids or ()
