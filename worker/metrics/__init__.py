"""What the worker tells about itself, in numbers.

Knows no broker and no pipeline: it is told what happened. The catalogue is the one
place where a metric is declared.
"""

from worker.metrics.catalogue import (
    CATALOGUE,
    REFERENCE_CATALOGUE,
    Metric,
    metrics_table,
)
from worker.metrics.facts import ModelFacts
from worker.metrics.recording import (
    AbortReason,
    Rebalance,
    WorkerMetrics,
    exposition,
    reference_exposition,
)
from worker.metrics.store import MetricStore

__all__ = [
    "CATALOGUE",
    "REFERENCE_CATALOGUE",
    "AbortReason",
    "Metric",
    "MetricStore",
    "ModelFacts",
    "Rebalance",
    "WorkerMetrics",
    "exposition",
    "metrics_table",
    "reference_exposition",
]
