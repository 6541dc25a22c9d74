"""Makes the text that a scrape receives, in the format that it asks for."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from worker.metrics.recording import WorkerMetrics
from worker.metrics.store import MetricStore

#: Given the header Accept of a request, returns a text and its content type.
Exposition = Callable[[str], tuple[bytes, str]]


def exposition(metrics: WorkerMetrics) -> Exposition:
    """Return what makes the text of all metrics, those of the process included.

    Who asks for OpenMetrics gets exemplars too.
    """
    return exposition_of(metrics.store)


def reference_exposition(metrics: WorkerMetrics) -> Exposition:
    """Return what makes the text of the reference: what live values are held to."""
    return exposition_of(metrics.reference, with_process=False)


def exposition_of(store: MetricStore, *, with_process: bool = True) -> Exposition:
    """Return what makes the text of a store's series, and of those of the process."""
    registry = CollectorRegistry()
    registry.register(store)
    if with_process:
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)

    def make(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    return make
