"""Every metric: its name, type, labels, unit and meaning, declared once.

The endpoint, the README's table and the tests come from here. Labels are closed sets
or coordinates of this worker's own partitions, never anything that a payment said.
"""

from __future__ import annotations

from worker.metrics.declaring import (
    LATENCY_EDGES,
    SIZE_EDGES,
    STEP_EDGES,
    Declaring,
)

_OWN, _OF_REFERENCE = Declaring(), Declaring()

EVENTS_CONSUMED = _OWN.counter(
    "events_consumed",
    "Records that were answered: each by a score or a dead letter.",
    "topic",
)
EVENTS_SCORED = _OWN.counter(
    "events_scored",
    "Scores whose commit returned, flagged or passed.",
    *("model_version", "decision"),
)
EVENTS_CONTROL_GROUP = _OWN.counter(
    "events_control_group",
    "Scores that passed although they reach the threshold: one of the control group.",
    "model_version",
)
EVENTS_REPLAYED = _OWN.counter(
    "events_replayed", "Records folded without an answer, to rebuild state."
)
DLQ_EVENTS = _OWN.counter(
    "dlq_events", "Dead letters whose commit returned, by reason.", "reason"
)
EVENTS_LATE = _OWN.counter(
    "events_late", "Scores of events that came later than the allowed lateness."
)
EVENTS_DUPLICATE = _OWN.counter(
    "events_duplicate", "Scores of events whose id had been seen before."
)
EVENTS_INCOMPLETE = _OWN.counter(
    "events_incomplete", "Scores that may lack history after a cold start."
)
FEATURE_VALUES = _OWN.counter(
    "feature_values",
    "Values of scored events by the bins of the model's reference; the feature "
    "(score) stands for the published score.",
    *("model_version", "feature", "bin"),
    unit="values",
)
SCORE_PROBABILITY = _OWN.counter(
    "score_probability_sum",
    "Sum of the published scores: the frauds that the model expects.",
    *("model_version", "decision"),
    unit="probability",
)
EVENT_TO_SCORE = _OWN.histogram(
    "event_to_score_seconds",
    "From the record's timestamp to the return of the commit of its score.",
    "model_version",
    unit="seconds",
    edges=LATENCY_EDGES,
)
QUEUE_WAIT = _OWN.histogram(
    "queue_wait_seconds",
    "From the record's timestamp to the return of the poll that brought it.",
    unit="seconds",
    edges=LATENCY_EDGES,
)
BATCH_STAGE_DURATION = _OWN.histogram(
    "batch_stage_duration_seconds",
    "Wall time of one stage of one batch.",
    "stage",
    unit="seconds",
    edges=STEP_EDGES,
)
BATCH_SIZE = _OWN.histogram(
    "batch_size_events",
    "Records in a polled batch; empty polls do not count.",
    unit="events",
    edges=SIZE_EDGES,
)
COMMITS = _OWN.counter("commits", "Commits that returned.", unit="commits")
COMMIT_ABORTS = _OWN.counter(
    "commit_aborts",
    "Commits that have to be sent again, by what is known of them.",
    "reason",
    unit="commits",
)
WORKER_BUSY = _OWN.counter(
    "worker_busy_seconds", "Time spent outside of the poll.", unit="seconds"
)
WORKER_LAST_POLL = _OWN.gauge(
    "worker_last_poll_timestamp_seconds",
    "When the last poll returned, empty ones included.",
    unit="seconds since 1970",
)
WORKER_LAST_SCORE = _OWN.gauge(
    "worker_last_score_timestamp_seconds",
    "When the last commit with a score returned; 0 before the first.",
    unit="seconds since 1970",
)
KAFKA_CONSUMER_LAG = _OWN.gauge(
    "kafka_consumer_lag_messages",
    "Offsets up to the end of the partition, as last told, without an answer yet.",
    *("topic", "partition"),
    unit="offsets",
)
KAFKA_HEADROOM = _OWN.gauge(
    "kafka_retention_headroom_messages",
    "Offsets between the oldest record that the broker keeps and what was read.",
    *("topic", "partition"),
    unit="offsets",
)
KAFKA_LAG = _OWN.gauge(
    "kafka_lag_seconds",
    "For how long records have been waiting at most: since the newest answered one, or "
    "since none was left. 0 while the broker says that none waits; where it says "
    "nothing, this grows.",
    *("topic", "partition"),
    unit="seconds",
)
KAFKA_MEASURED = _OWN.gauge(
    "kafka_measured_timestamp_seconds",
    "When the broker was last asked where the partition ends, and answered: what the "
    "lag is measured from.",
    *("topic", "partition"),
    unit="seconds since 1970",
)
KAFKA_ASSIGNED_PARTITIONS = _OWN.gauge(
    "kafka_assigned_partitions",
    "Partitions in this worker's care.",
    unit="partitions",
)
KAFKA_REBALANCES = _OWN.counter(
    "kafka_rebalances",
    "Times that partitions came, were revoked or were lost.",
    "event",
    unit="rebalances",
)
RESTORE_REMAINING = _OWN.gauge(
    "restore_remaining_messages",
    "Offsets still to be folded before the partition is answered; 0 when live.",
    *("topic", "partition"),
    unit="offsets",
)
RESTORE_PROGRESS = _OWN.gauge(
    "restore_progress_ratio",
    "Share of the partition's snapshot that is in memory; 1 once it is read on.",
    *("topic", "partition"),
    unit="ratio",
)
RESTORE_SECONDS = _OWN.histogram(
    "restore_seconds",
    "From the assignment of a partition to its first offset to be answered.",
    unit="seconds",
    edges=LATENCY_EDGES,
)
STATE_KEYS = _OWN.gauge(
    "state_keys", "Keys held in the state.", *("topic", "partition"), unit="keys"
)
STATE_EVENTS = _OWN.gauge(
    "state_events", "Events held in the state.", *("topic", "partition"), unit="events"
)
STATE_UNKNOWN_LABELS = _OWN.gauge(
    "state_unknown_labels",
    "Labels that came for payments which are not remembered, or not any more.",
    *("topic", "partition"),
    unit="labels",
)
SNAPSHOT_AGE = _OWN.gauge(
    "snapshot_age_seconds",
    "Since the partition's newest snapshot was complete: what a crash replays.",
    *("topic", "partition"),
    unit="seconds",
)
REPLAY_EXPOSURE = _OWN.gauge(
    "snapshot_replay_messages",
    "Offsets folded since the partition's newest snapshot: what a crash replays.",
    *("topic", "partition"),
    unit="offsets",
)
SNAPSHOT_FAILURES = _OWN.counter(
    "snapshot_failures",
    "Snapshots that could not be written; scoring goes on.",
    unit="snapshots",
)
BUILD_INFO = _OWN.gauge(
    "build_info", "What is running; always 1.", *("version", "python", "scikit_learn")
)
MODEL_INFO = _OWN.gauge(
    "model_info",
    "The model in use and what its bundle is made of; always 1.",
    *("model_version", "model_sha256", "transform_sha256", "reference_sha256"),
)
MODEL_TRAINED = _OWN.gauge(
    "model_trained_timestamp_seconds",
    "End of the data that the model was trained on.",
    "model_version",
    unit="seconds since 1970",
)

MODEL_SELFTEST = _OWN.gauge(
    "model_selftest_max_abs_error",
    "Largest difference of a golden event's score from the published one, when the "
    "model was loaded; a worker that finds more than is allowed does not start.",
    "model_version",
    unit="probability",
)

CATALOGUE = _OWN.all()

REFERENCE_RATIO = _OF_REFERENCE.gauge(
    "feature_reference_ratio",
    "Share of the values in a bin in training, half a value added to each bin.",
    *("model_version", "feature", "bin"),
    unit="ratio",
)
FEATURE_INFO = _OF_REFERENCE.gauge(
    "feature_info",
    "What a feature is made of: field, calendar, category, distance and age of the "
    "event alone, window, or derived; always 1.",
    *("model_version", "feature", "kind"),
)
REFERENCE_ROWS = _OF_REFERENCE.gauge(
    "feature_reference_rows",
    "Values behind the shares of a feature.",
    *("model_version", "feature"),
    unit="values",
)
REFERENCE_DESIGN_EFFECT = _OF_REFERENCE.gauge(
    "feature_reference_design_effect",
    "Mean PSI of undrifted windows, over that of as many independent values.",
    *("model_version", "feature", "window"),
    unit="ratio",
)
REFERENCE_MIN_WINDOW = _OF_REFERENCE.gauge(
    "feature_reference_min_window_seconds",
    "Shortest window over which undrifted values look undrifted; +Inf for none.",
    *("model_version", "feature"),
    unit="seconds",
)
FORECAST_FLAG = _OF_REFERENCE.gauge(
    "forecast_flag_ratio",
    "Share of the payments that was flagged in the evaluation.",
    "model_version",
    unit="ratio",
)

#: What does not change while a worker runs; on a path that can be scraped slowly.
REFERENCE_CATALOGUE = _OF_REFERENCE.all()
