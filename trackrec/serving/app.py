"""The service as an ASGI application."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp

from trackrec.serving import problems, rank_routes, status_routes, user_routes
from trackrec.serving.fast_route import FastRoute
from trackrec.serving.guard import Guard
from trackrec.serving.service import Service

PAGES = Path(__file__).parent / "page"
ASSETS = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "common.js": "text/javascript",
    "overview.js": "text/javascript",
}


def build_app(service: Service, token: str | None = None) -> ASGIApp:
    """The application with all its routes, behind the guard.

    Args:
        service: what it serves.
        token: that every request but those for pages and health must bring; None: none.
    """
    app = FastAPI(
        title="TrackRec",
        version=version("trackrec"),
        description="Published texts about people's tastes, their vectors, and rankings with them.",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    problems.install(app)
    for part in (user_routes.router, rank_routes.router, status_routes.router):
        app.include_router(part)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGES / "page.html", media_type="text/html")

    @app.get("/overview", include_in_schema=False)
    async def overview() -> Response:
        return FileResponse(PAGES / "overview.html", media_type="text/html")

    @app.get("/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            raise problems.Problem(404, "there is no such file")
        return FileResponse(PAGES / name, media_type=ASSETS[name])

    return Guard(FastRoute(app), service.settings, token, service.metrics)
