"""One writer a target: a lock that goes when its process dies, and on object storage a lease that runs out."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from trackrec.errors import TargetBusy
from trackrec.writing.place import Place

LEASE = 60.0
"""Seconds after its last renewal at which a lease on object storage has run out."""
_NAME = "writer.lock"


@contextlib.contextmanager
def only_writer(place: Place, wait: float = 0.0, lease: float = LEASE) -> Iterator[Holder]:
    """Hold the target for the block's time.

    Args:
        place: the target.
        wait: seconds to wait for another job to end.
        lease: on object storage, seconds without renewal after which a holder counts as dead.

    Raises:
        TargetBusy: another job holds it.
    """
    until = time.monotonic() + wait
    if place.is_local:
        Path(place.root).mkdir(parents=True, exist_ok=True)
        lock = FileLock(place.path(f".{_NAME}"))
        try:
            lock.acquire(timeout=wait)
        except Timeout as error:
            raise _busy(place, "") from error
        try:
            yield Holder(place, None)
        finally:
            lock.release()
        return
    place.check_create()
    token = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"
    while not _taken(place, token, lease):
        if time.monotonic() >= until:
            raise _busy(place, place.read(_NAME).decode(errors="replace"))
        time.sleep(min(1.0, lease / 10))
    holder, stop = Holder(place, token), threading.Event()
    renewal = threading.Thread(target=_renew, args=(holder, stop, lease / 4), daemon=True)
    renewal.start()
    try:
        yield holder
    finally:
        stop.set()
        renewal.join()
        if holder.holds:
            place.remove(_NAME)


class Holder:
    """Who holds a target; asked before anything becomes visible there."""

    def __init__(self, place: Place, token: str | None) -> None:
        self._place, self._token = place, token

    @property
    def holds(self) -> bool:
        """Whether the target is still this job's: a lease may have run out while the process was stopped."""
        if self._token is None:
            return True
        try:
            return self._place.read(_NAME).decode() == self._token
        except FileNotFoundError:
            return False

    def renew(self) -> None:
        """Put the lease anew, unless it is another's by now."""
        if self._token is not None and self.holds:
            self._place.write(_NAME, self._token.encode())

    def check(self) -> None:
        """Refuse to go on without the target.

        Raises:
            TargetBusy: another job took it over.
        """
        if not self.holds:
            raise TargetBusy(
                f"the lease on {self._place.url} ran out and another job took it: nothing was published. Start again"
            )


def _taken(place: Place, token: str, lease: float) -> bool:
    if place.create(_NAME, token.encode()):
        return True
    try:
        holder, put = place.read(_NAME), place.modified(_NAME)
    except FileNotFoundError:
        return place.create(_NAME, token.encode())
    # Both times are the storage's own: the clocks of the machines that write do not matter.
    probe = f".clock-{uuid.uuid4().hex[:12]}"
    place.write(probe, b"")
    now = place.modified(probe)
    place.remove(probe)
    if now - put < lease:
        return False
    with contextlib.suppress(FileNotFoundError):
        if place.read(_NAME) == holder:
            place.remove(_NAME)
    return place.create(_NAME, token.encode())


def _renew(holder: Holder, stop: threading.Event, pause: float) -> None:
    while not stop.wait(pause):
        with contextlib.suppress(Exception):  # the next renewal may arrive; if none does, the lease runs out
            holder.renew()


def _busy(place: Place, who: str) -> TargetBusy:
    by = f" ({who})" if who else ""
    return TargetBusy(
        f"another job writes to {place.url}{by}: wait until it ends (--wait SECONDS), or write to another place"
    )
