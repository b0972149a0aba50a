"""Routes about people: the text, vectors, reasons, all that is held, and what a person says against it."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import orjson
import pyarrow as pa
from fastapi import APIRouter, Header, Query, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from trackrec.serving.answers import JSON, json_response, service_of
from trackrec.serving.bodies import JudgedOut, ObjectionRequest, UserOut, VectorsOut, VectorsRequest, WhyOut
from trackrec.serving.problems import MEDIA_TYPE, Problem
from trackrec.serving.rank_routes import rank_for
from trackrec.serving.reasons import reasons_for
from trackrec.serving.service import Service
from trackrec.store.objections import Objection, object_to
from trackrec.store.record import Stored
from trackrec.users.citations import without_citations

ARROW = "application/vnd.apache.arrow.stream"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": told, "content": {MEDIA_TYPE: {}}}
    for status, told in {
        401: "the token is missing or wrong",
        404: "nobody of that id",
        410: "the text is too old",
        503: "the store does not answer",
    }.items()
}
router = APIRouter(prefix="/v1", responses=PROBLEMS)


def _parameter(name: str, place: str, kind: str, description: str) -> dict[str, Any]:
    told = {"name": name, "in": place, "required": place == "path", "description": description}
    return told | {"schema": {"type": kind}}


@router.get(
    "/users/{user_id:id}",
    summary="A person's text",
    response_model=UserOut,
    openapi_extra={
        "parameters": [
            _parameter("user_id", "path", "string", "of the person"),
            _parameter("version", "query", "string", "a version of the store; the one that is served if not given"),
            _parameter("cards", "query", "boolean", "also tell what is known of each item of the history"),
        ]
    },
)
async def user(request: Request) -> Response:
    """The text sentence by sentence, with verdicts and the events behind each, its age and version."""
    # It reads its parameters itself, see :mod:`trackrec.serving.fast_route`.
    told = await user_body(service_of(request), request.path_params["user_id"], request.scope["query_string"])
    return Response(told, media_type=JSON)


async def user_body(service: Service, user_id: str, query: bytes) -> bytes:
    """What the route of a person answers, as JSON.

    Args:
        service: with the store.
        user_id: of the person.
        query: the query of the address; ``version`` and ``cards`` are read.

    Raises:
        Problem: see :meth:`Service.one`.
    """
    version, cards = None, False
    if query:
        asked = QueryParams(query)
        version = asked.get("version")
        cards = asked.get("cards", "").lower() in ("1", "true", "yes", "on")
    served, found = await service.one(user_id, version)
    return orjson.dumps(shown(service, served, found, cards))


@router.get("/users", summary="Ids that begin so")
async def search(request: Request, prefix: str = "", limit: int = Query(10, ge=1, le=50)) -> Response:
    """Ids of people with a text, for the search of the page."""
    service = service_of(request)
    if len(prefix.encode()) > 200:
        raise Problem(422, "the beginning of an id has more than 200 bytes")
    return json_response({"ids": await service.in_thread(lambda: service.store.some_ids(prefix, limit))})


@router.post("/vectors", summary="Vectors of many people", response_model=VectorsOut)
async def vectors(request: Request, asked: VectorsRequest, accept: str = Header("")) -> Response:
    """All of one version, in the order asked for; as Arrow where application/vnd.apache.arrow.stream is accepted."""
    service = service_of(request)
    if len(asked.ids) > service.settings.max_ids:
        raise Problem(422, f"{len(asked.ids)} ids arrived, but one request takes {service.settings.max_ids} at most")
    reading = await service.read([str(one) for one in asked.ids])
    rows, dimensions = [], 0
    statuses: Counter[str] = Counter()
    for one, found in zip(asked.ids, reading.found, strict=True):
        status, vector = "unknown", None
        if found is not None:
            vector = found.vector if asked.kind == "projected" else found.raw_vector
            status = "no_vector" if vector is None else "ok"
            if vector is not None and not service.settings.serve_expired and service.expired(found):
                status, vector = "expired", None
        statuses[status] += 1
        dimensions = dimensions if vector is None else len(vector)
        rows.append({"user_id": one, "status": status, "vector": vector})
    for status, number in statuses.items():
        service.metrics.found(status, number)
    if ARROW in accept:
        return Response(_arrow(rows, dimensions, reading.version), media_type=ARROW)
    told = {"version": reading.version, "kind": asked.kind, "dimensions": dimensions, "vectors": rows}
    return json_response(told)


@router.get("/users/{user_id:id}/why/{item_id:id}", summary="Why this item?", response_model=WhyOut)
async def why(request: Request, user_id: str, item_id: str) -> Response:
    """Supported sentences whose events have a genre or tag in common with the item, for it and against it."""
    service = service_of(request)
    _, found = await service.one(user_id)
    cards = service.need_cards()
    card = cards.get(item_id)
    if card is None:
        raise Problem(404, "no item of that id is in the catalogue")
    reasons = reasons_for(item_id, found.record, cards, service.settings.like_threshold)
    return json_response({"item_id": card["item_id"], "title": card.get("title"), "reasons": reasons})


@router.get("/users/{user_id:id}/judged", summary="What the judge held of items", response_model=JudgedOut)
async def judged(request: Request, user_id: str) -> Response:
    """Items that the person met after the history: how likely the run's judge held each to be liked, with the text and
    without it, beside what the person did. The judge was asked when the run was made; nothing is asked of it here."""
    service = service_of(request)
    _, found = await service.one(user_id)
    body = found.body
    items = [] if service.judged is None else service.judged.of(user_id, body["version"])
    title = service.cards.title if service.cards is not None else lambda _: None
    told = [{**one, "title": title(one["item_id"])} for one in items]
    return json_response({"changed": body["objections"] > 0, "items": told})


@router.get("/users/{user_id:id}/held", summary="All that is held about a person")
async def held(request: Request, user_id: str) -> Response:
    """The record of every version with its vectors, and what the person said against them."""
    service = service_of(request)
    await service.read([user_id])  # refuses ids that are too long
    told = await service.in_thread(lambda: service.store.held(user_id))
    if not told["versions"] and not told["feedback"]:
        raise Problem(404, "nothing is held about a person of that id")
    return json_response(told)


@router.post("/users/{user_id:id}/objections", summary="A person objects")
async def objections(request: Request, user_id: str, said: ObjectionRequest) -> Response:
    """Take a sentence out, or add one: text and vector are made anew, and the list is ranked again.

    It is kept as feedback, and stands in later versions too. Nothing is trained on it unless ``training`` is true.
    """
    service = service_of(request)
    if service.store.tables.read_only:
        raise Problem(409, "the store is served read-only: nothing can be changed here")
    version, before = await service.one(user_id)
    objection = Objection(kind=said.kind, sentence=said.sentence, training=said.training)
    rewriter = await service.in_thread(lambda: service.rewriter(version), seconds=60)
    after = await service.in_thread(lambda: object_to(service.store, user_id, objection, rewriter), seconds=30)
    if after is None:
        raise Problem(404, "nobody of that id has a text in this version")
    served, found = await service.one(user_id)
    told = {"user": shown(service, served, found, cards=True), "before": None, "after": None}
    if service.ranker is not None:
        told["before"] = await rank_for(service, version, before, user_id, top=20)
        told["after"] = await rank_for(service, served, found, user_id, top=20)
    return json_response(told)


def shown(service: Service, version: str, found: Stored, cards: bool) -> dict[str, Any]:
    """What is told of a person: no vectors, no numbers in brackets."""
    history: Any
    if cards and service.cards is not None:
        body = found.body
        history = [event | {"item": service.cards.get(event["item_id"])} for event in body["history"]]
    else:
        body, lies = found.told()
        history = orjson.Fragment(lies)
    texts = [without_citations(one["text"]) for one in body["sentences"]]
    return {
        "user_id": body["user_id"],
        "version": version,
        "written_in": body["version"],
        "text": " ".join(texts) or without_citations(body["text"]),
        "sentences": [{**one, "text": text} for one, text in zip(body["sentences"], texts, strict=True)],
        "history": history,
        "events": body["events"],
        "last_event": body["last_event"],
        "written": body["written"],
        "age_seconds": max(0, int(service.store.clock()) - body["written"]),
        "expires": body["expires"],
        "expired": service.expired(found),
        "objections": body["objections"],
        "has_vector": found.has_vector,
    }


def _arrow(rows: list[dict[str, Any]], dimensions: int, version: str | None) -> bytes:
    """``user_id`` (text), ``status``, ``vector`` (fixed-size list of float32, null where there is none)."""
    columns = {
        "user_id": pa.array([str(row["user_id"]) for row in rows], pa.string()),
        "status": pa.array([row["status"] for row in rows], pa.string()),
        "vector": pa.array([row["vector"] for row in rows], pa.list_(pa.float32(), dimensions)),
    }
    table = pa.table(columns).replace_schema_metadata({"version": version or ""})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()
