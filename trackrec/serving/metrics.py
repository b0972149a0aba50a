"""What the service counts of itself, for Prometheus."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0, 5.0)


class ServiceMetrics:
    """Counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "trackrec_request_seconds",
            "Seconds a request took, by route.",
            ("route",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._requests = Counter(
            "trackrec_requests", "Requests by route and status.", ("route", "status"), registry=self.registry
        )
        self.people = Counter(
            "trackrec_people", "People asked for, by what was found.", ("found",), registry=self.registry
        )
        self._version = Gauge(
            "trackrec_version_info", "The version that is served.", ("version",), registry=self.registry
        )
        self._gauges = {
            name: Gauge(f"trackrec_version_{name}", help_text, registry=self.registry)
            for name, help_text in {
                "people": "People in the version that is served.",
                "coverage": "Share of them with a vector.",
                "contradicted": "Share of checkable sentences that their history contradicts.",
                "published_seconds": "When the version was loaded, in seconds since 1970.",
                "written_age_days": "Median age of its texts, in days.",
            }.items()
        }
        self._of: dict[tuple[str, str], tuple[Any, Any]] = {}
        self._found: dict[str, Any] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        key = (route, str(status))
        if key not in self._of:  # looking up labels costs more than counting
            self._of[key] = (self._seconds.labels(route), self._requests.labels(*key))
        histogram, counter = self._of[key]
        histogram.observe(seconds)
        counter.inc()

    def found(self, what: str, number: int = 1) -> None:
        """Count people by what was found of them."""
        if what not in self._found:
            self._found[what] = self.people.labels(what)
        self._found[what].inc(number)

    def exposition(self, version: str | None, published: int, summary: dict[str, Any]) -> bytes:
        """All of it as text.

        Args:
            version: that is served.
            published: when it was loaded, in seconds.
            summary: see :func:`trackrec.store.summary.summarise`.
        """
        self._version.clear()
        if version is not None:
            self._version.labels(version).set(1)
        people = summary.get("people") or 0
        age = (summary.get("age_days") or {}).get("p50")
        values = {
            "people": people,
            "coverage": summary.get("with_vector", 0) / people if people else 0.0,
            "contradicted": summary.get("contradicted") or 0.0,
            "published_seconds": published,
            "written_age_days": 0.0 if age is None else age + max(0.0, time.time() - published) / 86_400,
        }
        for name, value in values.items():
            self._gauges[name].set(value)
        return generate_latest(self.registry)
