"""Holds the values of all series, cheaply to write and consistently to read.

One thread writes, whole batches at a time; any thread may read. Histograms take an
array of observations at the price of one.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Metric as Family
from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from worker.metrics.declaring import Metric

Labels = tuple[str, ...]

#: By family, series and bucket.
Exemplars = dict[tuple[Metric, Labels, int], Exemplar]

#: Stands for the bucket of what is no histogram.
_NO_BUCKET = -1


@dataclass(slots=True)
class _Distribution:
    """Observations by bucket: (edges + 1,) int64, the last beyond all edges."""

    counts: NDArray[np.int64]
    total: float = 0.0

    def copy(self) -> _Distribution:
        return _Distribution(self.counts.copy(), self.total)


class MetricStore(Collector):
    """The series of a catalogue; a collector for any registry.

    Hold `lock` around writes that a reader must see together or not at all.

    Parameters
    ----------
    now
        Seconds since 1970, read when somebody asks: ages grow while the writer hangs.

    Attributes
    ----------
    before_reading
        Called with the lock held by whoever reads, whose thread that may be.
    """

    def __init__(
        self, catalogue: Iterable[Metric], now: Callable[[], float] = time.time
    ):
        self.lock = threading.Lock()
        self.before_reading: Callable[[], None] = lambda: None
        self._now = now
        self._values: dict[Metric, dict[Labels, float]] = {}
        self._ages: dict[Metric, dict[Labels, tuple[float, float]]] = {}
        self._rows: dict[Metric, tuple[list[Labels], NDArray[np.float64]]] = {}
        self._distributions: dict[Metric, dict[Labels, _Distribution]] = {}
        self._edges: dict[Metric, NDArray[np.float64]] = {}
        self._exemplars: Exemplars = {}
        for metric in catalogue:
            if metric.type == "histogram":
                self._distributions[metric] = {}
                self._edges[metric] = np.array(metric.edges)
            else:
                self._values[metric] = {}

    def create(self, metric: Metric, *labels: str) -> None:
        """Let a series begin at 0, so that its first increase is seen."""
        assert len(labels) == len(metric.labels), metric.name
        if metric.type == "histogram":
            counts = np.zeros(len(metric.edges) + 1, np.int64)
            self._distributions[metric].setdefault(labels, _Distribution(counts))
        else:
            self._values[metric].setdefault(labels, 0.0)

    def create_row(self, metric: Metric, labels: Iterable[Labels]) -> None:
        """Let n series of a counter begin at 0 that are always increased together."""
        names = list(labels)
        self._rows[metric] = names, np.zeros(len(names))

    def add_row(self, metric: Metric, amounts: NDArray[np.int64]) -> None:
        """Increase the series of a row by (n,) amounts, at the price of one."""
        self._rows[metric][1][:] += amounts

    def add(self, metric: Metric, amount: float, *labels: str) -> None:
        """Increase a counter; its series must have been created."""
        self._values[metric][labels] += amount

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge."""
        assert len(labels) == len(metric.labels), metric.name
        self._values[metric][labels] = value

    def set_age(
        self, metric: Metric, since: float, *labels: str, hidden_until: float = 0.0
    ) -> None:
        """Let a gauge tell the seconds since a moment, and 0 until another one."""
        assert len(labels) == len(metric.labels), metric.name
        self._ages.setdefault(metric, {})[labels] = since, hidden_until

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add one observation to a histogram; its series must have been created."""
        series = self._distributions[metric][labels]
        series.counts[bisect_left(metric.edges, value)] += 1
        series.total += value

    def observe_all(
        self, metric: Metric, values: NDArray[np.float64], *labels: str
    ) -> None:
        """Add (n,) observations to a histogram; its series must have been created."""
        series = self._distributions[metric][labels]
        buckets = self._edges[metric].searchsorted(values, side="left")
        series.counts += np.bincount(buckets, minlength=len(series.counts))
        series.total += float(values.sum())

    def set_distribution(
        self, metric: Metric, counts: NDArray[np.int64], total: float, *labels: str
    ) -> None:
        """Set a histogram: observations by bucket, the last beyond all edges."""
        assert len(counts) == len(metric.edges) + 1, metric.name
        self._distributions[metric][labels] = _Distribution(counts.copy(), total)

    def exemplify(self, metric: Metric, exemplar: Exemplar, *labels: str) -> None:
        """Keep an example of what a counter, or a histogram by its value, counted."""
        bucket = _NO_BUCKET
        if metric.type == "histogram":
            bucket = bisect_left(metric.edges, exemplar.value)
        self._exemplars[metric, labels, bucket] = exemplar

    def exemplify_row(self, metric: Metric, place: int, exemplar: Exemplar) -> None:
        """Keep an example of what one series of a row counted."""
        self.exemplify(metric, exemplar, *self._rows[metric][0][place])

    def remove(self, metric: Metric, *labels: str) -> None:
        """End a series, if there is one."""
        self._values[metric].pop(labels, None)
        self._ages.get(metric, {}).pop(labels, None)

    def value(self, metric: Metric, *labels: str) -> float:
        """Return the value of a counter or gauge; raises KeyError."""
        with self.lock:
            self.before_reading()
            if metric in self._ages:
                return self._age(*self._ages[metric][labels])
            return self._values[metric][labels]

    def collect(self) -> Iterator[Family]:
        """Yield all families as they were at one moment between two batches."""
        with self.lock:
            self.before_reading()
            values = {metric: dict(of) for metric, of in self._values.items()}
            for metric, ages in self._ages.items():
                values[metric] = {k: self._age(*age) for k, age in ages.items()}
            for metric, (labels, row) in self._rows.items():
                values[metric] = dict(zip(labels, row.tolist(), strict=True))
            distributions = {
                metric: {labels: series.copy() for labels, series in of.items()}
                for metric, of in self._distributions.items()
            }
            exemplars = dict(self._exemplars)
        for metric, series in values.items():
            yield _family(metric, series, exemplars)
        for metric, histograms in distributions.items():
            yield _histogram_family(metric, histograms, exemplars)

    def _age(self, since: float, hidden_until: float) -> float:
        now = self._now()
        return max(0.0, now - since) if now >= hidden_until else 0.0


def _family(
    metric: Metric, series: dict[Labels, float], exemplars: Exemplars
) -> Family:
    if metric.type == "counter":
        counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in series.items():
            exemplar = exemplars.get((metric, labels, _NO_BUCKET))
            counter.add_metric(labels, value, exemplar=exemplar)
        return counter
    gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in series.items():
        gauge.add_metric(labels, value)
    return gauge


def _histogram_family(
    metric: Metric, series: dict[Labels, _Distribution], exemplars: Exemplars
) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    edges = [*map(str, metric.edges), "+Inf"]
    for labels, distribution in series.items():
        counts = np.cumsum(distribution.counts).tolist()
        buckets = [
            (edge, count)
            if (exemplar := exemplars.get((metric, labels, bucket))) is None
            else (edge, count, exemplar)
            for bucket, (edge, count) in enumerate(zip(edges, counts, strict=True))
        ]
        family.add_metric(labels, buckets, distribution.total)
    return family
