"""The rules that ask for a person, but for those about drift."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.rules import Alert, Clock, Group, Recording

#: The objective: this share of the scores within a second, and of the records no dead
#: letter.
BUDGET = 0.001

#: How fast the budget of 30 days is spent, over a long and a short window: in two days,
#: in five, in thirty. Source: The Site Reliability Workbook, chapter 5.
BURNS = (
    ("Fast", 14.4, "1h", "5m", "page"),
    ("Medium", 6, "6h", "30m", "page"),
    ("Slow", 1, "3d", "6h", "ticket"),
)

#: A loop that does not poll for so long is stuck, and what waits so long is not scored.
STUCK_SECONDS = 60

#: Records that wait longer than that are behind.
LAG_SECONDS = 30

#: The worker asks the broker for the ends every five seconds.
STALE_SECONDS = 60

#: What a golden event's score may differ by: what the worker itself allows at most.
SELFTEST_ERROR = 1e-9

_SLOW = "job:fraud_event_to_score_slow:ratio_rate"
_DEAD = "job:fraud_dlq_events:ratio_rate"


def objective_group(clock: Clock) -> Group:
    """Return the recording rules of the objectives."""
    windows = dict.fromkeys(w for _, _, long, short, _ in BURNS for w in (long, short))
    rules = [
        rule
        for window in windows
        for rule in (
            Recording(f"{_SLOW}{window}", _slow(clock(window))),
            Recording(f"{_DEAD}{window}", _dead(clock(window))),
        )
    ]
    return Group("fraud-objectives", "30s", tuple(rules))


def burn_alerts() -> Iterator[Alert]:
    """Yield the alerts of an objective that is being missed, on two windows each."""
    for name, factor, long, short, severity in BURNS:
        for alert, series, what in (
            ("Latency", _SLOW, "Scores that take more than a second"),
            ("DeadLetter", _DEAD, "Dead letters"),
        ):
            limit = f"{factor} * {BUDGET}"
            yield Alert(
                f"Fraud{alert}Burn{name}",
                f"{series}{long} > {limit}\nand {series}{short} > {limit}",
                severity,
                f"{what} spend the budget of 30 days {factor} times too fast.",
            )


def state_alerts(clock: Clock) -> Iterator[Alert]:
    """Yield the alerts about workers and their partitions."""
    yield from _worker_alerts(clock)
    yield from _lag_alerts(clock)
    yield from _model_alerts(clock)


def _worker_alerts(clock: Clock) -> Iterator[Alert]:
    yield Alert(
        "FraudWorkerStuck",
        f"time() - fraud_worker_last_poll_timestamp_seconds > {STUCK_SECONDS}",
        "page",
        "{{ $labels.instance }} has not polled for {{ $value | humanizeDuration }}.",
        hold="1m",
    )
    yield Alert(
        "FraudNoScores",
        f"sum by (job) (rate(fraud_events_scored_total[{clock('5m')}])) == 0\n"
        f"and max by (job) (fraud_kafka_lag_seconds) > {STUCK_SECONDS}",
        "page",
        "Records wait and none is scored.",
        hold="5m",
    )
    yield Alert(
        "FraudMetricsAbsent",
        "absent(fraud_model_info)",
        "page",
        "No worker tells anything: none runs, or none is scraped.",
        hold="5m",
    )
    yield Alert(
        "FraudRebalanceStorm",
        f"sum by (job) (increase(fraud_kafka_rebalances_total[{clock('15m')}]))\n"
        "> 6 * count by (job) (fraud_build_info)",
        "ticket",
        "Partitions moved {{ $value | humanize }} times in 15 minutes.",
    )


def _lag_alerts(clock: Clock) -> Iterator[Alert]:
    yield Alert(
        "FraudLagHigh",
        f"max by (job, topic) (fraud_kafka_lag_seconds) > {LAG_SECONDS}",
        "page",
        "{{ $labels.topic }} is {{ $value | humanizeDuration }} behind.",
        hold="5m",
        keep="5m",
    )
    yield Alert(
        "FraudRetentionLossSoon",
        "predict_linear(fraud_kafka_retention_headroom_messages"
        f"[{clock('30m')}], {4 * 3_600}) < 0\n"
        "and fraud_kafka_consumer_lag_messages > 0",
        "page",
        "In 4 hours {{ $labels.topic }} {{ $labels.partition }} forgets records that "
        "were never answered.",
        hold="10m",
    )
    yield Alert(
        "FraudPartitionStalled",
        "fraud_kafka_consumer_lag_messages > 0\n"
        f"and delta(fraud_kafka_consumer_lag_messages[{clock('10m')}]) >= 0\n"
        f"and fraud_kafka_lag_seconds > {LAG_SECONDS}",
        "ticket",
        "{{ $labels.topic }} {{ $labels.partition }} does not catch up.",
        hold="10m",
    )
    yield Alert(
        "FraudKafkaStatsStale",
        f"time() - fraud_kafka_measured_timestamp_seconds > {STALE_SECONDS}",
        "ticket",
        "The lag of {{ $labels.topic }} {{ $labels.partition }} was last measured "
        "{{ $value | humanizeDuration }} ago.",
        hold="1m",
    )


def _model_alerts(clock: Clock) -> Iterator[Alert]:
    scored = "sum by (model_version) (increase(fraud_events_scored_total{}[1h]))"
    scored = scored.replace("1h", clock("1h"))
    flagged = scored.replace("{}", '{decision="flagged"}')
    total = scored.replace("{}", "")
    # Who is let through as control group would have been flagged; the forecast knows
    # no such group, and workers from before there was one tell of none.
    group = total.replace("scored", "control_group")
    flagged = f"({flagged} + ({group} or 0 * {flagged}))"
    forecast = f"max by (model_version) (fraud_forecast_flag_ratio) * {total}"
    yield Alert(
        "FraudFlagRateOffForecast",
        f"abs({flagged} - {forecast})\n"
        f"> 4 * sqrt({forecast}) + 0.2 * {forecast}\n"
        f"and {total} > 500",
        "ticket",
        "{{ $labels.model_version }} flags another share than was forecast.",
        hold="15m",
    )
    yield Alert(
        "FraudMixedModels",
        "count by (job) (count by (job, model_version) (fraud_model_info)) > 1",
        "ticket",
        "{{ $value }} models score at the same time.",
        hold="30m",
    )
    yield _selftest_alert()


def _selftest_alert() -> Alert:
    return Alert(
        "FraudSelfTestFailed",
        f"fraud_model_selftest_max_abs_error > {SELFTEST_ERROR}",
        "page",
        "{{ $labels.instance }} scores other than {{ $labels.model_version }} did when "
        "it was published, by up to {{ $value }}.",
    )


def _slow(window: str) -> str:
    name = "fraud_event_to_score_seconds"
    return (
        f'1 - sum by (job) (rate({name}_bucket{{le="1.0"}}[{window}]))\n'
        f"  / (sum by (job) (rate({name}_count[{window}])) > 0)"
    )


def _dead(window: str) -> str:
    return (
        f"sum by (job) (rate(fraud_dlq_events_total[{window}]))\n"
        f"/ (sum by (job) (rate(fraud_events_consumed_total[{window}])) > 0)"
    )
