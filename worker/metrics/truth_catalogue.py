"""The metrics of `fraud-worker truth`, declared as those of the worker are."""

from __future__ import annotations

from worker.metrics.declaring import Metric

_DAY_SECONDS = 86_400.0

#: Edges for the delay of a label, seconds: from six hours to 90 days.
DELAY_EDGES = tuple(
    days * _DAY_SECONDS
    for days in (0.25, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 14, 21, 30, 45, 60, 90)
)


def _counter(name: str, text: str, *labels: str, unit: str) -> Metric:
    return Metric(f"fraud_{name}_total", "counter", text, labels, unit)


def _gauge(name: str, text: str, *labels: str, unit: str) -> Metric:
    return Metric(f"fraud_{name}", "gauge", text, labels, unit)


TRUTH_PAYMENTS = _counter(
    "truth_payments",
    "Payments whose label is settled, by bin of their score and by label.",
    *("model_version", "score_bin", "label"),
    unit="payments",
)
TRUTH_FRAUDS_ABOVE = _counter(
    "truth_frauds_above",
    "Frauds among them whose score lies in a higher bin, for the ROC AUC.",
    *("model_version", "score_bin"),
    unit="payments",
)
TRUTH_DECISIONS = _counter(
    "truth_decisions",
    "The same payments by what became of them and by label: flagged, passed, or passed "
    "as one of the control group.",
    *("model_version", "decision", "label"),
    unit="payments",
)
TRUTH_PROBABILITY = _counter(
    "truth_probability_sum",
    "Sum of their published scores: the frauds that the model expected.",
    *("model_version", "decision"),
    unit="probability",
)
TRUTH_SCORES = _counter(
    "truth_scores",
    "Scores that were read and are settled, by what became of them: judged, repeated, "
    "late (their cohort had been judged), malformed.",
    "outcome",
    unit="scores",
)
LABELS_MATCHED = _counter(
    "labels_matched",
    "Labels that decided about a payment.",
    "label",
    unit="labels",
)
LABELS_LATE = _counter(
    "labels_late",
    "Labels that came or became known after their payment was mature; not counted.",
    unit="labels",
)
LABELS_UNMATCHED = _counter(
    "labels_unmatched",
    "Labels that decide nothing: of an unknown payment, repeated, or malformed.",
    "reason",
    unit="labels",
)
LABEL_DELAY = Metric(
    "fraud_label_delay_seconds",
    "histogram",
    "From a fraud to when its label says that it was known.",
    (),
    "seconds",
    DELAY_EDGES,
)
TRUTH_WAITING = _gauge(
    "truth_waiting",
    "Records of payments and of labels that wait for their cohort to be old enough.",
    "record",
    unit="records",
)
TRUTH_JUDGED_UNTIL = _gauge(
    "truth_judged_until_timestamp_seconds",
    "Event time until which payments have been judged; 0 before the first.",
    unit="seconds since 1970",
)
TRUTH_LAST_POLL = _gauge(
    "truth_last_poll_timestamp_seconds",
    "When the last poll returned, empty ones included.",
    unit="seconds since 1970",
)
TRUTH_BEHIND = _gauge(
    "truth_unread_partitions",
    "Partitions of scores and labels that have not been read to their ends.",
    unit="partitions",
)
FORECAST = _gauge(
    "forecast_ratio",
    "Figures of the evaluation at the model's training, from its bundle: precision, "
    "recall, roc_auc, average_precision.",
    *("model_version", "figure"),
    unit="ratio",
)

#: What `fraud-worker truth` tells; a worker tells none of it.
TRUTH_CATALOGUE = (
    *(TRUTH_PAYMENTS, TRUTH_FRAUDS_ABOVE, TRUTH_DECISIONS, TRUTH_PROBABILITY),
    *(TRUTH_SCORES, LABELS_MATCHED, LABELS_LATE, LABELS_UNMATCHED, LABEL_DELAY),
    *(TRUTH_WAITING, TRUTH_JUDGED_UNTIL, TRUTH_LAST_POLL, TRUTH_BEHIND, FORECAST),
)
