"""What can go wrong with an answer, and what is done about each kind."""

from __future__ import annotations

import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal, get_args

from trackrec.errors import TrackRecError

FailureKind = Literal[
    "rate_limited",
    "server_error",
    "timeout",
    "connection",
    "half_answer",
    "error_in_answer",
    "refused",
    "content_filter",
    "context_too_long",
    "malformed",
    "empty",
    "answer_not_seen",
    "bad_request",
    "wrong_key",
    "unknown_model",
    "no_money",
    "moved",
]
"""Kinds of failure. The first six pass by themselves, the next seven belong to one request, the rest to all of them."""


class EngineError(TrackRecError):
    """An engine cannot do what is asked of it. What was answered before it is kept."""


class ConsentError(EngineError):
    """Something would leave this machine, and the recipe does not allow it."""


class BudgetError(EngineError):
    """The ceiling in money or tokens was reached. What is paid is kept; the same command goes on from there."""


class FailedCallError(Exception):
    """One call failed.

    Args:
        kind: which kind of failure.
        message: what the endpoint said, without any key.
        wait: seconds that the endpoint asks to wait, if it says so.
    """

    def __init__(self, kind: FailureKind, message: str, wait: float | None = None) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.message, self.wait = kind, message, wait


@dataclass(frozen=True)
class Policy:
    """What is done about a kind of failure."""

    tries: int | None
    """How often it is tried again at most; None: as often as the engine's ``retries``."""
    then: Literal["skip", "stop"]
    """After that: the request is counted as failed and the others go on, or everything stops with what is kept."""
    advice: str
    """What to do, for the message."""


POLICIES: dict[FailureKind, Policy] = {
    "rate_limited": Policy(None, "stop", "lower requests_per_minute, tokens_per_minute or concurrency, or wait"),
    "server_error": Policy(None, "skip", "run the same command again later"),
    "timeout": Policy(None, "skip", "raise timeout, or lower concurrency"),
    "connection": Policy(None, "stop", "check that the server runs at base_url and can be reached"),
    "half_answer": Policy(None, "skip", "run the same command again later"),
    "error_in_answer": Policy(None, "skip", "read what the endpoint says; run the same command again later"),
    "refused": Policy(0, "skip", "the model would not answer; change the prompt or the model"),
    "content_filter": Policy(0, "skip", "the endpoint's filter took the text; change the prompt or the model"),
    "context_too_long": Policy(0, "skip", "shorten the prompt (prompts.history_tokens) or use a longer context"),
    "malformed": Policy(1, "skip", "the text is not the JSON that was asked for; raise max_new_tokens"),
    "empty": Policy(0, "skip", "the model wrote nothing; raise max_new_tokens if it thinks before it answers"),
    "answer_not_seen": Policy(0, "skip", "none of the answers is among the most likely tokens; change the prompt"),
    "bad_request": Policy(0, "stop", "the endpoint does not take such a request; check extra_body, server and lacks"),
    "wrong_key": Policy(0, "stop", "check the key in the environment variable that api_key_env names"),
    "unknown_model": Policy(0, "stop", "check model and base_url"),
    "no_money": Policy(0, "stop", "the account is empty; the answers so far are kept"),
    "moved": Policy(0, "stop", "put the new address into base_url; nothing is sent where consent was not given"),
}
"""What is done about each kind. Waiting between tries doubles from one second; an endpoint's own word goes first."""

PASSING: frozenset[FailureKind] = frozenset(kind for kind, policy in POLICIES.items() if policy.tries is None)
"""Kinds that pass by themselves: they are never kept in the cache, so the next run asks again."""

_CONTEXT: tuple[str, ...] = (
    "context_length_exceeded",
    "exceed_context_size",
    "maximum context length",
    "context length",
    "context size",
)
_CONTEXT += ("too many tokens", "prompt is too long", "input is too long")
_FILTER = ("content_filter", "content_policy", "responsibleai", "content management policy")
_MONEY = ("insufficient_quota", "insufficient balance", "billing_hard_limit", "insufficient_credit")
_MODEL = ("model_not_found", "unknown model", "no such model", "model does not exist")
_REFUSALS: tuple[str, ...] = (
    "i cannot help",
    "i can't help",
    "i can’t help",
    "i cannot assist",
    "i can't assist",
    "i can’t assist",
)
_REFUSALS += ("i am unable to help", "i'm unable to help", "i’m unable to help", "i won't be able to help")
_REFUSALS += ("i am unable to assist", "i'm unable to assist", "i’m unable to assist")
_APOLOGIES = ("i'm sorry, but ", "i’m sorry, but ", "i am sorry, but ", "sorry, but ", "i'm sorry. ", "i'm sorry, ")


def is_refusal(text: str) -> bool:
    """Whether a text opens as a refusal does: "I cannot help with that", with or without an apology before it.

    >>> is_refusal("I'm sorry, but I can't assist with that."), is_refusal("I cannot help but love westerns.")
    (True, False)
    """
    start = " ".join(text[:120].lower().split())
    for apology in _APOLOGIES:
        start = start.removeprefix(apology)
    found = next((opening for opening in _REFUSALS if start.startswith(opening)), None)
    return found is not None and not start[len(found) :].startswith(" but ")


def classify(status: int, error: Any) -> FailureKind:
    """The kind of failure of an HTTP answer.

    Args:
        status: HTTP status; 200 for an error inside a good answer.
        error: the body, parsed or as text; its code, type and message are looked at.
    """
    inner = error.get("error", error) if isinstance(error, dict) else error
    fields = [inner.get(name) for name in ("code", "type", "message")] if isinstance(inner, dict) else [inner]
    said = " ".join(str(field) for field in fields).lower()
    if status == 200 and isinstance(inner, dict) and str(inner.get("code")).isdigit():
        status = int(inner["code"])
    return _by_words(status, said) or _by_status(status)


def _by_words(status: int, said: str) -> FailureKind | None:
    """The kind by what the endpoint says; servers agree on words more than on numbers."""
    words: list[tuple[tuple[str, ...], FailureKind]] = [(_MONEY, "no_money"), (_FILTER, "content_filter")]
    if status < 500:
        words += [(_CONTEXT, "context_too_long"), (_MODEL, "unknown_model")]
    return next((kind for known, kind in words if any(word in said for word in known)), None)


def _by_status(status: int) -> FailureKind:
    kinds: dict[int, FailureKind] = {
        200: "error_in_answer",
        401: "wrong_key",
        402: "no_money",
        403: "wrong_key",
        404: "unknown_model",
        408: "timeout",
        409: "server_error",
        413: "context_too_long",
        425: "server_error",
        429: "rate_limited",
    }
    if status in kinds:
        return kinds[status]
    return "server_error" if status >= 500 else "moved" if 300 <= status < 400 else "bad_request"


def backoff(attempt: int, asked: float | None, seed: str, longest: float = 60.0) -> float:
    """Seconds to wait before trying again.

    Args:
        attempt: 0 after the first failure; the wait doubles with each.
        asked: what the endpoint asks for; it goes first, up to ten minutes.
        seed: spreads the waits of many requests, so that they do not all come back at once.
        longest: the most that is waited unasked.
    """
    if asked is not None:
        return min(max(asked, 0.0), 600.0)
    return float(min(longest, 2.0**attempt) * random.Random(f"{seed}/{attempt}").uniform(0.5, 1.0))


def seconds_asked(headers: Any, now: float) -> float | None:
    """What ``retry-after-ms`` or ``Retry-After`` (seconds or a date) ask for; None if they say nothing readable.

    Args:
        headers: of the answer; looked up by name.
        now: seconds since 1970, which a date is compared with.

    >>> seconds_asked({"retry-after": "7"}, 0.0)
    7.0
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            return max(0.0, float(value) / unit)
        except ValueError:
            pass
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - now)
        except (ValueError, TypeError):
            continue
    return None


assert set(POLICIES) == set(get_args(FailureKind)), "every kind of failure has its policy"
