"""Holds what Prometheus recorded to numpy, and the panels to having data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deploy.drift import Window
from deploy.panels import ROWS
from deploy.rules import faster
from tests.live import Stream
from tests.observe.prometheus import Labels, Prometheus
from tests.reading_back import read_back
from worker.bundle import read_bundle
from worker.drift import Baseline, psi, slot_counts
from worker.scoring import load_model

_HOUR = Window("1h")


class Measured(NamedTuple):
    """A recorded PSI, and how far it is from numpy's."""

    recorded: float
    off_counts: float
    off_events: float
    events: int


def psi_differences(
    prometheus: Prometheus, stream: Stream, factor: int
) -> dict[str, Measured]:
    """Return what was recorded of each feature, at the newest time that has it all."""
    reference = load_model(read_bundle(stream.models)).reference
    assert reference is not None
    over = faster(factor)("30m")
    recorded = prometheus.samples(_HOUR.psi, over)
    counted = prometheus.samples(_HOUR.counts, over)
    at = max(recorded.keys() & counted.keys())
    first = at - 3_600 / factor
    values = _values(stream, first, at, list(reference.features))
    found = {}
    for name, baseline in reference.features.items():
        counts = _counts(counted[at], name, baseline)
        events = slot_counts(values[name], baseline)
        of_events = float(psi(events[None], baseline.ratios)[0])
        of_counts = float(psi(counts[None], baseline.ratios)[0])
        value = next(
            v for labels, v in recorded[at].items() if ("feature", name) in labels
        )
        found[name] = Measured(
            value,
            abs(value - of_counts),
            abs(value - of_events),
            int(events.sum()),
        )
    return found


def empty_panels(prometheus: Prometheus) -> list[str]:
    """Return the panels of which a query gives nothing."""
    variables = {
        "$__rate_interval": "1m",
        "$job": ".+",
        "$instance": ".+",
        "$feature": "amount",
    }
    empty = []
    for panel in (panel for row in ROWS for panel in row.panels):
        for query in panel.queries:
            expr = query.expr
            for name, value in variables.items():
                expr = expr.replace(name, value)
            if not prometheus.query(expr):
                empty.append(f"{panel.title}: {query.expr}")
    return empty


def _counts(
    samples: Mapping[Labels, float], feature: str, baseline: Baseline
) -> NDArray[np.float64]:
    own = {
        dict(labels)["bin"]: value
        for labels, value in samples.items()
        if ("feature", feature) in labels
    }
    return np.array([own[slot] for slot in baseline.slots])


def _values(
    stream: Stream, first: float, last: float, names: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the fields of the topic's events in a time, NaN where one is missing.

    The model's features are its fields.
    """
    payments = []
    for message in read_back(stream.clients, stream.transactions):
        _, timestamp_ms = message.timestamp()
        value = message.value()
        if value != b"{" and first < timestamp_ms / 1_000 <= last:
            payments.append(json.loads(value or b"{}"))
    return {
        name: np.array([payment.get(name, np.nan) for payment in payments], float)
        for name in names
    }
