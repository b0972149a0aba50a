"""Routes that say how the service and its versions are: health, readiness, metrics, versions, overview."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from trackrec.serving.answers import json_response, service_of
from trackrec.serving.problems import problem_response
from trackrec.serving.service import Service
from trackrec.store.versions import State

router = APIRouter()
TEXT = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/healthz", summary="The process runs")
async def health() -> Response:
    """Nothing is asked of the store."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", summary="The store answers and serves a version")
async def ready(request: Request) -> Response:
    """503 until it does."""
    state = await _state(service_of(request))
    if state.table() is None:
        return problem_response(503, "the store serves no version yet: publish one", {"Retry-After": "5"})
    return PlainTextResponse("ready\n")


@router.get("/metrics", summary="For Prometheus")
async def metrics(request: Request) -> Response:
    """Requests, seconds, people found, and the version that is served."""
    service = service_of(request)
    state = await _state(service)
    published, summary = 0, {}
    current = state.current
    if current is not None and state.table() is not None:
        published = state.versions[current].published
        summary = (await service.in_thread(lambda: service.about(current)))["summary"]
    return Response(service.metrics.exposition(state.current, published, summary), media_type=TEXT)


@router.get("/v1/versions", summary="Versions in the store")
async def versions(request: Request) -> Response:
    """Which there are, and which one is served."""
    state = await _state(service_of(request))
    told = [
        {"name": name, "state": one.state, "records": one.records, "published": one.published}
        for name, one in state.versions.items()
    ]
    return json_response({"current": state.current, "previous": state.previous, "versions": told})


@router.get("/v1/overview", summary="Versions in figures")
async def overview(request: Request) -> Response:
    """Coverage, ages, lengths, verdicts and drift of each version, as measured when it was loaded, and what
    ``trackrec monitor`` found last."""
    service = service_of(request)
    state = await _state(service)

    def told() -> dict[str, Any]:
        found = []
        for name, one in state.versions.items():
            if one.state != "ready":
                continue
            about = service.about(name)
            manifest = about["manifest"]
            summary = {key: value for key, value in about["summary"].items() if key != "sample"}
            facts = {key: manifest.get(key) for key in ("created", "generator", "encoder", "high_water", "cost")}
            found.append({"name": name, "published": one.published, **facts, "summary": summary})
        return {"current": state.current, "versions": found, "monitor": service.store.monitored()}

    return json_response(await service.in_thread(told))


async def _state(service: Service) -> State:
    return await service.in_thread(service.store.state)
