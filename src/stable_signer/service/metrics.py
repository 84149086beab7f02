"""What `/metrics` tells Prometheus. Nothing in it says what people sign."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix = "stable_signer"

        def counter(name: str, about: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"{prefix}_{name}", about, labels, registry=self.registry)

        def histogram(name: str, about: str, labels: tuple[str, ...] = ()) -> Histogram:
            return Histogram(f"{prefix}_{name}", about, labels, buckets=SECONDS, registry=self.registry)

        def gauge(name: str, about: str) -> Gauge:
            return Gauge(f"{prefix}_{name}", about, registry=self.registry)

        self.requests = counter("requests", "Requests answered.", ("route", "method", "status"))
        self.request_seconds = histogram(
            "request_seconds", "From request to the end of the answer.", ("route",)
        )
        self.first_seconds = histogram("first_byte_seconds", "From request to the first byte of a video.")
        self.signed_seconds = counter("signed_seconds", "Seconds of signing made.")
        self.cancelled = counter("cancelled", "Requests whose client left.")
        self.refused = counter("refused_busy", "Requests refused because all places were taken.")
        self.active = gauge("active", "Requests being made.")
        self.waiting = gauge("waiting", "Requests that wait.")
        self.cache_bytes = gauge("cache_bytes", "Memory of kept answers.")
        self.cache_hits = gauge("cache_hits", "Answers given from memory.")
        self.cache_misses = gauge("cache_misses", "Answers that had to be made.")

    def text(self) -> bytes:
        """The exposition format."""
        return bytes(generate_latest(self.registry))
