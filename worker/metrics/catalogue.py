"""Every metric: its name, type, labels, unit and meaning, declared once.

The endpoint, the README's table and the tests come from here. Labels are closed sets
or coordinates of this worker's own partitions, never anything that a payment said.
"""

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


@dataclass(frozen=True, slots=True)
class Metric:
    """One family of series."""

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    edges: tuple[float, ...] = ()


_DECLARED: list[Metric] = []


def _declare(metric: Metric) -> Metric:
    _DECLARED.append(metric)
    return metric


def _counter(name: str, text: str, *labels: str, unit: str = "events") -> Metric:
    return _declare(Metric(f"fraud_{name}_total", "counter", text, labels, unit))


def _gauge(name: str, text: str, *labels: str, unit: str = "") -> Metric:
    return _declare(Metric(f"fraud_{name}", "gauge", text, labels, unit))


def _histogram(
    name: str, text: str, *labels: str, unit: str, edges: tuple[float, ...]
) -> Metric:
    return _declare(Metric(f"fraud_{name}", "histogram", text, labels, unit, edges))


EVENTS_CONSUMED = _counter(
    "events_consumed",
    "Records that were answered: each by a score or a dead letter.",
    "topic",
)
EVENTS_SCORED = _counter(
    "events_scored",
    "Scores whose commit returned, flagged or passed.",
    *("model_version", "decision"),
)
EVENTS_REPLAYED = _counter(
    "events_replayed", "Records folded without an answer, to rebuild state."
)
DLQ_EVENTS = _counter(
    "dlq_events", "Dead letters whose commit returned, by reason.", "reason"
)
EVENTS_LATE = _counter(
    "events_late", "Scores of events that came later than the allowed lateness."
)
EVENTS_DUPLICATE = _counter(
    "events_duplicate", "Scores of events whose id had been seen before."
)
EVENTS_INCOMPLETE = _counter(
    "events_incomplete", "Scores that may lack history after a cold start."
)
FEATURE_VALUES = _counter(
    "feature_values",
    "Values of scored events by the bins of the model's reference; the feature "
    "(score) stands for the published score.",
    *("model_version", "feature", "bin"),
    unit="values",
)
SCORE_PROBABILITY = _counter(
    "score_probability_sum",
    "Sum of the published scores: the frauds that the model expects.",
    *("model_version", "decision"),
    unit="probability",
)
EVENT_TO_SCORE = _histogram(
    "event_to_score_seconds",
    "From the record's timestamp to the return of the commit of its score.",
    "model_version",
    unit="seconds",
    edges=LATENCY_EDGES,
)
QUEUE_WAIT = _histogram(
    "queue_wait_seconds",
    "From the record's timestamp to the return of the poll that brought it.",
    unit="seconds",
    edges=LATENCY_EDGES,
)
BATCH_STAGE_DURATION = _histogram(
    "batch_stage_duration_seconds",
    "Wall time of one stage of one batch.",
    "stage",
    unit="seconds",
    edges=STEP_EDGES,
)
BATCH_SIZE = _histogram(
    "batch_size_events",
    "Records in a polled batch; empty polls do not count.",
    unit="events",
    edges=SIZE_EDGES,
)
COMMITS = _counter("commits", "Commits that returned.", unit="commits")
COMMIT_ABORTS = _counter(
    "commit_aborts",
    "Commits that have to be sent again, by what is known of them.",
    "reason",
    unit="commits",
)
WORKER_BUSY = _counter(
    "worker_busy_seconds", "Time spent outside of the poll.", unit="seconds"
)
WORKER_LAST_POLL = _gauge(
    "worker_last_poll_timestamp_seconds",
    "When the last poll returned, empty ones included.",
    unit="seconds since 1970",
)
WORKER_LAST_SCORE = _gauge(
    "worker_last_score_timestamp_seconds",
    "When the last commit with a score returned; 0 before the first.",
    unit="seconds since 1970",
)
KAFKA_CONSUMER_LAG = _gauge(
    "kafka_consumer_lag_messages",
    "Offsets between what was committed and the end of the partition.",
    *("topic", "partition"),
    unit="offsets",
)
KAFKA_HEADROOM = _gauge(
    "kafka_retention_headroom_messages",
    "Offsets between the oldest record that the broker keeps and what was read.",
    *("topic", "partition"),
    unit="offsets",
)
KAFKA_LAG = _gauge(
    "kafka_lag_seconds",
    "Age of the newest answered record while others wait, 0 when none does.",
    *("topic", "partition"),
    unit="seconds",
)
KAFKA_ASSIGNED_PARTITIONS = _gauge(
    "kafka_assigned_partitions",
    "Partitions in this worker's care.",
    unit="partitions",
)
KAFKA_REBALANCES = _counter(
    "kafka_rebalances",
    "Times that partitions came, were revoked or were lost.",
    "event",
    unit="rebalances",
)
RESTORE_REMAINING = _gauge(
    "restore_remaining_messages",
    "Offsets still to be folded before the partition is answered; 0 when live.",
    *("topic", "partition"),
    unit="offsets",
)
RESTORE_PROGRESS = _gauge(
    "restore_progress_ratio",
    "Share of the partition's snapshot that is in memory; 1 once it is read on.",
    *("topic", "partition"),
    unit="ratio",
)
RESTORE_SECONDS = _histogram(
    "restore_seconds",
    "From the assignment of a partition to its first offset to be answered.",
    unit="seconds",
    edges=LATENCY_EDGES,
)
STATE_KEYS = _gauge(
    "state_keys", "Keys held in the state.", *("topic", "partition"), unit="keys"
)
STATE_EVENTS = _gauge(
    "state_events", "Events held in the state.", *("topic", "partition"), unit="events"
)
STATE_UNKNOWN_LABELS = _gauge(
    "state_unknown_labels",
    "Labels that came for payments which are not remembered, or not any more.",
    *("topic", "partition"),
    unit="labels",
)
SNAPSHOT_AGE = _gauge(
    "snapshot_age_seconds",
    "Since the partition's newest snapshot was complete: what a crash replays.",
    *("topic", "partition"),
    unit="seconds",
)
SNAPSHOT_FAILURES = _counter(
    "snapshot_failures",
    "Snapshots that could not be written; scoring goes on.",
    unit="snapshots",
)
BUILD_INFO = _gauge(
    "build_info", "What is running; always 1.", *("version", "python", "scikit_learn")
)
MODEL_INFO = _gauge(
    "model_info",
    "The model in use and what its bundle is made of; always 1.",
    *("model_version", "model_sha256", "transform_sha256", "reference_sha256"),
)
MODEL_TRAINED = _gauge(
    "model_trained_timestamp_seconds",
    "End of the data that the model was trained on.",
    "model_version",
    unit="seconds since 1970",
)

CATALOGUE = tuple(_DECLARED)

_DECLARED.clear()

REFERENCE_RATIO = _gauge(
    "feature_reference_ratio",
    "Share of the values in a bin in training, half a value added to each bin.",
    *("model_version", "feature", "bin"),
    unit="ratio",
)
REFERENCE_ROWS = _gauge(
    "feature_reference_rows",
    "Values behind the shares of a feature.",
    *("model_version", "feature"),
    unit="values",
)
REFERENCE_DESIGN_EFFECT = _gauge(
    "feature_reference_design_effect",
    "Mean PSI of undrifted windows, over that of as many independent values.",
    *("model_version", "feature", "window"),
    unit="ratio",
)
REFERENCE_MIN_WINDOW = _gauge(
    "feature_reference_min_window_seconds",
    "Shortest window over which undrifted values look undrifted; +Inf for none.",
    *("model_version", "feature"),
    unit="seconds",
)
FORECAST_FLAG = _gauge(
    "forecast_flag_ratio",
    "Share of the payments that was flagged in the evaluation.",
    "model_version",
    unit="ratio",
)

#: What does not change while a worker runs; on a path that can be scraped slowly.
REFERENCE_CATALOGUE = tuple(_DECLARED)
