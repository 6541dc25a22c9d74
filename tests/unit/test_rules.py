"""Rules and alerts: each fires when it should, and no other does.

What PSI and its relatives must be comes from numpy, by the functions of training too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.drift import Window
from deploy.files import alerts, alerts_text, generated, recording_text
from deploy.files import recordings as groups_of_recordings
from deploy.rules import Recording, faster, milliseconds, real_time
from deploy.source import REJECTED, events_ratio, values_ratio
from tests.conftest import ROOT
from tests.promtool import Labels, Scenario, metrics_in, promtool
from tests.reference_series import add_reference
from tests.unit.test_truth_rules import FIRED
from worker.drift import SCORE, Baseline, critical_factor, null_mean, psi
from worker.metrics import CATALOGUE, REFERENCE_CATALOGUE, TRUTH_CATALOGUE

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()

WORKER = {"job": "fraud-worker", "instance": "a"}

HOUR = Window("1h")

#: Ten equal bins of 10,000 values each, hardly any missing or unknown.
EVEN = Baseline(
    tuple(map(float, range(1, 10))), 0.0, 10.0, (10_000,) * 10 + (0, 0), (1.0, 1, 1, 1)
)

#: Live values a minute by bin: as in training, and drifted.
AS_EVER = np.array([20] * 10 + [0, 0])
SHIFTED = np.array([2, 4, 8, 12, 16, 22, 28, 34, 36, 38, 0, 0])


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """A worker that does well, for three hours."""
    return of_a_healthy_worker(Scenario(tmp_path))


def of_a_healthy_worker(scenario: Scenario) -> Scenario:
    scenario.series("fraud_model_info", "1x400", **WORKER, model_version="m")
    scenario.series("fraud_build_info", "1x400", **WORKER)
    return scenario


def add_feature(
    scenario: Scenario,
    live: NDArray[np.int64],
    baseline: Baseline = EVEN,
    *,
    feature: str = "amount",
    workers: int = 1,
) -> None:
    """A feature with so many live values a minute by bin, the same on each worker."""
    model = {"model_version": "m", "feature": feature}
    for number in range(workers):
        own = {"job": "fraud-worker", "instance": "abc"[number], **model}
        add_reference(scenario, baseline, own, 400)
        for slot, count in zip(baseline.slots, live, strict=True):
            values = f"0+{count}x400"
            scenario.series("fraud_feature_values_total", values, **own, bin=slot)


# The files


@pytest.mark.parametrize("name", generated())
def test_the_files_are_what_is_generated(name: str) -> None:
    """To write them again: python -m deploy."""
    assert (ROOT / "deploy" / name).read_text() == generated()[name]


@pytest.mark.parametrize("clock", [real_time, faster(60)])
def test_promtool_has_nothing_to_say_about_the_rules(
    clock: Callable[[str], str], tmp_path: Path
) -> None:
    paths = [tmp_path / "recording.yml", tmp_path / "alerts.yml"]
    texts = [recording_text(clock), alerts_text(clock)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)

    code, said = promtool("check", "rules", "--lint=all", "--lint-fatal", *paths)

    assert code == 0, said
    assert said.count("SUCCESS") == 2


def recordings() -> list[Recording]:
    groups = groups_of_recordings()
    return [r for group in groups for r in group.rules if isinstance(r, Recording)]


def test_every_metric_in_a_rule_exists() -> None:
    known = {m.name for m in CATALOGUE + REFERENCE_CATALOGUE + TRUTH_CATALOGUE}
    known |= {
        f"{metric.name}_{part}"
        for metric in CATALOGUE + TRUTH_CATALOGUE
        if metric.type == "histogram"
        for part in ("bucket", "count", "sum")
    }
    known |= {rule.record for rule in recordings()}
    expressions = [*(r.expr for r in recordings()), *(a.expr for a in alerts())]
    read = {name for expr in expressions for name in metrics_in(expr)}

    assert read - known == set()
    assert len(read) > 40


def test_every_label_value_in_a_rule_is_one_that_is_told() -> None:
    """A bucket that does not exist would be as silent as one that is never passed."""
    edges = {
        float(edge)
        for rule in recordings()
        for edge in re.findall(r'le="([^"]+)"', rule.expr)
    }
    (latency,) = (m for m in CATALOGUE if m.name == "fraud_event_to_score_seconds")

    assert edges == {1.0}
    assert edges <= set(latency.edges)


def test_every_alert_has_its_section_in_the_runbook() -> None:
    titles = re.findall(r"^## (Fraud\w+)$", RUNBOOK, re.MULTILINE)

    assert sorted(titles) == sorted({alert.name for alert in alerts()})
    for section in RUNBOOK.split("\n## ")[1:]:
        for part in ("It means", "Look at", "Do"):
            assert f"**{part}**" in section, section.splitlines()[0]


def test_a_time_is_a_number_and_a_unit() -> None:
    assert [milliseconds(t) for t in ("5s", "15m", "6h", "7d")] == [
        *(5_000, 900_000, 21_600_000, 604_800_000)
    ]
    with pytest.raises(ValueError, match="no time"):
        milliseconds("soon")


# Drift, against numpy


def test_what_is_recorded_equals_numpy(scenario: Scenario) -> None:
    """Over two workers, with a design effect, missing and unknown values."""
    live = np.array([18, 22, 20, 20, 25, 15, 20, 20, 30, 10, 7, 2])
    counts = (10_000, 12_000, 9_000, 8_000, 10_500, 9_500, 10_000, 10_000, 11_000)
    baseline = Baseline(
        EVEN.edges, 0.0, 10.0, (*counts, 10_000, 3_000, 0), (3.5, 1.0, 1.0, 1.0)
    )
    add_feature(scenario, live, baseline, workers=2)

    total = 2 * 60 * live
    p, q = smoothed(total, baseline), baseline.ratios
    middle = (p + q) / 2
    js = 0.5 * (p * np.log2(p / middle)).sum() + 0.5 * (q * np.log2(q / middle)).sum()
    of = {"model_version": "m", "feature": "amount"}
    expected = psi(total[None], q)[0]
    mean = float(null_mean(total.sum(keepdims=True), baseline)[0]) * 3.5
    scenario.expect_value("120m", HOUR.psi, float(expected), **of)
    scenario.expect_value("120m", HOUR.js, float(js), **of)
    scenario.expect_value("120m", HOUR.null_mean, mean, **of)
    critical = mean * critical_factor(10)
    scenario.expect_value("120m", HOUR.critical, critical, **of)
    for slot, count in (("missing", live[10]), ("unknown", live[11])):
        share = float(count / live.sum())
        scenario.expect_value("120m", HOUR.absent, share, **of, bin=slot)
    scenario.check()


def smoothed(counts: NDArray[np.int64], baseline: Baseline) -> NDArray[np.float64]:
    q = baseline.ratios
    pseudo = np.count_nonzero(q > 1e-4) / 2
    shares: NDArray[np.float64] = (counts + pseudo * q) / (counts.sum() + pseudo)
    return shares


def test_a_day_adds_up_its_steps(tmp_path: Path) -> None:
    scenario = of_a_healthy_worker(Scenario(tmp_path, step="5m"))
    add_feature(scenario, SHIFTED)

    expected = psi(288 * SHIFTED[None], EVEN.ratios)[0]
    of = {"model_version": "m", "feature": "amount"}
    scenario.expect_value("1560m", Window("1d").psi, float(expected), **of)
    scenario.check()


# The source, against numpy

COLUMNS = {
    # Kind, and so many values a minute: in the bins, missing, unknown.
    "amount": ("field", 90, 6, 4),
    "basket": ("category", 80, 0, 20),
    "distance": ("distance", 99, 1, 0),
    "amount_mean_7d": ("window", 10, 90, 0),
    SCORE: (None, 100, 0, 0),
}


def add_columns(scenario: Scenario, columns: Mapping[str, Column]) -> None:
    for feature, (kind, *counts) in columns.items():
        of = {"model_version": "m", "feature": feature}
        for slot, count in zip(("00", "missing", "unknown"), counts, strict=True):
            name = "fraud_feature_values_total"
            scenario.series(name, f"0+{count}x400", **WORKER, **of, bin=slot)
        if kind is not None:
            scenario.series("fraud_feature_info", "1x400", **WORKER, **of, kind=kind)


Column = tuple[str | None, int, int, int]


def shares_of(columns: Mapping[str, Column]) -> dict[str, float]:
    """What is wrong with the values of the event's own features."""
    own = {f: c for f, c in columns.items() if c[0] not in {None, "window"}}
    counts = np.array([c[1:] for c in own.values()])
    is_text = np.array([c[0] == "category" for c in own.values()])

    def share(slot: int, rows: NDArray[np.bool_]) -> float:
        total = counts[rows].sum()
        return float(counts[rows, slot].sum() / total) if total else 0.0

    everything = np.full(len(own), fill_value=True)
    return {
        "missing": share(1, everything),
        "unknown": share(2, is_text),
        "out_of_range": share(2, ~is_text),
    }


@pytest.mark.parametrize(
    "columns", [COLUMNS, {f: c for f, c in COLUMNS.items() if c[0] != "category"}]
)
def test_the_shares_of_what_the_source_sent_equal_numpy(
    scenario: Scenario, columns: Mapping[str, Column]
) -> None:
    """What a window makes of no history is no fault of the source."""
    add_columns(scenario, columns)

    for what, share in shares_of(columns).items():
        scenario.expect_value("120m", values_ratio(what), share, model_version="m")
    scenario.check()


def test_late_repeated_and_rejected_are_shares_of_what_came(scenario: Scenario) -> None:
    scenario.series(SCORED, "0+90x400", **PASSED)
    scenario.series(SCORED, "0+10x400", **FLAGGED)
    scenario.series("fraud_events_late_total", "0+3x400", **WORKER)
    scenario.series("fraud_events_duplicate_total", "0+2x400", **WORKER)
    scenario.series("fraud_events_consumed_total", "0+125x400", **WORKER)
    for reason, count in (("out_of_range", 20), ("missing_field", 5), ("empty", 0)):
        labels = {**WORKER, "reason": reason}
        scenario.series("fraud_dlq_events_total", f"0+{count}x400", **labels)

    scenario.expect_value("120m", events_ratio("late"), 0.03, **JOB)
    scenario.expect_value("120m", events_ratio("duplicate"), 0.02, **JOB)
    scenario.expect_value("120m", REJECTED, 0.16, **JOB, reason="out_of_range")
    scenario.expect_value("120m", REJECTED, 0.04, **JOB, reason="missing_field")
    scenario.expect_value("120m", REJECTED, 0.0, **JOB, reason="empty")
    scenario.check()


# Alerts: each fires, and stays quiet


def drift(window: str, feature: str = "amount", name: str = "Feature") -> Labels:
    return {
        "alertname": f"Fraud{name}Drift",
        "window": window,
        "feature": feature,
        "model_version": "m",
    }


def test_nothing_fires_for_what_lies_as_in_training(scenario: Scenario) -> None:
    add_feature(scenario, AS_EVER)

    scenario.expect_firing("180m", [])
    scenario.check()


def test_a_shifted_feature_fires_alone(scenario: Scenario) -> None:
    add_feature(scenario, SHIFTED)
    add_feature(scenario, AS_EVER, feature="hour")

    scenario.expect_firing("10m", [])
    scenario.expect_firing("90m", [drift("1h")])
    scenario.check()


def test_shifted_scores_fire_by_a_name_of_their_own(scenario: Scenario) -> None:
    add_feature(scenario, SHIFTED, feature=SCORE)

    scenario.expect_firing("90m", [drift("1h", SCORE, "Score")])
    scenario.check()


def test_a_few_values_are_no_drift(scenario: Scenario) -> None:
    few = np.array([0, 0, 0, 0, 0, 0, 0, 0, 3, 5, 0, 0])
    add_feature(scenario, few)

    scenario.expect_firing("90m", [])
    scenario.check()


def test_a_shift_that_chance_explains_is_no_drift(scenario: Scenario) -> None:
    """The same as the one that fires, but training saw such windows."""
    bursts = Baseline(EVEN.edges, 0.0, 10.0, EVEN.counts, (1_000.0, 1.0, 1.0, 1.0))
    add_feature(scenario, SHIFTED, bursts)

    scenario.expect_firing("90m", [])
    scenario.check()


def test_the_hour_of_the_day_is_not_judged_by_an_hour(tmp_path: Path) -> None:
    scenario = of_a_healthy_worker(Scenario(tmp_path, step="5m"))
    daily = Baseline(EVEN.edges, 0.0, 10.0, EVEN.counts, EVEN.design_effects, 86_400)
    add_feature(scenario, SHIFTED, daily)

    scenario.expect_firing("1560m", [drift("1d")])
    scenario.check()


def surge(slot: str) -> Labels:
    return {
        "alertname": "FraudMissingSurge",
        "feature": "amount",
        "bin": slot,
        "model_version": "m",
    }


@pytest.mark.parametrize("slot", ["missing", "unknown"])
def test_what_goes_missing_fires_as_that_and_not_as_drift(
    scenario: Scenario, slot: str
) -> None:
    live = AS_EVER.copy()
    live[EVEN.slots.index(slot)] = 60
    add_feature(scenario, live)

    scenario.expect_firing("90m", [surge(slot)])
    scenario.check()


def test_what_was_missing_in_training_may_be_missing(scenario: Scenario) -> None:
    counts = (*EVEN.counts[:10], 5_000, 0)
    baseline = Baseline(EVEN.edges, 0.0, 10.0, counts, EVEN.design_effects)
    live = AS_EVER.copy()
    live[10] = 20
    add_feature(scenario, live, baseline)

    scenario.expect_firing("90m", [])
    scenario.check()


def test_counts_without_a_reference_fire(scenario: Scenario) -> None:
    labels = {"model_version": "m", "feature": "amount", "bin": "00"}
    scenario.series("fraud_feature_values_total", "0+9x400", **WORKER, **labels)

    alert = {"alertname": "FraudReferenceMissing", "model_version": "m"}
    scenario.expect_firing("10m", [])
    scenario.expect_firing("30m", [alert])
    scenario.check()


TOPIC = {"topic": "transactions", "partition": "0"}

#: Series by name, values and labels; at 90 minutes these fire.
Case = tuple[list[tuple[str, str, Labels]], list[Labels]]

SELFTEST = "fraud_model_selftest_max_abs_error"
SELF = {**WORKER, "model_version": "m"}
SCORED = "fraud_events_scored_total"
THROUGH = "fraud_events_control_group_total"
LATENCY = "fraud_event_to_score_seconds"
LAG, BEHIND = "fraud_kafka_lag_seconds", "fraud_kafka_consumer_lag_messages"
MEASURED = "fraud_kafka_measured_timestamp_seconds"
HEADROOM = "fraud_kafka_retention_headroom_messages"
PLACE = {**WORKER, **TOPIC}
PASSED = {**WORKER, "model_version": "m", "decision": "passed"}
FLAGGED = {**WORKER, "model_version": "m", "decision": "flagged"}
FORECAST = ("fraud_forecast_flag_ratio", "0.01x400", {**WORKER, "model_version": "m"})


def fires(name: str, **labels: str) -> Labels:
    return {"alertname": name, **labels}


def late_share(slow: int) -> list[tuple[str, str, Labels]]:
    """Of 10,000 scores a minute so many take more than a second."""
    return [
        (f"{LATENCY}_bucket", f"0+{10_000 - slow}x400", {**WORKER, "le": "1.0"}),
        (f"{LATENCY}_count", "0+10000x400", WORKER),
    ]


def dead_share(dead: int) -> list[tuple[str, str, Labels]]:
    return [
        ("fraud_dlq_events_total", f"0+{dead}x400", {**WORKER, "reason": "empty"}),
        ("fraud_events_consumed_total", "0+10000x400", WORKER),
    ]


# The budget is one in a thousand; at just that a rounding error would decide.
JOB = {"job": "fraud-worker"}
BURNS: dict[str, Case] = {
    f"{share.__name__} {count}": (
        share(count),
        [fires(f"Fraud{what}Burn{speed}", **JOB) for speed in speeds],
    )
    for share, what in ((late_share, "Latency"), (dead_share, "DeadLetter"))
    for count, speeds in (
        (0, ()),
        (9, ()),
        (30, ("Slow",)),
        (80, ("Medium", "Slow")),
        (200, ("Fast", "Medium", "Slow")),
    )
}

POLL = "fraud_worker_last_poll_timestamp_seconds"
CASES: dict[str, Case] = {
    **BURNS,
    "an hour that was slow is over": (
        [
            (f"{LATENCY}_bucket", "0x80 0+1000x100", {**WORKER, "le": "1.0"}),
            (f"{LATENCY}_count", "0+1000x400", WORKER),
        ],
        [fires(f"FraudLatencyBurn{speed}", **JOB) for speed in ("Medium", "Slow")],
    ),
    "a worker polls": ([(POLL, "0+60x400", WORKER)], []),
    "a worker has stopped polling": (
        [(POLL, "0+60x80 4800x300", WORKER)],
        [fires("FraudWorkerStuck", **WORKER)],
    ),
    "none is scored, and none waits": (
        [(SCORED, "5x400", PASSED), (LAG, "0x400", PLACE)],
        [],
    ),
    "none is scored while records wait": (
        [(SCORED, "0+5x60 300x300", PASSED), (LAG, "0x60 0+60x300", PLACE)],
        [
            fires("FraudNoScores", **JOB),
            fires("FraudLagHigh", **JOB, topic="transactions"),
        ],
    ),
    "a lag of 20 seconds": ([(LAG, "20x400", PLACE)], []),
    "a lag of 40 seconds": (
        [(LAG, "40x400", PLACE)],
        [fires("FraudLagHigh", **JOB, topic="transactions")],
    ),
    "the broker forgets faster than the worker reads": (
        [(HEADROOM, "10000-100x400", PLACE), (BEHIND, "1000-1x400", PLACE)],
        [fires("FraudRetentionLossSoon", **PLACE)],
    ),
    "the broker forgets what was answered": (
        [(HEADROOM, "10000-100x400", PLACE), (BEHIND, "0x400", PLACE)],
        [],
    ),
    "the worker reads faster than the broker forgets": (
        [(HEADROOM, "10000+100x400", PLACE), (BEHIND, "9000-9x400", PLACE)],
        [],
    ),
    "one partition of two stands still": (
        [
            *((BEHIND, "0+9x400", PLACE), (LAG, "0+1x400", PLACE)),
            *((BEHIND, "0x400", {**PLACE, "partition": "1"}),),
            *((LAG, "0x400", {**PLACE, "partition": "1"}),),
        ],
        [
            fires("FraudPartitionStalled", **PLACE),
            fires("FraudLagHigh", **JOB, topic="transactions"),
        ],
    ),
    "a partition catches up": (
        [(BEHIND, "4000-9x400", PLACE), (LAG, "29x400", PLACE)],
        [],
    ),
    "the broker tells where the partition ends": ([(MEASURED, "0+60x400", PLACE)], []),
    "the broker has stopped telling it": (
        [(MEASURED, "0+60x80 4800x300", PLACE), (LAG, "0x400", PLACE)],
        [fires("FraudKafkaStatsStale", **PLACE)],
    ),
    "partitions move all the time": (
        [("fraud_kafka_rebalances_total", "0+1x400", {**WORKER, "event": "revoked"})],
        [fires("FraudRebalanceStorm", **JOB)],
    ),
    "partitions moved once": (
        [
            (
                "fraud_kafka_rebalances_total",
                "0x85 4x300",
                {**WORKER, "event": "revoked"},
            )
        ],
        [],
    ),
    "flags as forecast": (
        [(SCORED, "0+99x400", PASSED), (SCORED, "0+1x400", FLAGGED), FORECAST],
        [],
    ),
    "three times the flags": (
        [(SCORED, "0+97x400", PASSED), (SCORED, "0+3x400", FLAGGED), FORECAST],
        [fires("FraudFlagRateOffForecast", model_version="m")],
    ),
    "flags as forecast, half of them let through": (
        [
            *((SCORED, "0+190x400", PASSED), (SCORED, "0+1x400", FLAGGED)),
            *((THROUGH, "0+1x400", {**WORKER, "model_version": "m"}), FORECAST),
        ],
        [],
    ),
    "three times the flags, nearly all of them let through": (
        [
            *((SCORED, "0+99x400", PASSED), (SCORED, "0+1x400", FLAGGED)),
            *((THROUGH, "0+2x400", {**WORKER, "model_version": "m"}), FORECAST),
        ],
        [fires("FraudFlagRateOffForecast", model_version="m")],
    ),
    "no flags any more": (
        [(SCORED, "0+99x400", PASSED), (SCORED, "0x400", FLAGGED), FORECAST],
        [fires("FraudFlagRateOffForecast", model_version="m")],
    ),
    "no flags among a few scores": (
        [(SCORED, "0+4x400", PASSED), (SCORED, "0x400", FLAGGED), FORECAST],
        [],
    ),
    "two models": (
        [("fraud_model_info", "1x400", {**WORKER, "model_version": "other"})],
        [fires("FraudMixedModels", **JOB)],
    ),
    "golden events are reproduced": ([(SELFTEST, "1e-12x400", SELF)], []),
    "golden events are not": (
        [(SELFTEST, "0x80 2e-9x300", SELF)],
        [fires("FraudSelfTestFailed", **SELF)],
    ),
    "two models during a rollout": (
        [("fraud_model_info", "_x70 1x400", {**WORKER, "model_version": "other"})],
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_alerts_fire_for_what_they_are_about_and_no_other(
    scenario: Scenario, name: str
) -> None:
    series, expected = CASES[name]
    for metric, values, labels in series:
        scenario.series(metric, values, **labels)

    scenario.expect_firing("90m", expected)
    scenario.check()


def test_silence_fires_after_five_minutes(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path)
    scenario.series("fraud_model_info", "1x20 stale", **WORKER, model_version="m")

    scenario.expect_firing("20m", [])
    scenario.expect_firing("30m", [fires("FraudMetricsAbsent")])
    scenario.check()


def test_every_alert_is_seen_firing() -> None:
    seen = {labels["alertname"] for _, fired in CASES.values() for labels in fired}
    seen |= {
        "FraudMetricsAbsent",
        "FraudReferenceMissing",
        surge("missing")["alertname"],
    }
    seen |= FIRED
    seen |= {drift("1h")["alertname"], drift("1h", SCORE, "Score")["alertname"]}

    assert seen == {alert.name for alert in alerts()}
