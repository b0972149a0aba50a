"""The wire to an endpoint: one call, its deadline, and what went wrong, with the key kept out of every word."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trackrec.engines.failures import ConsentError, EngineError, FailedCallError, classify, seconds_asked
from trackrec.engines.openai_settings import OpenAISettings

if TYPE_CHECKING:
    import openai

MOST_BYTES = 64 << 20
"""Largest answer that is read; an endpoint that sends more is broken or means harm."""


@dataclass(frozen=True)
class Reply:
    """A good answer of an endpoint."""

    body: dict[str, Any]
    headers: Mapping[str, str]


class Transport:
    """Posts request bodies and brings back parsed answers.

    The key lives in the client alone. Wherever the endpoint repeats it, it is struck out before anything is parsed.

    Raises:
        ConsentError: the settings do not consent.
        EngineError: the client is not installed, or the environment variable of the key is empty.
    """

    def __init__(self, settings: OpenAISettings) -> None:
        if not settings.consent:
            raise ConsentError(
                f"nothing was sent: the recipe names an endpoint and does not consent. It would send "
                f"{settings.what_leaves()}. Put `consent: true` beside base_url if that may leave, or use the engine "
                "torch, which sends nothing"
            )
        self.settings = settings
        key = os.environ.get(settings.api_key_env, "") if settings.api_key_env else ""
        if settings.api_key_env and not key.strip():
            raise EngineError(
                f"no key for {settings.host}: the environment variable {settings.api_key_env} is empty. Nothing was "
                f"sent. Set it (`export {settings.api_key_env}=...`), name another one in api_key_env, or leave "
                "api_key_env empty for a server that takes no key"
            )
        self._key = key.strip()
        self._client = self._connect()

    def _connect(self) -> openai.OpenAI:
        try:
            import openai
        except ImportError as error:
            raise EngineError(
                "the engine openai needs the package openai, which is not installed: pip install 'trackrec[remote]'"
            ) from error
        settings = self.settings
        http = openai.DefaultHttpxClient(
            timeout=settings.timeout,
            # A redirect would carry the prompts to a host that nobody consented to.
            follow_redirects=False,
            event_hooks={"response": [lambda response: _bound(response, settings.timeout)]},
        )
        return openai.OpenAI(
            api_key=self._key or "none",
            base_url=settings.base_url,
            max_retries=0,
            timeout=settings.timeout,
            http_client=http,
        )

    def post(self, body: Mapping[str, Any]) -> Reply:
        """One call, of chat completions where the body has messages, else of completions.

        Args:
            body: what is sent, as JSON.

        Raises:
            FailedCallError: there is no good answer; the kind says why.
        """
        import httpx2
        import openai

        rest = {name: value for name, value in body.items() if name not in ("model", "messages", "prompt")}
        create: Callable[..., Any] = self._client.chat.completions.with_raw_response.create
        if "prompt" in body:
            create = self._client.completions.with_raw_response.create
        given = {name: value for name, value in body.items() if name not in rest}
        try:
            raw = create(**given, extra_body=rest)
        except openai.APIStatusError as error:
            text = self._clean(error.response.text)
            wait = seconds_asked(error.response.headers, time.time())
            kind = classify(error.status_code, _parsed(text))
            raise FailedCallError(kind, f"HTTP {error.status_code}: {text[:300]}", wait) from None
        except openai.APITimeoutError:
            raise FailedCallError("timeout", f"no whole answer within {self.settings.timeout:g} s") from None
        except openai.APIConnectionError as error:
            reason = error.__cause__ or error
            broken = isinstance(reason, (httpx2.RemoteProtocolError, httpx2.ReadError))
            said = self._clean(f"{type(reason).__name__}: {reason}")
            raise FailedCallError("half_answer" if broken else "connection", said) from None
        return Reply(self._parse(self._clean(raw.text)), dict(raw.headers))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _parse(self, text: str) -> dict[str, Any]:
        body = _parsed(text)
        if not isinstance(body, dict):
            raise FailedCallError("half_answer", f"the answer is no JSON object: {text[:200]!r}")
        if body.get("error") and not body.get("choices"):
            raise FailedCallError(classify(200, body), f"an error inside HTTP 200: {json.dumps(body['error'])[:300]}")
        return body

    def _clean(self, text: str) -> str:
        """The text without the key."""
        return text.replace(self._key, "[key]") if len(self._key) >= 6 else text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _bound(response: Any, timeout: float) -> None:
    """Let a response's body be read for so many seconds and bytes, and no more."""
    import httpx2

    class Bounded(httpx2.SyncByteStream):
        """The body, cut off at the deadline however lively each drop of it is."""

        def __init__(self, stream: Any) -> None:
            self._stream, self._deadline = stream, time.monotonic() + timeout

        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for part in self._stream:
                size += len(part)
                if time.monotonic() > self._deadline:
                    raise httpx2.ReadTimeout("the body was not whole at the deadline")
                if size > MOST_BYTES:
                    raise httpx2.ReadError(f"the body is longer than {MOST_BYTES:,} bytes")
                yield part

        def close(self) -> None:
            self._stream.close()

    response.stream = Bounded(response.stream)
