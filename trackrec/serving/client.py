"""A thin typed client of the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx

from trackrec.errors import TrackRecError
from trackrec.serving.bodies import ItemOut, JudgedOut, RankOut, UserOut, VectorsOut, WhyOut


class ServiceError(TrackRecError):
    """The service refused, or cannot be reached."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"the service answered {status}: {detail}")
        self.status, self.detail = status, detail


class Client:
    """Asks a service.

    Args:
        address: such as ``http://localhost:8000``.
        token: where the service wants one; read it from the environment.
        seconds: how long to wait for an answer.
    """

    def __init__(self, address: str, token: str | None = None, seconds: float = 10.0) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=address, headers=headers, timeout=seconds)

    def user(self, user_id: str | int, version: str | None = None) -> UserOut:
        """A person's text.

        Raises:
            ServiceError: 404 unknown, 410 expired, 503 no store.
        """
        params = {} if version is None else {"version": version}
        return UserOut.model_validate(self._ask("GET", f"/v1/users/{_part(user_id)}", params=params))

    def vectors(self, ids: Sequence[str | int], kind: str = "projected") -> VectorsOut:
        """Vectors of many people, all of one version."""
        return VectorsOut.model_validate(self._ask("POST", "/v1/vectors", json={"ids": list(ids), "kind": kind}))

    def rank(
        self,
        user_id: str | int,
        candidates: Sequence[str | int] | None = None,
        events: Sequence[dict[str, Any]] | None = None,
        top: int | None = None,
    ) -> RankOut:
        """Candidates ranked for a person; see :class:`trackrec.serving.bodies.RankRequest`."""
        wanted = None if candidates is None else list(candidates)
        body = {"user_id": user_id, "candidates": wanted, "events": events, "top": top}
        return RankOut.model_validate(self._ask("POST", "/v1/rank", json=body))

    def why(self, user_id: str | int, item_id: str | int) -> WhyOut:
        """Sentences that speak for an item, and against it."""
        return WhyOut.model_validate(self._ask("GET", f"/v1/users/{_part(user_id)}/why/{_part(item_id)}"))

    def judged(self, user_id: str | int) -> JudgedOut:
        """What the judge of the run held of items that the person met after the history."""
        return JudgedOut.model_validate(self._ask("GET", f"/v1/users/{_part(user_id)}/judged"))

    def item(self, item_id: str | int) -> ItemOut:
        """An item's knowledge card."""
        return ItemOut.model_validate(self._ask("GET", f"/v1/items/{_part(item_id)}"))

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = self._client.request(method, path, **more)
        except httpx.HTTPError as error:
            raise ServiceError(0, f"it cannot be reached ({type(error).__name__})") from error
        try:
            told = answer.json()
        except ValueError:
            told = {"detail": "no readable answer"}
        if answer.is_error:
            raise ServiceError(answer.status_code, str(told.get("detail", "")))
        return told


def _part(one: str | int) -> str:
    return quote(str(one), safe="").replace(".", "%2E")
