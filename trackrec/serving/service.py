"""What the routes share: the store, the catalogue, the ranker, and how they are asked without holding others up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import numpy as np

from trackrec.errors import StoreError, TrackRecError
from trackrec.features.projection import Projection
from trackrec.serving.cards import Cards
from trackrec.serving.metrics import ServiceMetrics
from trackrec.serving.problems import LOG, Problem
from trackrec.serving.ranker import ServingRanker
from trackrec.serving.run_texts import JudgedItems
from trackrec.serving.settings import ServiceSettings
from trackrec.store.objections import Rewriter
from trackrec.store.record import Stored
from trackrec.store.store import Reading, Store

T = TypeVar("T")


@dataclass
class Service:
    """A service's parts."""

    store: Store
    settings: ServiceSettings = field(default_factory=ServiceSettings)
    cards: Cards | None = None
    ranker: ServingRanker | None = None
    judged: JudgedItems | None = None
    metrics: ServiceMetrics = field(default_factory=ServiceMetrics)
    _rewriters: dict[str, Rewriter] = field(default_factory=dict)
    _about: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(
        cls, store: Store, settings: ServiceSettings, run: Path | None = None, knowledge: str | None = None
    ) -> Service:
        """With the catalogue, the ranker and the judge's answers of a run, where there is one.

        Args:
            store: that is served.
            settings: limits.
            run: its folder; its ranker is in ``ranker/``.
            knowledge: cards of the items, see :meth:`Cards.of_run`.
        """
        cards = None if run is None else Cards.of_run(run, knowledge)
        folder = None if run is None else run / "ranker"
        ranker = ServingRanker(folder) if folder is not None and folder.is_dir() else None
        return cls(store, settings, cards, ranker, None if run is None else JudgedItems.of_run(run))

    async def read(self, ids: Sequence[str], version: str | None = None) -> Reading:
        """The records of some people, in time or not at all.

        Raises:
            Problem: an id is too long.
            StoreError: the store is down or too slow.
        """
        for one in ids:
            if len(one) > self.settings.max_id_bytes or len(one.encode()) > self.settings.max_id_bytes:
                raise Problem(422, f"an id has more than {self.settings.max_id_bytes} bytes")
        if self.store.tables.embedded:  # microseconds: a thread would cost more
            return self.store.read(ids, version)
        return await self.in_thread(lambda: self.store.read(ids, version))

    async def one(self, user_id: str, version: str | None = None) -> tuple[str, Stored]:
        """The version and the record of a person who may be shown.

        Raises:
            Problem: 404 nobody of that id (or no such version), 410 the text is too old.
        """
        reading = await self.read([user_id], version)
        found = reading.found[0]
        if reading.version is None:
            if version is None:
                raise Problem(503, "the store serves no version yet: publish one")
            raise Problem(404, "the store holds no such version, or it is not loaded whole")
        if found is None:
            self.metrics.found("unknown")
            raise Problem(404, "nobody of that id has a text in this version")
        if not self.settings.serve_expired and self.expired(found):
            self.metrics.found("expired")
            raise Problem(410, "the text was written from too old a history and is not given out: write it again")
        self.metrics.found("found")
        return reading.version, found

    def expired(self, found: Stored) -> bool:
        """Whether a text is too old, see :meth:`trackrec.store.record.Record.expired`."""
        return found.expired(self.store.clock())

    async def in_thread(self, work: Callable[[], T], seconds: float | None = None) -> T:
        """Work that may take long, given up after some time.

        Raises:
            StoreError: it took too long.
        """
        limit = self.settings.seconds if seconds is None else seconds
        try:
            with anyio.fail_after(limit):
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        except TimeoutError as error:
            raise StoreError(f"no answer within {limit:g} s") from error

    def about(self, version: str) -> dict[str, Any]:
        """What is known of a version, see :meth:`trackrec.store.store.Store.about`; read once for each loading."""
        table = self.store.state().named(version).table
        known = self._about.get(version)
        if known is None or known[0] != table:
            known = self._about[version] = (table, self.store.about(version))
        return known[1]

    def rewriter(self, version: str) -> Rewriter:
        """What makes vectors of changed texts of a version; its encoder is loaded once."""
        with self._lock:
            if version not in self._rewriters:
                manifest = self.about(version)["manifest"]
                tensors = manifest.get("projection_tensors")
                projection = None
                if tensors is not None:
                    arrays = [np.asarray(tensors[name], dtype=np.float32) for name in ("mean", "directions")]
                    projection = Projection(*arrays)
                for known in self._rewriters.values():
                    if known.name == manifest.get("encoder"):
                        self._rewriters[version] = Rewriter(known.encoder, projection, known.name)
                        break
                else:
                    self._rewriters[version] = Rewriter.named(manifest.get("encoder"), projection)
            return self._rewriters[version]

    def warm_up(self) -> None:
        """Do what the first request would have to wait for: the encoder and the ranker are run once.

        A store that serves nothing yet is no error; then the first objection loads the encoder.
        """
        if self.ranker is not None:
            self.ranker.rank(self.ranker.projection.mean, [], self.ranker.popular[:1])
        if self.store.tables.read_only:
            return
        try:
            current = self.store.state().current
            if current is not None:
                self.rewriter(current)("Warm.")
        except TrackRecError as error:
            LOG.warning("objections will not get vectors: %s", error)

    def need_cards(self) -> Cards:
        """The catalogue.

        Raises:
            Problem: the service was started without one.
        """
        if self.cards is None:
            raise Problem(501, "the service was started without a run, so it knows no items: start it with --run")
        return self.cards

    def need_ranker(self) -> ServingRanker:
        """The ranker.

        Raises:
            Problem: the service was started without one.
        """
        if self.ranker is None:
            detail = "the service was started without a ranker: publish with --run, then serve with --run"
            raise Problem(501, detail)
        return self.ranker
