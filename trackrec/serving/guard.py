"""What every request passes before it reaches a route: path, host, token, rate, size; and what is noted of it."""

from __future__ import annotations

import hmac
import logging
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trackrec.serving.metrics import ServiceMetrics
from trackrec.serving.problems import FAULT, MEDIA_TYPE, problem_body
from trackrec.serving.settings import ServiceSettings

LOG = logging.getLogger("trackrec.serving")
OPEN = ("/", "/overview", "/healthz", "/readyz")
"""Paths that need no token: they say nothing of anybody."""
ASSETS = "/assets/"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TOKEN_NAMES = {"token", "access_token", "api_key", "key", "authorization"}
_MOST_CLIENTS = 10_000
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """ASGI middleware.

    Args:
        app: what is guarded.
        settings: limits.
        token: that must come with each request in ``Authorization: Bearer``; None: none, and then only requests to
            this very machine by its name are taken, so that no page elsewhere can have its visitors' browsers ask.
        metrics: gets each request.
        clock: seconds, for the rate.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServiceSettings,
        token: str | None,
        metrics: ServiceMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app, self.settings, self.metrics, self.clock = app, settings, metrics, clock
        self._token = None if token is None else token.encode()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        # Routes match the path as it was sent, so that an id may hold an escaped slash; they take it apart themselves.
        raw = scope.get("raw_path", b"")
        scope["path"] = raw.partition(b"?")[0].decode("latin-1") or scope["path"]
        status, begun = 500, False

        async def noting(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        headers: dict[bytes, bytes] = dict(scope["headers"])
        refusal = self._refusal(scope, headers)
        try:
            if refusal is not None:
                await _answer(noting, *refusal)
            else:
                await self.app(scope, self._limited(receive, scope), noting)
        except Exception as error:
            self._log_fault(error)
            if not begun:
                await _answer(noting, 500, FAULT)
        finally:
            route = scope.get("route")
            name = str(getattr(route, "path_format", None) or getattr(route, "path", "other"))
            seconds = time.perf_counter() - started
            self.metrics.request(name, status, seconds)
            if status >= 500 or self.settings.log_requests:
                shown = scope["path"] if self.settings.log_ids else name
                level = logging.WARNING if status >= 500 else logging.INFO
                LOG.log(level, "%s %s %d %.1f ms", scope["method"], shown, status, 1000 * seconds)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str, list[tuple[bytes, bytes]]] | None:
        """Status, detail and headers of the answer to a request that is not let through."""
        settings, path = self.settings, scope["path"]
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > settings.max_body:
            return 413, self._too_large(), []
        # Before the token, which could be guessed otherwise.
        if settings.rate and not self._take(str((scope.get("client") or ("",))[0])):
            return 429, f"more than {settings.rate:g} requests a second: slow down", [(b"retry-after", b"1")]
        query = scope["query_string"].decode("latin-1")
        if query and any(name.lower() in _TOKEN_NAMES for name, _ in parse_qsl(query, keep_blank_values=True)):
            return 400, "a token in the address would end up in logs: send it as 'Authorization: Bearer TOKEN'", []
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and origin.partition("://")[2] != host:
            return 403, "requests from pages of other sites are not taken", []
        if self._token is None:
            if host.rpartition(":")[0].strip("[]") not in LOOPBACK and host not in LOOPBACK:
                return 421, "without a token the service is asked by the name localhost or 127.0.0.1 alone", []
        elif path not in OPEN and not path.startswith(ASSETS):
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
                wanted = [(b"www-authenticate", b'Bearer realm="trackrec"')]
                return 401, "the token is missing or wrong: send it as 'Authorization: Bearer TOKEN'", wanted
        return None

    def _log_fault(self, error: Exception) -> None:
        """Where a fault of ours arose. What it says may hold an id, and is written only where ids may be."""
        where = [
            f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        said = f": {error}" if self.settings.log_ids else ""
        LOG.error("%s in %s%s", type(error).__name__, " > ".join(where[-8:]), said)

    def _take(self, client: str) -> bool:
        """A token bucket a client: refilled at the rate, as deep as a second's requests."""
        now, rate = self.clock(), self.settings.rate
        left, before = self._buckets.pop(client, (rate, now))
        left = min(rate, left + (now - before) * rate)
        self._buckets[client] = (max(0.0, left - 1), now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return left >= 1

    def _limited(self, receive: Receive, scope: Scope) -> Receive:
        """The body counted as it comes: a length that was announced may be a lie, or none."""
        if scope["method"] in ("GET", "HEAD"):
            return receive
        size = 0

        async def counting() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.settings.max_body:
                raise HTTPException(413, self._too_large())  # FastAPI hands on this kind of error alone
            return message

        return counting

    def _too_large(self) -> str:
        return f"the body is larger than {self.settings.max_body} bytes: ask in smaller parts"


async def _answer(send: Send, status: int, detail: str, more: list[tuple[bytes, bytes]] | None = None) -> None:
    body = problem_body(status, detail)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode()), *(more or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
