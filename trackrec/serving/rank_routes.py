"""Routes that rank items, and say what an item is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request

from trackrec.serving.answers import json_response, service_of
from trackrec.serving.bodies import ItemOut, RankOut, RankRequest
from trackrec.serving.problems import Problem
from trackrec.serving.service import Service
from trackrec.store.record import Stored

router = APIRouter(prefix="/v1")
USUAL = 200
"""So many popular items are ranked where no candidates are given."""
AT_ONCE = 250
"""Up to so many candidates are ranked in the event loop: it takes a millisecond or two, and threads that wait for each
other's turn would cost as much again."""


@router.post("/rank", summary="Candidates ranked for a person", response_model=RankOut)
async def rank(request: Request, asked: RankRequest) -> Any:
    """By the saved ranker, with the vector of the person's text, the events in the request, and without the text.

    A person without a text (unknown, expired, no vector) is ranked for by the events alone, and the answer says so.
    """
    service = service_of(request)
    most = service.settings.max_candidates
    for what, number in (("candidates", len(asked.candidates or ())), ("events", len(asked.events or ()))):
        if number > most:
            raise Problem(422, f"{number} {what} arrived, but one request takes {most} at most")
    user_id = str(asked.user_id)
    reading = await service.read([user_id])
    events = None if asked.events is None else [(event.item_id, event.rating) for event in asked.events]
    told = await rank_for(service, reading.version, reading.found[0], user_id, asked.candidates, events, asked.top)
    service.metrics.found("found" if told["text"] == "used" else told["text"])
    return json_response(told)


async def rank_for(
    service: Service,
    version: str | None,
    found: Stored | None,
    user_id: str,
    candidates: Sequence[Any] | None = None,
    events: Sequence[tuple[Any, float | None]] | None = None,
    top: int | None = None,
) -> dict[str, Any]:
    """A ranking, see :class:`trackrec.serving.bodies.RankOut`.

    Args:
        service: with a ranker.
        version: that the record is of.
        found: the person's record; None: unknown.
        user_id: of the person.
        candidates: items; None: popular ones that are not in the history.
        events: items and ratings, oldest first; None: the history of the record.
        top: so many of them; None: all.

    Raises:
        Problem: the service has no ranker.
    """
    ranker = service.need_ranker()
    text, raw, history = "unknown", None, []
    if found is not None:
        history = [(event["item_id"], event["rating"]) for event in found.body["history"]]
        if not service.settings.serve_expired and service.expired(found):
            text = "expired"
        else:
            raw = found.raw_vector
            usable = raw is not None and raw.shape == ranker.projection.mean.shape
            text, raw = ("used", raw) if usable else ("no_vector", None)
    seen = history if events is None else list(events)
    if candidates is None:
        known = {str(item) for item, _ in [*history, *seen]}
        candidates = [item for item in ranker.popular if str(item) not in known][:USUAL]
    wanted: list[Any] = []
    unknown: list[Any] = []
    for item in dict.fromkeys(candidates):
        (wanted if ranker.knows(item) else unknown).append(item)
    if len(wanted) <= AT_ONCE:
        chances, without = ranker.rank(raw, seen, wanted)
    else:
        chances, without = await service.in_thread(lambda: ranker.rank(raw, seen, wanted), seconds=5)
    order = (-chances).argsort(kind="stable")[:top]
    title = service.cards.title if service.cards is not None else lambda _: None
    figures = zip(order.tolist(), chances[order].round(6).tolist(), without[order].round(6).tolist(), strict=True)
    items = [
        {"item_id": wanted[place], "title": title(wanted[place]), "probability": chance, "without_text": plain}
        for place, chance, plain in figures
    ]
    in_view = min(len([1 for item, _ in seen if ranker.knows(item)]), ranker.sizes.recent)
    return {"version": version, "text": text, "events": in_view, "items": items, "unknown": unknown}


@router.get("/items/{item_id:id}", summary="An item's knowledge card", response_model=ItemOut)
async def item(request: Request, item_id: str) -> Any:
    """Title, year, genres, tags and gist; an item that the writer of cards did not know has no tags and no gist."""
    card = service_of(request).need_cards().get(item_id)
    if card is None:
        raise Problem(404, "no item of that id is in the catalogue")
    return json_response(card)
