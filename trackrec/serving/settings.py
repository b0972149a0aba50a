"""Settings of the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import Field, ValidationError

from trackrec.errors import RecipeError
from trackrec.settings import Settings


class ServiceSettings(Settings):
    """What the service answers, to whom, and how much at once."""

    max_body: int = Field(default=1_048_576, ge=1)
    """Bytes of a request's body."""
    max_ids: int = Field(default=1_000, ge=1)
    """People in one request for vectors."""
    max_candidates: int = Field(default=1_000, ge=1)
    """Items in one request for a ranking, and events with it."""
    max_id_bytes: int = Field(default=1_024, ge=1)
    """Length of an id in UTF-8."""
    rate: float = Field(default=200.0, ge=0)
    """Requests a second of one client address, with as many at once; 0: no limit."""
    seconds: float = Field(default=1.0, gt=0)
    """How long to wait for the store before the answer is 503."""
    serve_expired: bool = False
    """Give an expired text out all the same, marked as such; otherwise the answer is 410."""
    log_requests: bool = False
    """Write a line a request into the log; the metrics count them in any case, and failures are always written."""
    log_ids: bool = False
    """Write paths with people's ids into the log; otherwise only the route."""
    like_threshold: float = Field(default=4.0, ge=-1e6)
    """Ratings from this on are likes, in reasons and on the page."""


S = TypeVar("S", bound=Settings)


def changed(kind: type[S], changes: Sequence[str]) -> S:
    """Settings with some changed from the command line.

    Args:
        kind: of settings.
        changes: ``key=value`` each.

    Raises:
        RecipeError: an unknown key, or a value that cannot be read.
    """
    values = dict(change.partition("=")[::2] for change in changes)
    for name in values:
        if name not in kind.model_fields:
            raise RecipeError(f"there is no setting {name!r}; there are {', '.join(kind.model_fields)}")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        where = error.errors()[0]
        raise RecipeError(f"{where['loc'][0]} is {where['input']!r}: {where['msg']}") from error


def read_settings(changes: Sequence[str]) -> ServiceSettings:
    """The service's settings, see :func:`changed`."""
    return changed(ServiceSettings, changes)
