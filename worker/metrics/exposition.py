"""Makes the text that a scrape receives, in the format that it asks for."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from worker.metrics.recording import WorkerMetrics

#: Given the header Accept of a request, returns a text and its content type.
Exposition = Callable[[str], tuple[bytes, str]]


def exposition(metrics: WorkerMetrics) -> Exposition:
    """Return what makes the text of all metrics, those of the process included.

    Who asks for OpenMetrics gets exemplars too.
    """
    registry = CollectorRegistry()
    registry.register(metrics.store)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return _of(registry)


def reference_exposition(metrics: WorkerMetrics) -> Exposition:
    """Return what makes the text of the reference: what live values are held to."""
    registry = CollectorRegistry()
    registry.register(metrics.reference)
    return _of(registry)


def _of(registry: CollectorRegistry) -> Exposition:
    def make(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    return make
