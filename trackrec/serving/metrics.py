"""What the service counts of itself, for Prometheus."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0, 5.0)


class _Counts(Collector):
    """Plain numbers, made into Prometheus' families when they are asked for.

    The library's own counters take a lock and look at what they were given each time: three of them took a tenth of a
    look-up. All counting is done in the event loop, one request after the other.
    """

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self.people: defaultdict[str, int] = defaultdict(int)

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for."""
        seconds = HistogramMetricFamily(
            "trackrec_request_seconds", "Seconds a request took, by route.", labels=["route"]
        )
        for route, counts in self.buckets.items():
            edges = [*(str(edge) for edge in BUCKETS), "+Inf"]
            seconds.add_metric([route], list(zip(edges, accumulate(counts), strict=True)), self.seconds[route])
        yield seconds
        requests = CounterMetricFamily("trackrec_requests", "Requests by route and status.", labels=["route", "status"])
        for (route, status), number in self.requests.items():
            requests.add_metric([route, str(status)], number)
        yield requests
        people = CounterMetricFamily("trackrec_people", "People asked for, by what was found.", labels=["found"])
        for found, number in self.people.items():
            people.add_metric([found], number)
        yield people


class ServiceMetrics:
    """Counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counts = _Counts()
        self.registry.register(self._counts)
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

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        counts = self._counts
        counts.requests[route, status] += 1
        counts.seconds[route] += seconds
        counts.buckets[route][bisect_left(BUCKETS, seconds)] += 1

    def found(self, what: str, number: int = 1) -> None:
        """Count people by what was found of them."""
        self._counts.people[what] += number

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
