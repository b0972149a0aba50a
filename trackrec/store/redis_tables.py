"""Tables in Redis: one store for many hosts. A table is a hash; state and records are read by one script, at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trackrec.errors import StoreError
from trackrec.store.tables import View

_BATCH = 1_000
_PREFIX = b"trackrec:"
_VIEW = """
local state = redis.call('GET', KEYS[1])
if (state or '') ~= ARGV[1] then return {state or ''} end
local found = redis.call('HMGET', KEYS[2], unpack(ARGV, 2))
table.insert(found, 1, state or '')
return found
"""
"""State and values, if the state is still the one that the table was chosen by; else the new state alone."""
_REPLACE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""
_MOST_KEYS = 4_000
"""Of one script: Lua's stack takes 8,000."""


class RedisTables:
    """See :class:`trackrec.store.tables.Tables`.

    Args:
        url: redis://, rediss:// or unix://; a password comes from the URL of the environment, see the documents.
        seconds: how long to wait for an answer.
    """

    read_only = False
    embedded = False

    def __init__(self, url: str, seconds: float = 5.0) -> None:
        self.seconds = seconds
        with self._errors():
            self._client: Any = redis.Redis.from_url(
                url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0)
            )
        self._view = self._client.register_script(_VIEW)
        self._replace = self._client.register_script(_REPLACE)
        self._known = b""

    def view(self, table: Callable[[bytes], str | None], keys: Sequence[bytes]) -> View:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors():
            state = self._known if keys else self._client.get(_PREFIX + b"state") or b""
            while keys:
                name = table(state)
                part, rest = list(keys[:_MOST_KEYS]), keys[_MOST_KEYS:]
                found = self._view(keys=[_PREFIX + b"state", _name(name or "none")], args=[state, *part])
                if found[0] != state:  # switched meanwhile: choose the table anew
                    self._known = state = found[0]
                    continue
                values = found[1:]
                while rest:
                    part, rest = list(rest[:_MOST_KEYS]), rest[_MOST_KEYS:]
                    more = self._view(keys=[_PREFIX + b"state", _name(name or "none")], args=[state, *part])
                    if more[0] != state:
                        break
                    values += more[1:]
                if len(values) == len(keys):
                    return View(state, values if name else [None] * len(keys))
                self._known = state = more[0]
            return View(state, [])

    def change_state(self, change: Callable[[bytes], bytes]) -> bytes:
        """See :class:`trackrec.store.tables.Tables`."""
        name = _PREFIX + b"state"
        with self._errors(), self._client.pipeline() as pipeline:
            while True:
                try:
                    pipeline.watch(name)
                    state = change(pipeline.get(name) or b"")
                    pipeline.multi()
                    pipeline.set(name, state)
                    pipeline.execute()
                    return state
                except redis.WatchError:
                    continue

    def write(self, table: str, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """See :class:`trackrec.store.tables.Tables`."""
        rows = iter(pairs)
        while batch := list(itertools.islice(rows, _BATCH)):
            with self._errors():
                self._client.hset(_name(table), mapping=dict(batch))

    def replace(self, table: str, key: bytes, old: bytes, new: bytes) -> bool:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors():
            return bool(self._replace(keys=[_name(table)], args=[key, old, new]))

    def erase(self, table: str, keys: Sequence[bytes]) -> int:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors():
            return int(self._client.hdel(_name(table), *keys)) if keys else 0

    def drop(self, table: str) -> None:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors():
            self._client.unlink(_name(table))

    def scan(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`trackrec.store.tables.Tables`. A key that is written meanwhile may come twice or not at all."""
        cursor = 0
        while True:
            with self._errors():
                cursor, found = self._client.hscan(_name(table), cursor, count=_BATCH)
            yield from found.items()
            if cursor == 0:
                return

    def count(self, table: str) -> int:
        """See :class:`trackrec.store.tables.Tables`."""
        with self._errors():
            return int(self._client.hlen(_name(table)))

    def keys(self, table: str, prefix: bytes, most: int) -> list[bytes]:
        """See :class:`trackrec.store.tables.Tables`. A hash has no order: only the first thousands are looked at."""
        with self._errors():
            _, found = self._client.hscan(_name(table), 0, count=10 * _BATCH)
        return sorted(key for key in found if key.startswith(prefix))[:most]

    def close(self) -> None:
        """See :class:`trackrec.store.tables.Tables`."""
        self._client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, ValueError) as error:
            raise StoreError(
                f"the Redis store does not answer as it should within {self.seconds:g} s ({type(error).__name__}): is "
                "the server up, the address right, the memory enough?"
            ) from error


def _name(table: str) -> bytes:
    return _PREFIX + b"table:" + table.encode()
