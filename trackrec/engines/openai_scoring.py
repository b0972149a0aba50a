"""Scoring at an endpoint: the log-probability of given answers, from what it tells of its most likely tokens.

Three ways, by what the endpoint can: the whole answer echoed as the end of the prompt (vLLM); token by token, the
answer so far as part of the prompt (llama.cpp); the first token of a chat's turn (services).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trackrec.engines.base import AnswerText, Prompt, Score, Usage
from trackrec.engines.bodies import FORM, TopToken, echo_body, most_tokens, read_echo, read_top, score_body
from trackrec.engines.cache import key_of
from trackrec.engines.calls import CallResult, Job
from trackrec.engines.failures import EngineError, FailureKind
from trackrec.engines.openai_settings import ECHOES

if TYPE_CHECKING:
    from trackrec.engines.calls import Calls

Row = Mapping[str, Any]
"""What the cache keeps of a call: ``top`` (text, log-probability and id of each token) or ``echo`` (a number)."""


class Scorer:
    """Scores the same answers after many prefixes.

    Args:
        calls: of the endpoint.
        answers: texts, or token ids where the prefixes are token ids.
    """

    def __init__(self, calls: Calls, answers: Sequence[AnswerText]) -> None:
        self.calls, self.answers = calls, answers
        self._skipped: dict[str, FailureKind] = {}

    def needs(self, prefixes: Sequence[Prompt]) -> list[str]:
        """The capabilities that this takes.

        Raises:
            EngineError: answers as token ids after chat messages, or as text after token ids.
        """
        for prefix in prefixes:
            if any(isinstance(answer, str) != bool(prefix.messages) for answer in self.answers):
                raise EngineError(
                    f"the engine {self.calls.name} scores texts after messages and token ids after token ids; got "
                    f"{self.answers!r} after {'messages' if prefix.messages else 'token ids'}. Encode both the same way"
                )
        longest = max(1 if isinstance(answer, str) else len(answer) for answer in self.answers)
        if longest == 0 or "" in self.answers:
            raise EngineError(f"an empty answer cannot be scored: got {self.answers!r}")
        return ["scoring", "long_answers"] if longest > 1 else ["scoring"]

    def score(self, prefixes: Sequence[Prompt]) -> list[Score]:
        """One score a prefix."""
        if self.calls.settings.server in ECHOES and prefixes and prefixes[0].token_ids:
            return self._by_echo(prefixes)
        places = [prefix for prompt in prefixes for prefix in self._places(prompt)]
        keys = [self._key(place, None) for place in places]
        rows = self._ask(keys, [self._top_job(key, place) for key, place in zip(keys, places, strict=True)])
        tops = {(place.messages, place.token_ids): rows.get(key) for place, key in zip(places, keys, strict=True)}
        return [self._from_tops(prompt, tops) for prompt in prefixes]

    def _places(self, prompt: Prompt) -> list[Prompt]:
        """Where the next token must be known: after the prompt, and inside each answer of several tokens."""
        places = {_after(prompt, ()): None}
        for answer in self.answers:
            if not isinstance(answer, str):
                places |= {_after(prompt, answer[:length]): None for length in range(1, len(answer))}
        return list(places)

    def _from_tops(self, prompt: Prompt, tops: Mapping[Any, Row | None]) -> Score:
        values, exact = [], []
        for answer in self.answers:
            steps: Sequence[str | int] = [answer] if isinstance(answer, str) else answer
            total, known = 0.0, True
            for number, step in enumerate(steps):
                place = prompt if isinstance(answer, str) else _after(prompt, answer[:number])
                row = tops[place.messages, place.token_ids]
                if row is None:
                    return self._failed("connection", self._key(place, None))
                value, told = find_token([TopToken(*token) for token in row["top"]], step)
                total, known = total + value, known and told
            values.append(total)
            exact.append(known)
        if not any(exact):
            return Score(tuple(math.nan for _ in values), tuple(exact), "answer_not_seen")
        return Score(tuple(values), tuple(exact))

    def _by_echo(self, prefixes: Sequence[Prompt]) -> list[Score]:
        ids = [answer for answer in self.answers if not isinstance(answer, str)]
        pairs = [(prompt, answer) for prompt in prefixes for answer in ids]
        keys = [self._key(prompt, answer) for prompt, answer in pairs]
        jobs = [self._echo_job(key, *pair) for key, pair in zip(keys, pairs, strict=True)]
        rows = self._ask(keys, jobs)
        scores, each = [], len(self.answers)
        for start in range(0, len(keys), each):
            own = keys[start : start + each]
            lost = next((key for key in own if key not in rows), None)
            found = tuple(float(rows[key]["echo"]) for key in own) if lost is None else ()
            scores.append(Score(found, (True,) * each) if lost is None else self._failed("connection", lost))
        return scores

    def _failed(self, kind: FailureKind, key: str) -> Score:
        nothing = tuple(math.nan for _ in self.answers)
        return Score(nothing, (False,) * len(nothing), self._skipped.get(key, kind))

    def _ask(self, keys: Sequence[str], jobs: Sequence[Job]) -> dict[str, Row]:
        """The rows of the cache for these keys; what is missing is asked for."""
        cache = self.calls.cache
        missing = {key: job for key, job in zip(keys, jobs, strict=True) if not cache.get(key, 1)}
        self._skipped = self.calls.run(missing)
        return {key: found[0] for key in dict.fromkeys(keys) if (found := cache.get(key, 1))}

    def _key(self, prompt: Prompt, answer: Sequence[int] | None) -> str:
        settings = self.calls.settings
        body = score_body(settings, prompt) if answer is None else echo_body(settings, prompt, answer)
        return key_of({"form": FORM, "base_url": settings.base_url, "score": body})

    def _top_job(self, key: str, prompt: Prompt) -> Job:
        def read(body: dict[str, Any]) -> Row:
            top = read_top(body)
            if not top:
                raise _no_log_probabilities(self.calls.name)
            return {"top": [[token.text, token.log_probability, token.token_id] for token in top]}

        return self._job(key, score_body(self.calls.settings, prompt), most_tokens(prompt, 1, 1), read)

    def _echo_job(self, key: str, prompt: Prompt, answer: tuple[int, ...]) -> Job:
        body = echo_body(self.calls.settings, prompt, answer)
        most = most_tokens(prompt, 1, 1) + Usage(len(answer), 0)
        return self._job(key, body, most, lambda reply: {"echo": read_echo(reply, answer)})

    def _job(self, key: str, body: Mapping[str, Any], most: Usage, read: Callable[[dict[str, Any]], Row]) -> Job:
        def ask() -> FailureKind | None:
            calls = self.calls
            if calls.cache.get(key, 1):
                return None
            paid = calls.call(key, body, most, read)
            if not isinstance(paid, CallResult):
                return paid
            calls.cache.put(key, 0, [paid.found], paid.usage, paid.money, calls.prices, calls.settings.model)
            return None

        return ask


def _after(prompt: Prompt, ids: tuple[int, ...]) -> Prompt:
    """A prompt with the beginning of an answer behind it."""
    return Prompt(prompt.messages, None if prompt.messages else (*(prompt.token_ids or ()), *ids))


def find_token(top: Sequence[TopToken], wanted: str | int) -> tuple[float, bool]:
    """The log-probability of a token among the most likely ones.

    Args:
        top: the most likely tokens at a place.
        wanted: its id, or its text. A text counts with and without a space before it, as models begin their turn.

    Returns:
        It and True; or, if it is not among them, the most that it can be and False: it is no likelier than the last of
        them, and than what all of them leave.
    """
    if isinstance(wanted, int):
        found = [token.log_probability for token in top if token.token_id == wanted]
    else:
        found = [token.log_probability for token in top if token.text.strip(" \n▁") == wanted]
    if found:
        return math.log(sum(math.exp(value) for value in found)), True
    left = 1.0 - sum(math.exp(token.log_probability) for token in top)
    return min(min(token.log_probability for token in top), math.log(max(left, 1e-12))), False


def _no_log_probabilities(name: str) -> EngineError:
    return EngineError(
        f"the engine {name} was asked for the most likely tokens and tells none. Add `lacks: [log_probabilities, "
        "scoring]` to its settings, and score with another engine"
    )
