"""The route that is asked most, in front of all others."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from trackrec.errors import TrackRecError
from trackrec.serving import user_routes
from trackrec.serving.answers import JSON
from trackrec.serving.problems import Problem

_PREFIX = "/v1/users/"
_ROUTE = SimpleNamespace(path_format=f"{_PREFIX}{{user_id}}")
"""What the guard calls it in metrics and logs."""
_KIND = (b"content-type", JSON.encode())


class FastRoute:
    """ASGI: a person's text is answered here, everything else by the application behind.

    FastAPI's layers and its way from request to arguments take as long as the look-up itself. The route stands in the
    application too, for its description; what goes wrong is told by the application's own handlers of errors.

    Args:
        app: with all routes, and ``state.service``.
    """

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"].startswith(_PREFIX):
            user_id = scope["path"][len(_PREFIX) :]
            if user_id and "/" not in user_id:
                scope["route"] = _ROUTE
                try:
                    body = await user_routes.user_body(self.app.state.service, unquote(user_id), scope["query_string"])
                except (Problem, TrackRecError) as error:
                    response = await self._problem(Request(scope, receive), error)
                    await response(scope, receive, send)
                    return
                headers = [(b"content-length", b"%d" % len(body)), _KIND]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                return
        await self.app(scope, receive, send)

    async def _problem(self, request: Request, error: Exception) -> Response:
        for kind in type(error).__mro__:
            handler = self.app.exception_handlers.get(kind)
            if handler is not None:
                told: Response = await handler(request, error)  # type: ignore[misc]
                return told
        raise error
