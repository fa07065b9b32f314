"""What Prometheus may know: how many, how long, how it ended; nothing of a film or who sent it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from lucency import __version__
from lucency.bundle import Bundle

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """The server's numbers, in a registry of their own."""

    def __init__(self, bundle: Bundle) -> None:
        """All at zero."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        model = Info("lucency_model", "The bundle that reads.", registry=self.registry)
        model.info({"name": bundle.card.name, "digest": bundle.digest, "lucency": __version__})
        self.requests = Counter(
            "lucency_requests", "Requests by how they ended.", ["route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "lucency_request_seconds",
            "From the request's head to its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.reading_seconds = Histogram(
            "lucency_reading_seconds", "What a process took for one film.", buckets=SECONDS, registry=self.registry
        )
        self.verdicts = Counter("lucency_films", "Films read, by verdict.", ["verdict"], registry=self.registry)
        self.ended = Counter(
            "lucency_processes_ended", "Reading processes replaced, and why.", ["why"], registry=self.registry
        )
        self.processes = Gauge("lucency_processes", "Reading processes that can read.", registry=self.registry)
        self.inside = Gauge("lucency_requests_inside", "Requests being read or waiting.", registry=self.registry)

    def watch(self, inside: Callable[[], float]) -> None:
        """Take the number of requests inside from `inside` whenever someone asks."""
        self.inside.set_function(inside)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)
