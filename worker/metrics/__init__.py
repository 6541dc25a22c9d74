"""What the worker tells about itself, in numbers.

Knows no broker and no pipeline: it is told what happened. The catalogue is the one
place where a metric is declared.
"""

from worker.metrics.catalogue import (
    CATALOGUE,
    REFERENCE_CATALOGUE,
)
from worker.metrics.declaring import Metric
from worker.metrics.exposition import (
    Exposition,
    exposition,
    exposition_of,
    reference_exposition,
)
from worker.metrics.facts import AbortReason, ModelFacts, Rebalance
from worker.metrics.recording import WorkerMetrics
from worker.metrics.store import MetricStore
from worker.metrics.table import metrics_table
from worker.metrics.truth_catalogue import DELAY_EDGES, TRUTH_CATALOGUE

__all__ = [
    "CATALOGUE",
    "DELAY_EDGES",
    "REFERENCE_CATALOGUE",
    "TRUTH_CATALOGUE",
    "AbortReason",
    "Exposition",
    "Metric",
    "MetricStore",
    "ModelFacts",
    "Rebalance",
    "WorkerMetrics",
    "exposition",
    "exposition_of",
    "metrics_table",
    "reference_exposition",
]
