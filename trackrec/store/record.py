"""What a store holds of a person, and as which bytes."""

from __future__ import annotations

import hashlib
import json
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trackrec.errors import StoreError
from trackrec.features.encoder import Floats
from trackrec.users.citations import without_citations

_HEAD = struct.Struct("<4sIHH")
_MAGIC = b"TRR1"
_HISTORY, _EVENTS = b',"history":[', b'],"events":'
MOST_KEY_BYTES = 400
"""Longer ids are kept by their hash: LMDB takes keys of 511 bytes at most."""


Encode = Callable[[str], tuple[Floats | None, Floats | None]]
"""Text -> vector by the projection, raw vector; None where there is no encoder."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text, as it was judged when the text was written."""

    text: str
    """With its citations, as written."""
    verdict: str
    """supported, contradicted or not_checkable; "own" where the person wrote it."""
    way: str = ""
    """How it was judged, or which way it leans, in the words of the check."""
    events: tuple[int, ...] = ()
    """Numbers of the events that it rests on (1 = oldest of the history)."""

    @property
    def shown(self) -> str:
        """As people read it: without the numbers in brackets."""
        return without_citations(self.text)


@dataclass(frozen=True)
class Event:
    """An event of the history that a text was written from."""

    number: int
    item_id: Any
    rating: float | None
    timestamp: int | None


@dataclass(frozen=True)
class Record:
    """A person's published text with all that is served beside it."""

    user_id: Any
    text: str
    sentences: tuple[Sentence, ...]
    vector: Floats | None
    """By the publication's projection, shape (components,); None: there is none."""
    raw_vector: Floats | None
    """As the encoder gives it, shape (dimensions,)."""
    history: tuple[Event, ...]
    events: int
    """How many events the log held of this person when the text was written."""
    last_event: int | None
    """Time of the last of them, in seconds."""
    written: int
    """When, in seconds."""
    expires: int | None
    """From when on the text is not to be served any more, in seconds; None: never."""
    version: str
    """The version in which the text was written; a carried text keeps its own."""
    objections: int = 0
    """How many sentences the person took out or added since."""

    def age(self, now: float | None = None) -> int:
        """Seconds since the text was written; 0 if the clock was set back behind that."""
        return max(0, int(time.time() if now is None else now) - self.written)

    def expired(self, now: float | None = None) -> bool:
        """Whether the text is too old to be served.

        A clock that stands before the writing was set back; then the time of writing is the best that is known.
        """
        moment = max(time.time() if now is None else now, float(self.written))
        return self.expires is not None and moment >= self.expires

    def with_text(self, sentences: tuple[Sentence, ...], encode: Encode) -> Record:
        """The record with other sentences, its text and vectors made anew from them.

        Args:
            sentences: all of them; without any there is no text and no vector.
            encode: see :data:`Encode`.
        """
        text = " ".join(sentence.text for sentence in sentences)
        vector, raw = encode(without_citations(text)) if text else (None, None)
        return replace(
            self, sentences=sentences, text=text, vector=vector, raw_vector=raw, objections=self.objections + 1
        )

    def as_tree(self) -> dict[str, Any]:
        """All of it as JSON can say it, for the export of a person's data."""
        vectors = {
            "vector": None if self.vector is None else self.vector.tolist(),
            "raw_vector": None if self.raw_vector is None else self.raw_vector.tolist(),
        }
        return {**self.body(), **vectors}

    def body(self) -> dict[str, Any]:
        """All but the vectors."""
        return {
            "user_id": self.user_id,
            "text": self.text,
            "sentences": [
                {"text": one.text, "verdict": one.verdict, "way": one.way, "events": list(one.events)}
                for one in self.sentences
            ],
            "history": [vars(event) for event in self.history],
            "events": self.events,
            "last_event": self.last_event,
            "written": self.written,
            "expires": self.expires,
            "version": self.version,
            "objections": self.objections,
        }


def record_from_row(row: Mapping[str, Any]) -> Record:
    """A record from a row of a publication's shard.

    Raises:
        StoreError: a vector holds a number that is not finite.
    """
    vectors = {name: _vector(row.get(name), name) for name in ("vector", "raw_vector")}
    return Record(
        user_id=row["user_id"],
        text=row["text"] or "",
        sentences=tuple(
            Sentence(one["text"], one["verdict"], one.get("way") or "", tuple(one.get("events") or ()))
            for one in row["sentences"] or ()
        ),
        vector=vectors["vector"],
        raw_vector=vectors["raw_vector"],
        history=tuple(
            Event(one["number"], one["item_id"], one["rating"], one["timestamp"]) for one in row["history"] or ()
        ),
        events=int(row["events"] or 0),
        last_event=row["last_event"],
        written=int(row["written"]),
        expires=row["expires"],
        version=row["version"],
    )


def key_of(user_id: Any) -> bytes:
    """The key of a person: the id as text, or its hash where that is long. Numbers and their texts share a key."""
    raw = str(user_id).encode("utf-8", "surrogatepass")
    if len(raw) <= MOST_KEY_BYTES:
        return raw
    return b"\xff" + hashlib.blake2b(raw, digest_size=32).digest()  # no text in UTF-8 begins with this byte


def encode_record(record: Record) -> bytes:
    """The record as bytes: lengths, both vectors as float32 (least byte first), the rest as JSON."""
    vector = b"" if record.vector is None else np.asarray(record.vector, dtype="<f4").tobytes()
    raw = b"" if record.raw_vector is None else np.asarray(record.raw_vector, dtype="<f4").tobytes()
    body = _dumps(record.body())
    return _HEAD.pack(_MAGIC, len(body), len(vector) // 4, len(raw) // 4) + vector + raw + body


class Stored:
    """A record as it lies in the store, its parts read when they are asked for.

    Args:
        value: as :func:`encode_record` made it.
    """

    __slots__ = ("_body", "_head", "value")

    def __init__(self, value: bytes) -> None:
        self.value = value
        self._head: tuple[int, int, int, int] | None = None
        self._body: dict[str, Any] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stored) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    @property
    def has_vector(self) -> bool:
        """Whether there is a raw vector."""
        return self._lengths()[2] > 0

    @property
    def vector(self) -> Floats | None:
        """See :class:`Record`."""
        _, size, _, _ = self._lengths()
        return np.frombuffer(self.value, "<f4", size, _HEAD.size) if size else None

    @property
    def raw_vector(self) -> Floats | None:
        """See :class:`Record`."""
        _, before, size, _ = self._lengths()
        return np.frombuffer(self.value, "<f4", size, _HEAD.size + 4 * before) if size else None

    @property
    def body(self) -> dict[str, Any]:
        """All but the vectors, see :meth:`Record.body`."""
        if self._body is None:
            self._body = read_value(self.value[self._start() :])
        return self._body

    def told(self) -> tuple[dict[str, Any], bytes]:
        """The body with an empty history, and the history as it lies there, in JSON: it is long, and only passed on.

        No string in JSON can hold the bytes looked for: its quotation marks have a backslash before them. And in an
        event nothing is called "events".
        """
        start = self._start()
        first = self.value.find(_HISTORY, start) + len(_HISTORY)
        last = self.value.rfind(_EVENTS, start)
        return read_value(self.value[start:first] + self.value[last:]), b"[%b]" % self.value[first:last]

    def expired(self, now: float) -> bool:
        """See :meth:`Record.expired`."""
        # Most texts do not expire, and of these nothing is taken apart. What says so stands near the end.
        if self.value.rfind(b'"expires":null', self._lengths()[3]) >= 0:
            return False
        expires, written = self.body["expires"], self.body["written"]
        return expires is not None and max(now, float(written)) >= expires

    @property
    def record(self) -> Record:
        """All of it."""
        body = self.body
        try:
            told = {
                "sentences": tuple(
                    Sentence(one["text"], one["verdict"], one["way"], tuple(one["events"])) for one in body["sentences"]
                ),
                "history": tuple(Event(**event) for event in body["history"]),
            }
            return Record(**(body | told), vector=self.vector, raw_vector=self.raw_vector)
        except (KeyError, TypeError) as error:
            raise _not_ours(error) from error

    def _start(self) -> int:
        """Where the body begins."""
        length, _, _, start = self._lengths()
        if len(self.value) != start + length:
            raise StoreError(
                f"a record of the store has {len(self.value)} bytes, but its head says {start + length}: it was "
                "cut off; publish the version again"
            )
        return start

    def _lengths(self) -> tuple[int, int, int, int]:
        """Bytes of the body, numbers of the two vectors, and where the body begins."""
        if self._head is not None:
            return self._head
        if len(self.value) < _HEAD.size or self.value[:4] != _MAGIC:
            raise StoreError(
                f"a record of the store begins with {self.value[:4]!r}, but {_MAGIC!r} was expected: it was written by "
                "another version of TrackRec; publish again with this one"
            )
        _, length, vector, raw = _HEAD.unpack_from(self.value)
        self._head = (length, vector, raw, _HEAD.size + 4 * (vector + raw))
        return self._head


def read_value(value: bytes) -> Any:
    """What a value of the store says, which is JSON.

    Raises:
        StoreError: it is damaged.
    """
    try:
        return _loads(value)
    except ValueError as error:
        raise _not_ours(error) from error


def _not_ours(error: Exception) -> StoreError:
    return StoreError(
        f"a record of the store is damaged ({str(error)[:100]}): publish the version again; meanwhile trackrec "
        "store rollback serves the one before"
    )


def _vector(values: Any, name: str) -> Floats | None:
    if values is None:
        return None
    vector = np.asarray(values, dtype=np.float32)
    if not np.isfinite(vector).all():
        raise StoreError(
            f"a {name} holds a number that is not finite (NaN or infinite): such a version is not published; "
            "write it again"
        )
    return vector


def _plain_dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


_loads: Callable[[bytes], Any]
_dumps: Callable[[Any], bytes]
try:  # several times as fast, and it comes with the extra "serve"
    import orjson

    _loads = orjson.loads

    def _dumps(value: Any) -> bytes:
        try:
            return orjson.dumps(value)
        except TypeError:  # half of a character's pair, which only escapes can say
            return _plain_dumps(value)

except ImportError:
    _loads, _dumps = json.loads, _plain_dumps
