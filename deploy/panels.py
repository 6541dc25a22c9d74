"""What the dashboard shows, row by row: titles, units and queries.

`$__rate_interval` fits the scrape interval and the zoom; `$job` and `$instance` are
chosen at the top. Series that were recorded over all workers have neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deploy.alerts import BUDGET
from deploy.drift import SHORT_WINDOW, Window

Kind = Literal["timeseries", "stat", "heatmap"]

_HOUR = Window(SHORT_WINDOW)
_FLAGGED = 'decision="flagged"'
_REFERENCE = "model_feature_bin:fraud_feature_reference_ratio:max"


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and how its series are called; `{{label}}` is replaced."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `unit` is one of Grafana's names."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels about one question."""

    title: str
    panels: tuple[Panel, ...]


def _mine(metric: str, *matchers: str) -> str:
    inside = ", ".join(('job=~"$job"', 'instance=~"$instance"', *matchers))
    return f"{metric}{{{inside}}}"


def _rate(metric: str, *matchers: str) -> str:
    return f"rate({_mine(metric, *matchers)}[$__rate_interval])"


def _increase(metric: str, *matchers: str) -> str:
    return f"increase({_mine(metric, *matchers)}[$__rate_interval])"


def _quantile(share: float, metric: str) -> str:
    return f"histogram_quantile({share}, sum by (le) ({_rate(f'{metric}_bucket')}))"


_LATENCY = "fraud_event_to_score_seconds"

SERVICE = Row(
    "Service level",
    (
        Panel(
            "Budget left",
            "Of the scores of three days, 0.1 percent may take more than a second; "
            "what is left of that. Below 0 the objective is missed.",
            "percentunit",
            (
                Query(
                    '1 - job:fraud_event_to_score_slow:ratio_rate3d{job=~"$job"}\n'
                    f"  / {BUDGET}"
                ),
            ),
            "stat",
        ),
        Panel(
            "Scores",
            "Scores whose commit returned, by what was decided.",
            "ops",
            (
                Query(
                    f"sum by (decision) ({_rate('fraud_events_scored_total')})",
                    "{{decision}}",
                ),
            ),
        ),
        Panel(
            "Latency",
            "From a record's timestamp to the return of the commit of its score.",
            "s",
            (
                Query(_quantile(0.5, _LATENCY), "median"),
                Query(_quantile(0.99, _LATENCY), "99 percent"),
            ),
        ),
        Panel(
            "Latency by bucket",
            "How many scores took how long.",
            "s",
            (Query(f"sum by (le) ({_increase(f'{_LATENCY}_bucket')})", "{{le}}"),),
            "heatmap",
        ),
    ),
)

SATURATION = Row(
    "Saturation",
    (
        Panel(
            "Busy",
            "Share of the time that a worker spends outside of its poll; near 1 it is "
            "the bottleneck.",
            "percentunit",
            (
                Query(
                    f"sum by (instance) ({_rate('fraud_worker_busy_seconds_total')})",
                    "{{instance}}",
                ),
            ),
        ),
        Panel(
            "Time per event, by step",
            "Wall time of each step over the events that were scored.",
            "s",
            (
                Query(
                    "sum by (stage) "
                    f"({_rate('fraud_batch_stage_duration_seconds_sum')})\n"
                    "/ on () group_left () "
                    f"sum({_rate('fraud_events_scored_total')})",
                    "{{stage}}",
                ),
            ),
        ),
        Panel(
            "Batch size",
            "Records in a polled batch: they grow when the worker falls behind.",
            "short",
            (
                Query(_quantile(0.5, "fraud_batch_size_events"), "median"),
                Query(_quantile(0.99, "fraud_batch_size_events"), "99 percent"),
            ),
        ),
        Panel(
            "State",
            "Events held in memory, by worker.",
            "short",
            (
                Query(
                    f"sum by (instance) ({_mine('fraud_state_events')})", "{{instance}}"
                ),
            ),
        ),
    ),
)

KAFKA = Row(
    "Kafka",
    (
        Panel(
            "Lag in time",
            "Age of the newest answered record while others wait.",
            "s",
            (
                Query(
                    f"max by (topic, partition) ({_mine('fraud_kafka_lag_seconds')})",
                    "{{topic}} {{partition}}",
                ),
            ),
        ),
        Panel(
            "Lag in messages",
            "Offsets between what was read and the end, by topic.",
            "short",
            (
                Query(
                    f"sum by (topic) ({_mine('fraud_kafka_consumer_lag_messages')})",
                    "{{topic}}",
                ),
            ),
        ),
        Panel(
            "Retention headroom",
            "Offsets that the broker still keeps behind what was read; at 0 it forgets "
            "records that were not answered.",
            "short",
            (
                Query(
                    "min by (topic) "
                    f"({_mine('fraud_kafka_retention_headroom_messages')})",
                    "{{topic}}",
                ),
            ),
        ),
        Panel(
            "Still to be restored",
            "Offsets to be folded in silence before a partition is answered.",
            "short",
            (
                Query(
                    f"sum by (instance) ({_mine('fraud_restore_remaining_messages')})",
                    "{{instance}}",
                ),
            ),
        ),
        Panel(
            "Rebalances",
            "Times that partitions came, were revoked or were lost.",
            "short",
            (
                Query(
                    f"sum by (event) ({_increase('fraud_kafka_rebalances_total')})",
                    "{{event}}",
                ),
            ),
        ),
        Panel(
            "Commits that are sent again",
            "By what is known of them.",
            "ops",
            (
                Query(
                    f"sum by (reason) ({_rate('fraud_commit_aborts_total')})",
                    "{{reason}}",
                ),
            ),
        ),
    ),
)

ERRORS = Row(
    "Errors",
    (
        Panel(
            "Dead letters",
            "By reason.",
            "ops",
            (
                Query(
                    f"sum by (reason) ({_rate('fraud_dlq_events_total')}) > 0",
                    "{{reason}}",
                ),
            ),
        ),
        Panel(
            "Late, repeated, incomplete",
            "Share of the scores that carry such a flag.",
            "percentunit",
            tuple(
                Query(
                    f"sum({_rate(f'fraud_events_{name}_total')})\n"
                    f"/ sum({_rate('fraud_events_scored_total')})",
                    name,
                )
                for name in ("late", "duplicate", "incomplete")
            ),
        ),
        Panel(
            "Snapshots that failed",
            "Scoring goes on; a crash replays more.",
            "short",
            (Query(f"sum({_increase('fraud_snapshot_failures_total')})", "failed"),),
        ),
    ),
)

DRIFT = Row(
    "Drift",
    (
        Panel(
            "PSI over its critical value",
            "The ten features that differ most from training, over an hour; 1 is what "
            "chance and bursts hardly ever reach.",
            "short",
            (Query(f"topk(10, {_HOUR.psi} / {_HOUR.critical})", "{{feature}}"),),
        ),
        Panel(
            "Bins that make the PSI",
            "The ten terms (p - q) ln(p / q) that are largest, over an hour.",
            "short",
            (
                Query(
                    f"topk(10, ({_HOUR.ratio} - {_REFERENCE})\n"
                    f"  * ln({_HOUR.ratio} / {_REFERENCE}))",
                    "{{feature}} {{bin}}",
                ),
            ),
        ),
        Panel(
            "Shares of $feature by bin",
            "Live minus training, over an hour.",
            "percentunit",
            (
                Query(
                    f'{_HOUR.ratio}{{feature="$feature"}}\n'
                    f'- {_REFERENCE}{{feature="$feature"}}',
                    "{{bin}}",
                ),
            ),
        ),
        Panel(
            "Missing or unknown",
            "Share of the values over an hour, where there are any.",
            "percentunit",
            (Query(f"{_HOUR.absent} > 0", "{{feature}} {{bin}}"),),
        ),
    ),
)

QUALITY = Row(
    "Model quality",
    (
        Panel(
            "Flagged, and as forecast",
            "Share of the payments that is flagged, and that of the evaluation.",
            "percentunit",
            (
                Query(
                    "sum by (model_version) "
                    f"({_rate('fraud_events_scored_total', _FLAGGED)})\n"
                    "/ sum by (model_version) "
                    f"({_rate('fraud_events_scored_total')})",
                    "{{model_version}}",
                ),
                Query(
                    "max by (model_version) (fraud_forecast_flag_ratio)",
                    "{{model_version}} forecast",
                ),
            ),
        ),
        Panel(
            "Mean score",
            "What the model expects: the share of frauds among all payments.",
            "percentunit",
            (
                Query(
                    f"sum({_rate('fraud_score_probability_sum_total')})\n"
                    f"/ sum({_rate('fraud_events_scored_total')})",
                    "expected frauds",
                ),
            ),
        ),
        Panel(
            "Expected precision",
            "The share of frauds among flagged payments that the model expects: no "
            "label is needed, and a wrong model is wrong here too.",
            "percentunit",
            (
                Query(
                    "sum"
                    f"({_rate('fraud_score_probability_sum_total', _FLAGGED)})\n"
                    "/ (sum"
                    f"({_rate('fraud_events_scored_total', _FLAGGED)}) > 0)",
                    "precision",
                ),
            ),
        ),
    ),
)

RUNTIME = Row(
    "Runtime",
    (
        Panel(
            "Workers by model",
            "Instances that run each version.",
            "short",
            (
                Query(
                    f"count by (model_version) ({_mine('fraud_model_info')})",
                    "{{model_version}}",
                ),
            ),
        ),
        Panel(
            "Age of the model",
            "Since the end of the data that it was trained on.",
            "s",
            (
                Query(
                    "time() - max by (model_version) "
                    f"({_mine('fraud_model_trained_timestamp_seconds')})",
                    "{{model_version}}",
                ),
            ),
            "stat",
        ),
        Panel(
            "Memory",
            "Resident memory of each worker.",
            "bytes",
            (Query(_mine("process_resident_memory_bytes"), "{{instance}}"),),
        ),
        Panel(
            "CPU",
            "Cores that each worker uses.",
            "short",
            (Query(_rate("process_cpu_seconds_total"), "{{instance}}"),),
        ),
    ),
)

ROWS = (SERVICE, SATURATION, KAFKA, ERRORS, DRIFT, QUALITY, RUNTIME)
