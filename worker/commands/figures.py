"""What a person wants to know of a running worker, from what it tells two times.

Reads the text that Prometheus reads; knows no address.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from worker.drift import psi

#: How many features are named that lie furthest from training.
_NAMED = 3

#: Values below which nothing is said of how they lie.
_LEAST_VALUES = 500

_Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker told at one moment, by the name of the series and its labels.

    `at` is in seconds, of any clock that nobody sets.
    """

    at: float
    series: dict[str, dict[_Labels, float]]

    @classmethod
    def of(cls, text: str, at: float) -> Told:
        """Read Prometheus' text; raises ValueError for another one."""
        series: dict[str, dict[_Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = frozenset(sample.labels.items())
                series.setdefault(sample.name, {})[labels] = sample.value
        return cls(at, series)

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the series that have these labels."""
        return sum(value for _, value in self._having(name, labels))

    def largest(self, name: str) -> float:
        """Return the largest value of a name; 0 where there is none."""
        return max((value for _, value in self._having(name, {})), default=0.0)

    def values_of(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Return the sums by one label, of the series that have the other labels."""
        found: dict[str, float] = {}
        for own, value in self._having(name, labels):
            key = dict(own).get(label, "")
            found[key] = found.get(key, 0.0) + value
        return found

    def _having(
        self, name: str, labels: dict[str, str]
    ) -> Iterator[tuple[_Labels, float]]:
        wanted = labels.items()
        for own, value in self.series.get(name, {}).items():
            if wanted <= own:
                yield own, value


def figures(first: Told, before: Told, now: Told, reference: Told) -> list[str]:
    """Return the lines to be shown.

    Parameters
    ----------
    first
        Since then values are compared with the reference.
    before
        Since then rates are measured.
    """
    (model, *_) = (*now.values_of("fraud_model_info", "model_version"), "no model")
    lines = [
        f"model         {model}",
        _scores(before, now, reference),
        _latency(before, now),
        _load(before, now),
        _lag(now),
        _dead_letters(before, now),
    ]
    if "fraud_feature_reference_ratio" in reference.series:
        lines.append(_drift(first, now, reference))
    return lines


def _scores(before: Told, now: Told, reference: Told) -> str:
    scored = _grown(before, now, "fraud_events_scored_total")
    flagged = _grown(before, now, "fraud_events_scored_total", decision="flagged")
    line = f"scores        {scored / _seconds(before, now):,.0f} a second"
    if scored:
        line += f", {flagged / scored:.2%} flagged"
        forecast = reference.largest("fraud_forecast_flag_ratio")
        line += f" (forecast {forecast:.2%})" if forecast else ""
    return line


def _latency(before: Told, now: Told) -> str:
    name = "fraud_event_to_score_seconds_bucket"
    shares = (0.5, "median"), (0.99, "99 percent")
    told = [f"{_time(_quantile(before, now, name, q))} {what}" for q, what in shares]
    return f"latency       {', '.join(told)}"


def _load(before: Told, now: Told) -> str:
    busy = _grown(before, now, "fraud_worker_busy_seconds_total")
    memory = now.largest("process_resident_memory_bytes")
    return (
        f"load          {busy / _seconds(before, now):.0%} busy, "
        f"{memory / 2**20:,.0f} MiB, {now.total('fraud_state_events'):,.0f} events held"
    )


def _lag(now: Told) -> str:
    messages = now.total("fraud_kafka_consumer_lag_messages")
    partitions = now.total("fraud_kafka_assigned_partitions")
    line = f"lag           {messages:,.0f} messages in {partitions:.0f} partitions"
    seconds = now.largest("fraud_kafka_lag_seconds")
    line += f", {_time(seconds)}" if messages else ""
    remaining = now.total("fraud_restore_remaining_messages")
    return line + (f", {remaining:,.0f} to be restored" if remaining else "")


def _dead_letters(before: Told, now: Told) -> str:
    name = "fraud_dlq_events_total"
    were, are = (told.values_of(name, "reason") for told in (before, now))
    grown = {reason: max(0.0, n - were.get(reason, 0.0)) for reason, n in are.items()}
    named = [f"{count:.0f} {reason}" for reason, count in grown.items() if count]
    return (
        f"dead letters  {', '.join(named) or 'none'}, {sum(are.values()):,.0f} so far"
    )


def _drift(first: Told, now: Told, reference: Told) -> str:
    name = "fraud_feature_reference_ratio"
    found: list[tuple[float, str]] = []
    for feature in reference.values_of(name, "feature"):
        ratios = reference.values_of(name, "bin", feature=feature)
        counts = _counts(first, now, feature, list(ratios))
        if counts.sum() >= _LEAST_VALUES:
            shares = np.array(list(ratios.values()))
            found.append((float(psi(counts[None], shares)[0]), feature))
    if not found:
        return f"drift         not told before {_LEAST_VALUES} scores"
    furthest = sorted(found, reverse=True)[:_NAMED]
    named = ", ".join(f"{feature} {value:.3f}" for value, feature in furthest)
    return f"drift         {named} (PSI since you watch)"


def _counts(
    first: Told, now: Told, feature: str, slots: Sequence[str]
) -> NDArray[np.float64]:
    name = "fraud_feature_values_total"
    were, are = (told.values_of(name, "bin", feature=feature) for told in (first, now))
    return np.array([are.get(slot, 0.0) - were.get(slot, 0.0) for slot in slots])


def _quantile(before: Told, now: Told, name: str, share: float) -> float:
    """Return a quantile of what was observed in between, as Prometheus estimates it."""
    were, are = (told.values_of(name, "le") for told in (before, now))
    if are.get("+Inf", 0.0) < were.get("+Inf", 0.0):  # it began anew
        were = {}
    buckets = sorted(
        (float(edge), count - were.get(edge, 0.0)) for edge, count in are.items()
    )
    wanted = share * buckets[-1][1] if buckets else 0.0
    if not wanted:
        return math.nan
    low, below = 0.0, 0.0
    for edge, count in buckets:
        if count >= wanted:
            if math.isinf(edge):
                return low
            return low + (edge - low) * (wanted - below) / (count - below)
        low, below = edge, count
    return low


def _grown(before: Told, now: Told, name: str, **labels: str) -> float:
    """Return by how much counters have grown; after a restart they count from 0."""
    were, are = before.total(name, **labels), now.total(name, **labels)
    return are - were if are >= were else are


def _seconds(before: Told, now: Told) -> float:
    return max(now.at - before.at, 1e-9)


def _time(seconds: float) -> str:
    if math.isnan(seconds):
        return "-"
    return f"{seconds * 1_000:.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"
