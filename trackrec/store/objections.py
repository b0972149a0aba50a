"""What people say against their texts, and the texts made anew without it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from trackrec.errors import StoreError
from trackrec.features.encoder import Encoder, Floats, TextEncoder
from trackrec.features.projection import Projection
from trackrec.store.record import Encode, Record, Sentence, key_of
from trackrec.store.store import FEEDBACK, Store
from trackrec.users.citations import without_citations

OWN = "own"
"""Verdict of a sentence that the person wrote."""
LONGEST = 500
"""Characters of a sentence of one's own."""
MOST_OWN = 20
"""Sentences of one's own that a text may have."""


class RefusedError(StoreError):
    """What a person says cannot be taken as it is."""


class Objection(BaseModel):
    """A sentence that a person takes out of the text, or adds to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["wrong", "add"]
    """wrong: the sentence is not true of me; add: this one is."""
    sentence: str = Field(min_length=1, max_length=4 * LONGEST)
    """As it is shown, without citations."""
    training: bool = False
    """Whether the person agrees that models are trained on this; without it, it never is."""


class Rewriter:
    """Makes vectors of texts that people changed.

    Args:
        encoder: the publication's; None: such texts get no vector.
        projection: the publication's; None: the vector is the encoder's own.
        name: of the encoder.
    """

    def __init__(self, encoder: Encoder | None, projection: Projection | None, name: str | None = None) -> None:
        self.encoder, self.projection, self.name = encoder, projection, name

    @classmethod
    def named(cls, encoder: str | None, projection: Projection | None) -> Rewriter:
        """With the encoder that a manifest names: a sentence-transformers model, or none."""
        return cls(None if encoder in (None, "", "none") else TextEncoder(str(encoder)), projection, encoder)

    def __call__(self, text: str) -> tuple[Floats | None, Floats | None]:
        """Text -> vector by the projection, raw vector."""
        if self.encoder is None:
            return None, None
        raw = np.asarray(self.encoder.encode([text]), dtype=np.float32)
        if isinstance(self.encoder, TextEncoder):
            self.encoder._cache.clear()  # nothing of a person stays behind in the process
        return (raw if self.projection is None else self.projection(raw))[0], raw[0]


def apply_objections(record: Record, told: Iterable[Objection], encode: Encode) -> Record:
    """The record as the person wants it; the same one if nothing said bears on its text.

    Args:
        record: as it was written, or as it was changed before.
        told: what the person said, oldest first.
        encode: see :class:`Rewriter`.
    """
    sentences = list(record.sentences)
    for one in told:
        if one.kind == "wrong":
            sentences = [sentence for sentence in sentences if _plain(sentence.text) != _plain(one.sentence)]
        elif all(_plain(sentence.text) != _plain(one.sentence) for sentence in sentences):
            sentences.append(Sentence(one.sentence.strip(), OWN))
    return record if tuple(sentences) == record.sentences else record.with_text(tuple(sentences), encode)


def object_to(store: Store, user_id: Any, objection: Objection, encode: Encode) -> Record | None:
    """Keep what a person says, and put the text made anew in the place of the one that is served.

    Args:
        store: where the person's record lies.
        user_id: of the person.
        objection: what is said.
        encode: see :class:`Rewriter`.

    Returns:
        The new record; None: nobody of that id is known (any more).

    Raises:
        RefusedError: the sentence is not in the text, or there are too many of one's own.
    """
    kept = False
    while True:
        reading = store.read([user_id])
        found = reading.found[0]
        if found is None or reading.version is None:
            if kept:  # forgotten in between: then what was said is to be forgotten too
                store.tables.erase(FEEDBACK, [key_of(user_id)])
            return None
        record = found.record
        if not kept:
            _refuse(objection, record)
            told = objection.model_dump() | {"time": int(store.clock()), "version": reading.version}
            store.add_feedback(user_id, told)
            kept = True
        changed = apply_objections(record, [objection], encode)
        if changed is record or store.replace(reading.version, found, changed):
            return changed


def _refuse(objection: Objection, record: Record) -> None:
    if objection.kind == "wrong" and all(_plain(s.text) != _plain(objection.sentence) for s in record.sentences):
        raise RefusedError("the text does not have that sentence (any more): read the text again")
    if objection.kind == "add":
        if len(objection.sentence) > LONGEST:
            raise RefusedError(f"a sentence of one's own has at most {LONGEST} characters")
        if sum(sentence.verdict == OWN for sentence in record.sentences) >= MOST_OWN:
            raise RefusedError(f"a text has at most {MOST_OWN} sentences of one's own: take one out first")


def objections_of(entries: Iterable[dict[str, Any]]) -> list[Objection]:
    """What was kept as feedback, as objections again."""
    return [Objection(kind=one["kind"], sentence=one["sentence"], training=one["training"]) for one in entries]


def _plain(text: str) -> str:
    return " ".join(without_citations(text).split())
