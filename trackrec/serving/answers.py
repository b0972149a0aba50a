"""What the routes share: the service behind them, JSON answers, and ids in paths that may hold any character."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import orjson
from fastapi import Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from trackrec.serving.service import Service

JSON = "application/json"


def service_of(request: Request) -> Service:
    """The service that the app was built for."""
    found: Service = request.app.state.service
    return found


def json_response(value: Any) -> Response:
    """JSON by orjson, which also knows numpy's arrays."""
    return Response(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), media_type=JSON)


class PathId(Convertor[str]):
    """An id may hold an escaped slash; the guard leaves the path as it was sent."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        """From the path."""
        return unquote(value, errors="replace")

    def to_string(self, value: str) -> str:
        """Into a path."""
        return re.sub(r"[^A-Za-z0-9_.-]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), value)


register_url_convertor("id", PathId())
