"""How a metric is declared: its type, its labels, and the edges of its buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MetricType = Literal["counter", "gauge", "histogram"]

#: Edges for latencies, seconds. Those that an objective is likely to name are exact:
#: 40 ms and 50 ms, a quarter of a second, one second, one minute.
LATENCY_EDGES = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05),
    *(0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)

#: Edges for the steps of a batch, seconds.
STEP_EDGES = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0),
)

#: Edges for the size of a batch, records.
SIZE_EDGES = tuple(float(2**power) for power in range(17))


# Each is declared once: what it is tells it apart, and not all of its fields, which
# would have to be hashed dozens of times for each batch.
@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One family of series."""

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    edges: tuple[float, ...] = ()


class Declaring:
    """Collects what is declared, in order."""

    def __init__(self) -> None:
        self._declared: list[Metric] = []

    def counter(
        self, name: str, text: str, *labels: str, unit: str = "events"
    ) -> Metric:
        """Declare what only grows while a worker runs."""
        return self._add(Metric(f"fraud_{name}_total", "counter", text, labels, unit))

    def gauge(self, name: str, text: str, *labels: str, unit: str = "") -> Metric:
        """Declare what is true now."""
        return self._add(Metric(f"fraud_{name}", "gauge", text, labels, unit))

    def histogram(
        self, name: str, text: str, *labels: str, unit: str, edges: tuple[float, ...]
    ) -> Metric:
        """Declare observations by bucket."""
        return self._add(
            Metric(f"fraud_{name}", "histogram", text, labels, unit, edges)
        )

    def all(self) -> tuple[Metric, ...]:
        """Return what has been declared."""
        return tuple(self._declared)

    def _add(self, metric: Metric) -> Metric:
        self._declared.append(metric)
        return metric
