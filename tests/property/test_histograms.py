"""A histogram that takes arrays equals the client library's, edges included."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Histogram

from worker.metrics import CATALOGUE, Metric, MetricStore

HISTOGRAMS = [metric for metric in CATALOGUE if metric.type == "histogram"]


def around_edges(metric: Metric) -> list[float]:
    """Each edge of a histogram, and its nearest neighbours."""
    near = [(np.nextafter(e, 0), e, np.nextafter(e, np.inf)) for e in metric.edges]
    return [float(value) for value in itertools.chain(*near)]


@pytest.mark.parametrize("metric", HISTOGRAMS, ids=lambda metric: metric.name)
@given(data=st.data())
def test_a_batched_histogram_is_one_observed_one_by_one(
    metric: Metric, data: st.DataObject
) -> None:
    anything = st.one_of(st.sampled_from(around_edges(metric)), st.floats(0, 1e6))
    values = data.draw(st.lists(anything, max_size=50))
    labels = ["x"] * len(metric.labels)
    store = MetricStore([metric])
    store.create(metric, *labels)
    store.observe_all(metric, np.array(values[1:], np.float64), *labels)
    for value in values[:1]:
        store.observe(metric, value, *labels)

    theirs = Histogram(
        metric.name, metric.help, metric.labels, buckets=metric.edges, registry=None
    )
    of_labels = theirs.labels(*labels) if labels else theirs
    for value in values:
        of_labels.observe(value)

    assert without_sum(store) == without_sum(theirs)
    assert sum_of(store) == pytest.approx(sum_of(theirs), rel=1e-12)


def without_sum(collector: MetricStore | Histogram) -> list[tuple[object, ...]]:
    return [
        (sample.name, sample.labels, sample.value)
        for family in collector.collect()
        for sample in family.samples
        if not sample.name.endswith(("_sum", "_created"))
    ]


def sum_of(collector: MetricStore | Histogram) -> float:
    samples = [s for family in collector.collect() for s in family.samples]
    return next(s.value for s in samples if s.name.endswith("_sum"))
