"""What comes in and what goes out, as the service's documentation shows it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat


def _whole(text: str) -> str:
    """Refuse half of a character's pair, which JSON can say in escapes but no UTF-8 can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text is no valid Unicode") from None
    return text


Text = Annotated[str, AfterValidator(_whole)]
Id = Text | int


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class VectorsRequest(_In):
    """People whose vectors are wanted."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ids": [5, 42], "kind": "projected"}]})

    ids: list[Id]
    """Of people, numbers or texts."""
    kind: Literal["projected", "raw"] = "projected"
    """projected: by the publication's projection, for one's own ranker; raw: as the encoder gave it."""


class EventIn(_In):
    """An event of a person's history."""

    item_id: Id
    rating: FiniteFloat | None = None


class RankRequest(_In):
    """Items to be ranked for a person."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"user_id": 5, "candidates": [50, 100, 181], "events": [{"item_id": 1, "rating": 4}]}]
        },
    )

    user_id: Id
    candidates: list[Id] | None = None
    """Items; null: popular ones that are not in the history."""
    events: list[EventIn] | None = None
    """The person's events, oldest first; null: the end of the history that the text was written from."""
    top: int | None = Field(default=None, ge=1)
    """So many of the ranking; null: all."""


class ObjectionRequest(_In):
    """What a person says against the text."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"kind": "wrong", "sentence": "They turn away from musicals.", "training": False}]
        },
    )

    kind: Literal["wrong", "add"]
    """wrong: this sentence is not true of me; add: this one is."""
    sentence: Text = Field(min_length=1, max_length=2_000)
    """As it is shown."""
    training: bool = False
    """Whether models may be trained on this; never without being asked."""


class SentenceOut(BaseModel):
    """A sentence of a text."""

    text: str
    verdict: str
    """supported, contradicted, not_checkable, or own where the person wrote it."""
    way: str
    events: list[int]
    """Numbers of the events in ``history`` that it rests on."""


class EventOut(BaseModel):
    """An event of the history that the text was written from."""

    number: int
    item_id: Any
    rating: float | None
    timestamp: int | None
    item: dict[str, Any] | None = None
    """The item's card, where it was asked for with ``cards=true``."""


class UserOut(BaseModel):
    """A person's text and what it rests on."""

    user_id: Any
    version: str
    """That is served."""
    written_in: str
    """The version in which the text was written; a carried text is older than its version."""
    text: str
    """As people read it, without the numbers of events."""
    sentences: list[SentenceOut]
    history: list[EventOut]
    events: int
    last_event: int | None
    written: int
    age_seconds: int
    expires: int | None
    expired: bool
    objections: int
    has_vector: bool


class VectorOut(BaseModel):
    """A person's vector."""

    user_id: Any
    status: Literal["ok", "unknown", "expired", "no_vector"]
    vector: list[float] | None


class VectorsOut(BaseModel):
    """Vectors in the order asked for, all of one version."""

    version: str | None
    kind: str
    dimensions: int
    vectors: list[VectorOut]


class RankedOut(BaseModel):
    """An item of a ranking."""

    item_id: Any
    title: str | None
    probability: float
    """How likely the person is to like it."""
    without_text: float
    """The same, had the person no text."""


class RankOut(BaseModel):
    """Items, the likeliest to be liked first."""

    version: str | None
    text: Literal["used", "unknown", "expired", "no_vector"]
    """Whether the person's text was used; if not, why not."""
    events: int
    """How many events were in view."""
    items: list[RankedOut]
    unknown: list[Any]
    """Candidates that the ranker was not fitted with."""


class ReasonOut(BaseModel):
    """A sentence that bears on an item."""

    sentence: str
    speaks_for: bool
    shared: list[str]
    """Genres and tags that the item shares with the events."""
    events: list[int]


class WhyOut(BaseModel):
    """Why an item, or why not."""

    item_id: Any
    title: str | None
    reasons: list[ReasonOut]


class JudgedItemOut(BaseModel):
    """An item that a person met after the history, and what the judge held of it."""

    item_id: Any
    title: str | None
    label: int
    """Whether the person liked it: 1 or 0."""
    with_text: float
    """How likely the judge held that to be, having read the text."""
    without_text: float
    """The same, without the text."""


class JudgedOut(BaseModel):
    """What the judge of the run said, before the text was published."""

    changed: bool
    """Whether the person changed the text since; the judge read it as it was written."""
    items: list[JudgedItemOut]
    """The likeliest first; none where the judge did not read this text."""


class ItemOut(BaseModel):
    """An item and what is known of it."""

    item_id: Any
    title: str | None = None
    year: int | None = None
    genres: list[str] | None = None
    tags: list[str] | None = None
    gist: str | None = None
    known: int | None = None
    """How well the writer of the card knew it: 2 well, 1 vaguely, 0 not at all (then it has no tags)."""
