"""Rows about traffic: latency, load, lag and errors."""

from __future__ import annotations

from deploy.alerts import BUDGET
from deploy.panels.parts import Panel, Query, Row, increase, mine, quantile, rate
from deploy.source import EVENTS, REJECTED, VALUES, events_ratio, values_ratio

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
                    f"sum by (decision) ({rate('fraud_events_scored_total')})",
                    "{{decision}}",
                ),
            ),
        ),
        Panel(
            "Latency",
            "From a record's timestamp to the return of the commit of its score.",
            "s",
            (
                Query(quantile(0.5, _LATENCY), "median"),
                Query(quantile(0.99, _LATENCY), "99 percent"),
            ),
        ),
        Panel(
            "Latency by bucket",
            "How many scores took how long.",
            "s",
            (Query(f"sum by (le) ({increase(f'{_LATENCY}_bucket')})", "{{le}}"),),
            "heatmap",
        ),
    ),
)

SATURATION = Row(
    "Saturation",
    (
        Panel(
            "Busy",
            "Share of the time outside of the poll. Waiting for commits is part of it: "
            "it may be near 1 with small batches; with large ones there is no room.",
            "percentunit",
            (
                Query(
                    f"sum by (instance) ({rate('fraud_worker_busy_seconds_total')})",
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
                    f"({rate('fraud_batch_stage_duration_seconds_sum')})\n"
                    "/ on () group_left () "
                    f"sum({rate('fraud_events_scored_total')})",
                    "{{stage}}",
                ),
            ),
        ),
        Panel(
            "Batch size",
            "Records in a polled batch: they grow when the worker falls behind.",
            "short",
            (
                Query(quantile(0.5, "fraud_batch_size_events"), "median"),
                Query(quantile(0.99, "fraud_batch_size_events"), "99 percent"),
            ),
        ),
        Panel(
            "State",
            "Events held in memory, by worker.",
            "short",
            (
                Query(
                    f"sum by (instance) ({mine('fraud_state_events')})", "{{instance}}"
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
            "For how long records have been waiting at most; grows while the broker "
            "does not say that none does.",
            "s",
            (
                Query(
                    f"max by (topic, partition) ({mine('fraud_kafka_lag_seconds')})",
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
                    f"sum by (topic) ({mine('fraud_kafka_consumer_lag_messages')})",
                    "{{topic}}",
                ),
            ),
        ),
        Panel(
            "Age of the measurement",
            "Since the broker last told where a partition ends: what the lag is "
            "measured from. A few seconds when all is well.",
            "s",
            (
                Query(
                    "time() - min by (topic) "
                    f"({mine('fraud_kafka_measured_timestamp_seconds')})",
                    "{{topic}}",
                ),
            ),
        ),
        Panel(
            "Replayed by a crash",
            "Offsets folded since the newest snapshot of each partition, by worker.",
            "short",
            (
                Query(
                    f"sum by (instance) ({mine('fraud_snapshot_replay_messages')})",
                    "{{instance}}",
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
                    f"({mine('fraud_kafka_retention_headroom_messages')})",
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
                    f"sum by (instance) ({mine('fraud_restore_remaining_messages')})",
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
                    f"sum by (event) ({increase('fraud_kafka_rebalances_total')})",
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
                    f"sum by (reason) ({rate('fraud_commit_aborts_total')})",
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
                    f"sum by (reason) ({rate('fraud_dlq_events_total')}) > 0",
                    "{{reason}}",
                ),
            ),
        ),
        Panel(
            "Source: late and repeated",
            "Share of the scores of an hour that carry such a flag.",
            "percentunit",
            tuple(
                Query(f'{events_ratio(flag)}{{job=~"$job"}}', flag) for flag in EVENTS
            ),
        ),
        Panel(
            "Source: missing, unknown, out of range",
            "Share of the values of an hour that are missing, a text that training did "
            "not know, or a number beyond those that it saw; of features that are made "
            "of the payment alone.",
            "percentunit",
            tuple(
                Query(
                    f"max({values_ratio(what)})",
                    what.replace("_", " "),
                )
                for what in VALUES
            ),
        ),
        Panel(
            "Source: rejected",
            "Share of the records of an hour that became a dead letter, by reason.",
            "percentunit",
            (Query(f'{REJECTED}{{job=~"$job"}} > 0', "{{reason}}"),),
        ),
        Panel(
            "Late, repeated, incomplete",
            "Share of the scores that carry such a flag.",
            "percentunit",
            tuple(
                Query(
                    f"sum({rate(f'fraud_events_{name}_total')})\n"
                    f"/ sum({rate('fraud_events_scored_total')})",
                    name,
                )
                for name in ("late", "duplicate", "incomplete")
            ),
        ),
        Panel(
            "Snapshots that failed",
            "Scoring goes on; a crash replays more.",
            "short",
            (Query(f"sum({increase('fraud_snapshot_failures_total')})", "failed"),),
        ),
    ),
)
