"""Errors as ``application/problem+json`` (RFC 9457); they never repeat what was sent."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from trackrec.errors import StoreError, TrackRecError
from trackrec.store.objections import RefusedError

LOG = logging.getLogger("trackrec.serving")
MEDIA_TYPE = "application/problem+json"
FAULT = "the service has a fault; its log says where"
"""Detail of the answer where something went wrong that should not."""


class Problem(Exception):  # noqa: N818 the field's word
    """An answer that is an error.

    Args:
        status: of HTTP.
        detail: what arrived, what was expected, what to do; without ids.
        more: further members of the answer.
    """

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.more = status, detail, more


def problem_body(status: int, detail: str, **more: Any) -> bytes:
    """The body of such an answer."""
    return orjson.dumps(
        {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail} | more
    )


def problem_response(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """Such an answer."""
    return Response(problem_body(status, detail, **more), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of the app such an answer."""

    async def of_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return problem_response(error.status, error.detail, **error.more)

    async def of_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(error.status_code, str(error.detail), dict(error.headers or {}))

    async def of_validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = [{"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in error.errors()[:5]]
        return problem_response(422, "the request is not as /openapi.json says", faults=faults)

    async def of_store(_: Request, error: Exception) -> Response:
        LOG.error("store: %s", error)
        detail = "the store does not answer, or cannot be read, just now: try again; its log says more"
        return problem_response(503, detail, {"Retry-After": "5"})

    async def of_refusal(_: Request, error: Exception) -> Response:
        return problem_response(409, str(error))

    async def of_ours(_: Request, error: Exception) -> Response:
        LOG.error("%s", error)
        return problem_response(500, "the service is not set up as it should be; its log says more")

    async def of_fault(_: Request, __: Exception) -> Response:
        return problem_response(500, FAULT)  # the guard writes the log

    app.add_exception_handler(Problem, of_problem)
    app.add_exception_handler(Exception, of_fault)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(RefusedError, of_refusal)
    app.add_exception_handler(StoreError, of_store)
    app.add_exception_handler(TrackRecError, of_ours)
