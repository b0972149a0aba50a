"""What every route needs: its service, and JSON."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response

from trackrec.serving import path_ids as path_ids  # routes with ids in their paths need it
from trackrec.serving.service import Service

JSON = "application/json"


def service_of(request: Request) -> Service:
    """The service that the app was built for."""
    found: Service = request.app.state.service
    return found


def json_response(value: Any) -> Response:
    """JSON by orjson, which also knows numpy's arrays."""
    return Response(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), media_type=JSON)
