"""Makes the text that a scrape receives."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    ProcessCollector,
    generate_latest,
)

from worker.metrics.recording import WorkerMetrics


def exposition(metrics: WorkerMetrics) -> Callable[[], bytes]:
    """Return what makes the text of all metrics, those of the process included."""
    registry = CollectorRegistry()
    registry.register(metrics.store)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return lambda: generate_latest(registry)


def reference_exposition(metrics: WorkerMetrics) -> Callable[[], bytes]:
    """Return what makes the text of the reference: what live values are held to."""
    registry = CollectorRegistry()
    registry.register(metrics.reference)
    return lambda: generate_latest(registry)
