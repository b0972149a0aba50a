"""The form of an OpenAI-compatible call: request bodies out, answers in, and what decides the key of the cache."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trackrec.engines.base import Answer, Decoding, FinishReason, GenerateRequest, Prompt, Usage
from trackrec.engines.cache import key_of
from trackrec.engines.failures import FailedCallError, FailureKind, is_refusal
from trackrec.engines.openai_settings import OpenAISettings
from trackrec.prompts.thinking import cut_thinking

MOST_SEEN = 131_072
"""So many of the last tokens a repetition penalty looks at on llama.cpp, which keeps room for them."""
FORM = 1
"""Raise it when bodies or the reading of answers change, so that old answers are not taken for new ones."""


@dataclass(frozen=True)
class TopToken:
    """One of the most likely tokens at a place."""

    text: str
    log_probability: float
    token_id: int | None = None


def request_key(settings: OpenAISettings, request: GenerateRequest, decoding: Decoding) -> str:
    """The key of a request in the cache: model, address, prompt, decoding, seed and further fields decide it.

    How many texts are asked for does not, so that more can be added later. A setting that came later counts where it is
    used alone, so that answers that were paid before it stay found.
    """
    drawn = decoding.model_dump(mode="json")
    if decoding.repetition_penalty == 1:
        del drawn["repetition_penalty"]
    return key_of(
        {
            "form": FORM,
            "base_url": settings.base_url,
            "model": settings.model,
            "prompt": _prompt(request),
            "decoding": drawn,
            "seed": request.seed,
            "extra_body": settings.extra_body,
        }
    )


def call_seed(seed: int, first: int, attempt: int = 0) -> int:
    """The seed of one call, in 31 bits, from the request's seed, its first sample and the attempt."""
    digest = hashlib.sha256(f"{seed}/{first}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def generate_body(
    settings: OpenAISettings, request: GenerateRequest, first: int, n: int, decoding: Decoding, attempt: int = 0
) -> dict[str, Any]:
    """What is sent for ``n`` texts from sample ``first`` on."""
    can = settings.capabilities
    body: dict[str, Any] = {"model": settings.model, **_prompt(request), **settings.extra_body}
    body |= {"temperature": decoding.temperature, "top_p": decoding.top_p}
    body[settings.length_field if request.messages else "max_tokens"] = decoding.max_new_tokens
    if n > 1:
        body["n"] = n
    if can.seeds or settings.server == "openai":
        body["seed"] = call_seed(request.seed, first, attempt)
    if decoding.stop:
        body["stop"] = list(decoding.stop)
    if decoding.repetition_penalty != 1:
        body |= _penalty(settings, decoding.repetition_penalty)
    if decoding.log_probabilities:
        body |= {"logprobs": True} if request.messages else {"logprobs": 1}
        if settings.server == "vllm":
            body["return_token_ids"] = True
    if decoding.json_schema is not None:
        shape = {"name": "answer", "schema": decoding.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": shape}
    return body


def _penalty(settings: OpenAISettings, penalty: float) -> dict[str, Any]:
    """The same penalty by the server's name for it; llama.cpp would look at the last 64 tokens alone."""
    if settings.server == "llama.cpp":
        return {"repeat_penalty": penalty, "repeat_last_n": MOST_SEEN}
    return {"repetition_penalty": penalty}


def score_body(settings: OpenAISettings, prompt: Prompt) -> dict[str, Any]:
    """What is sent to learn the most likely next tokens."""
    body: dict[str, Any] = {"model": settings.model, **_prompt(prompt), **settings.extra_body, "temperature": 0.0}
    if prompt.messages:
        return body | {settings.length_field: 1, "logprobs": True, "top_logprobs": settings.top_log_probabilities}
    return body | {"max_tokens": 1, "logprobs": settings.top_log_probabilities}


def echo_body(settings: OpenAISettings, prompt: Prompt, answer: Sequence[int]) -> dict[str, Any]:
    """What is sent to learn the log-probabilities of an answer's own tokens, as part of the prompt."""
    ids = [*(prompt.token_ids or ()), *answer]
    body = {"model": settings.model, "prompt": ids, **settings.extra_body, "temperature": 0.0}
    return body | {"max_tokens": 1, "echo": True, "logprobs": 1}


def most_tokens(prompt: Prompt, n: int, longest: int) -> Usage:
    """The most tokens of one call: three bytes a token and eight tokens a turn, every text at full length."""
    turns = prompt.messages or ()
    read = len(prompt.token_ids or ()) + sum(8 + math.ceil(len(turn.content.encode()) / 3) for turn in turns)
    return Usage(read, n * longest)


def read_usage(body: Mapping[str, Any]) -> Usage:
    """Tokens that the endpoint counted; zeros where it says nothing."""
    usage = body.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    counts = [usage.get("prompt_tokens"), usage.get("completion_tokens"), details.get("cached_tokens")]
    return Usage(*(count if isinstance(count, int) and count > 0 else 0 for count in counts))


def read_answers(body: Mapping[str, Any], decoding: Decoding) -> list[Answer]:
    """The texts of a good reply, each with why it cannot be used, if so.

    Raises:
        FailedCallError: there are no choices in it.
    """
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise FailedCallError("half_answer", f"the answer holds no choices: {json.dumps(body)[:200]}")
    usage, model = read_usage(body), str(body.get("model") or "")
    ordered = sorted(choices, key=lambda choice: choice["index"] if isinstance(choice.get("index"), int) else 0)
    answers = [_answer(choice, decoding, model) for choice in ordered]
    return [replace(answers[0], usage=usage), *answers[1:]]


def read_top(body: Mapping[str, Any]) -> list[TopToken]:
    """The most likely tokens at the first place of the first choice; none if the endpoint does not tell."""
    tops = _first_choice(body).get("logprobs") or {}
    content = tops.get("content")
    if isinstance(content, list) and content:  # chat completions, and llama.cpp's completions
        found = content[0].get("top_logprobs") or []
        return [TopToken(str(t["token"]), float(t["logprob"]), t.get("id")) for t in found if _number(t["logprob"])]
    first = (tops.get("top_logprobs") or [None])[0]
    return [TopToken(str(text), float(value)) for text, value in (first or {}).items() if _number(value)]


def _number(value: Any) -> bool:
    """Whether a log-probability is told; some servers put null for what cannot be drawn."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def read_echo(body: Mapping[str, Any], answer: Sequence[int]) -> float:
    """The log-probability of an answer that was echoed as the end of the prompt.

    Raises:
        FailedCallError: the endpoint does not tell the prompt's log-probabilities.
    """
    values = (_first_choice(body).get("logprobs") or {}).get("token_logprobs") or []
    own = values[-1 - len(answer) : -1]  # the last one is the token that had to be drawn
    if len(values) < len(answer) + 2 or any(not isinstance(value, (int, float)) for value in own):
        raise FailedCallError("bad_request", "the endpoint does not tell the prompt's log-probabilities (echo)")
    return float(sum(own))


def _first_choice(body: Mapping[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise FailedCallError("half_answer", f"the answer holds no choices: {json.dumps(body)[:200]}")
    return choices[0]


def _prompt(prompt: Prompt) -> dict[str, Any]:
    if prompt.messages:
        return {"messages": [{"role": turn.role, "content": turn.content} for turn in prompt.messages]}
    return {"prompt": list(prompt.token_ids or ())}


def _answer(choice: Mapping[str, Any], decoding: Decoding, model: str) -> Answer:
    message = choice.get("message") or {}
    said = message.get("content") if message else choice.get("text")
    raw = said if isinstance(said, str) else ""
    text, thought = cut_thinking(raw)
    text = text.strip()
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str):
            thought += len(message[name])
            break
    reason: FinishReason = "length" if choice.get("finish_reason") == "length" else "stop"
    failure: FailureKind | None = None
    refusal = message.get("refusal")
    if choice.get("finish_reason") == "content_filter":
        reason, failure = "content_filter", "content_filter"
    elif isinstance(refusal, str) and refusal:
        text, reason, failure = text or refusal, "refusal", "refused"
    elif not text:
        failure = "empty"
    elif is_refusal(text):
        reason, failure = "refusal", "refused"
    elif decoding.json_schema is not None and not follows(text, decoding.json_schema):
        failure = "malformed"
    ids, values = _tokens(choice) if decoding.log_probabilities else (None, None)
    return Answer(text, reason, failure, ids, values, thought, model=model)


def _tokens(choice: Mapping[str, Any]) -> tuple[tuple[int, ...] | None, tuple[float, ...] | None]:
    """Ids and log-probabilities of the drawn tokens, as far as the endpoint tells them."""
    told = choice.get("logprobs") or {}
    content = told.get("content")
    if isinstance(content, list):
        values = tuple(float(token["logprob"]) for token in content)
        return _ids([token.get("id") for token in content]) or _ids(choice.get("token_ids"), len(values)), values
    listed = told.get("token_logprobs")
    values = tuple(float(value) for value in listed) if isinstance(listed, list) else ()
    return _ids(choice.get("token_ids"), len(values)), values or None


def _ids(told: Any, expected: int | None = None) -> tuple[int, ...] | None:
    """Token ids, if they are told: by llama.cpp beside each token (``id``), by vLLM in a list of their own."""
    if not isinstance(told, list) or not told or not all(isinstance(token, int) for token in told):
        return None
    return tuple(told) if expected in (None, len(told)) else None


def follows(text: str, schema: Mapping[str, Any]) -> bool:
    """Whether a text is JSON of the shape that a schema asks for.

    Types, required fields, enumerations and lengths of lists are looked at, which is what endpoints that take a schema
    without keeping to it get wrong; the reader of the fields checks the rest.
    """
    try:
        return _fits(json.loads(text), schema)
    except ValueError:
        return False


_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type")
    named = [kinds] if isinstance(kinds, str) else kinds or []
    if named and not any(_is(value, kind) for kind in named):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        complete = all(name in value for name in schema.get("required", []))
        return complete and all(_fits(inner, fields[name]) for name, inner in value.items() if name in fields)
    if isinstance(value, list):
        sized = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return sized and all(_fits(inner, schema.get("items", {})) for inner in value)
    return True


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES.get(kind, object))
