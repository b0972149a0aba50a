"""The cache of answers: whatever was paid for is kept on arrival, in one SQLite file that many processes may share."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil

from trackrec.engines.base import Usage
from trackrec.engines.budget import Bill
from trackrec.engines.failures import EngineError

VERSION = 1

_TABLES = """
CREATE TABLE answers (key TEXT, sample INTEGER, answer TEXT NOT NULL, PRIMARY KEY (key, sample)) WITHOUT ROWID;
CREATE TABLE subjects (subject TEXT, key TEXT, PRIMARY KEY (subject, key)) WITHOUT ROWID;
CREATE INDEX subjects_of ON subjects (key);
CREATE TABLE calls (id INTEGER PRIMARY KEY, key TEXT, first INTEGER, samples INTEGER, at REAL, model TEXT,
    prompt_tokens INTEGER, completion_tokens INTEGER, cached_tokens INTEGER, money TEXT, prices TEXT, outcome TEXT);
CREATE INDEX calls_of ON calls (key);
CREATE TABLE asking (key TEXT PRIMARY KEY, host TEXT, process INTEGER, owner TEXT, until REAL) WITHOUT ROWID;
"""


def key_of(parts: Mapping[str, Any]) -> str:
    """The key of a request: SHA-256 of everything that decides the answer, written as JSON in one fixed way.

    >>> key_of({"model": "a", "seed": 1}) == key_of({"seed": 1, "model": "a"})
    True
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class AnswerCache:
    """Answers by key and sample, what each call cost, and who is asking for what just now.

    Prompts are not kept, only their hash. Each answer is on the disk before ``put`` returns, so a process that is
    killed, or a machine that loses its power, loses none. Threads and processes of one machine may use one file at the
    same time; a network drive is no place for it (SQLite's write-ahead log needs shared memory).

    Args:
        path: the file; made if it is missing.

    Raises:
        EngineError: the file cannot be opened, is no such cache, or is of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._host, self._owner = socket.gethostname(), uuid.uuid4().hex
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten, not only unlinked
            with self._write():
                version = self._base.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    for statement in _TABLES.split(";"):
                        self._base.execute(statement)
                    self._base.execute(f"PRAGMA user_version = {VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise EngineError(
                f"the cache of answers {path} cannot be opened: {error}. Expected a file made by TrackRec, or none, "
                "in a folder that can be written; name another file, or move this one away"
            ) from error
        if version > VERSION:
            raise EngineError(f"the cache of answers {path} is of version {version}; this TrackRec reads {VERSION}")

    @contextmanager
    def _write(self) -> Iterator[None]:
        """One transaction, of one thread at a time."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def get(self, key: str, n: int) -> list[dict[str, Any]]:
        """The first samples of a request, ``n`` at most, as far as they are there without a gap."""
        with self._lock:
            rows = self._base.execute(
                "SELECT sample, answer FROM answers WHERE key = ? AND sample < ? ORDER BY sample", (key, n)
            ).fetchall()
        return [json.loads(answer) for place, (sample, answer) in enumerate(rows) if sample == place]

    def has(self, key: str, sample: int) -> bool:
        """Whether one sample of a request is there."""
        with self._lock:
            found = self._base.execute("SELECT 1 FROM answers WHERE key = ? AND sample = ?", (key, sample)).fetchone()
        return found is not None

    def put(
        self,
        key: str,
        first: int,
        answers: Sequence[Mapping[str, Any]],
        usage: Usage,
        money: Decimal | None,
        prices: str | None,
        model: str,
        outcome: str = "answered",
    ) -> None:
        """Keep what a call brought, and what it cost, in one step.

        Args:
            key: of the request.
            first: number of the first sample.
            answers: what JSON can hold, one a sample; none where the answer was paid and is of no use.
            usage: tokens of the call.
            money: US dollars; None: not known.
            prices: name of the price list.
            model: the model's name.
            outcome: "answered", or the kind of failure.
        """
        texts = [json.dumps(answer, ensure_ascii=True) for answer in answers]
        call = (
            key,
            first,
            len(texts),
            time.time(),
            model,
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.cached_tokens,
        )
        with self._write():
            self._base.executemany(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?)",
                [(key, first + place, text) for place, text in enumerate(texts)],
            )
            self._base.execute(
                "INSERT INTO calls (key, first, samples, at, model, prompt_tokens, completion_tokens, cached_tokens, "
                "money, prices, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*call, None if money is None else str(money), prices, outcome),
            )

    def link(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Note whom or what requests are about: pairs of subject and key."""
        if pairs:
            with self._write():
                self._base.executemany("INSERT OR IGNORE INTO subjects VALUES (?, ?)", pairs)

    def claim(self, key: str, seconds: float) -> bool:
        """Say that this process asks for a key now, so that no other one pays for it too.

        Args:
            key: of the request.
            seconds: how long the claim holds unless it is made again. That of a process that died ends at once.

        Returns:
            Whether it is this process's; False: a living one has it.
        """
        now = time.time()
        with self._write():
            found = self._base.execute(
                "SELECT host, process, owner, until FROM asking WHERE key = ?", (key,)
            ).fetchone()
            if found is not None and found[2] != self._owner:
                alive = found[0] != self._host or psutil.pid_exists(found[1])
                if alive and found[3] > now:
                    return False
            claim = (key, self._host, os.getpid(), self._owner, now + seconds)
            self._base.execute("INSERT OR REPLACE INTO asking VALUES (?, ?, ?, ?, ?)", claim)
        return True

    def release(self, key: str) -> None:
        """Give a claim up."""
        with self._write():
            self._base.execute("DELETE FROM asking WHERE key = ? AND owner = ?", (key, self._owner))

    def keys_of(self, subject: str) -> list[str]:
        """The requests that are about a subject and no other one."""
        with self._lock:
            rows = self._base.execute(
                "SELECT key FROM subjects AS mine WHERE subject = ? AND NOT EXISTS "
                "(SELECT 1 FROM subjects WHERE key = mine.key AND subject != mine.subject)",
                (subject,),
            ).fetchall()
        return [row[0] for row in rows]

    def knows(self, key: str) -> bool:
        """Whether it is known whom or what a request is about."""
        with self._lock:
            return self._base.execute("SELECT 1 FROM subjects WHERE key = ?", (key,)).fetchone() is not None

    def forget(self, subject: str) -> int:
        """Remove every answer on a subject that no other subject shares. Returns how many answers went."""
        with self._write():
            keys = [row[0] for row in self._base.execute("SELECT key FROM subjects WHERE subject = ?", (subject,))]
            self._base.execute("DELETE FROM subjects WHERE subject = ?", (subject,))
            gone = 0
            for key in keys:
                if self._base.execute("SELECT 1 FROM subjects WHERE key = ?", (key,)).fetchone() is None:
                    gone += self._base.execute("DELETE FROM answers WHERE key = ?", (key,)).rowcount
        with self._lock:  # nor may it stay readable in the log beside the file
            self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def bill(self) -> Bill:
        """What all calls in this cache cost, of every command that used it."""
        with self._lock:
            rows = self._base.execute(
                "SELECT prompt_tokens, completion_tokens, cached_tokens, money, prices FROM calls"
            ).fetchall()
        usage = Usage(*(sum(row[place] for row in rows) for place in range(3)))
        known = [Decimal(row[3]) for row in rows if row[3] is not None]
        names = sorted({row[4] for row in rows if row[4]})
        money = sum(known, Decimal(0)) if rows and len(known) == len(rows) else None
        return Bill(len(rows), usage, money, ", ".join(names) or None)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()
